-- SPDX-License-Identifier: MIT
-- cli/engine_loop.lua: runs one engine from start to end, and does what its events ask for: signals, progress, the mock
-- Kafka, the report. One engine of several has a link to its supervisor (cli/engines/link.lua): then signals, progress
-- and report are that one's. Start reading at engine_loop.run.
local canary = require("tidemill.cli.canary")
local certificates = require("tidemill.cli.certificates")
local engine = require("tidemill.run.engine")
local engine_state = require("tidemill.cli.engines.state")
local exit_code = require("tidemill.plan.exit_code")
local files = require("tidemill.cli.try.files")
local json = require("tidemill.cli.json")
local mock = require("tidemill.cli.mock")
local observed = require("tidemill.cli.observed")
local progress = require("tidemill.cli.progress")
local report = require("tidemill.cli.report")
local slow_messages = require("tidemill.cli.slow_messages")
local status_page = require("tidemill.cli.status")
local stderr = require("tidemill.cli.stderr")
local signals = require("tidemill.cli.signals")
local tide = require("tidemill.run.ffi")
local posix = require("tidemill.run.posix")

local engine_loop = {}
local EngineLoop = {}
EngineLoop.__index = EngineLoop

local TURN = 1 -- seconds that a turn takes at most; an event ends it early
local MOCK_TURN = 0.01 -- seconds, with a mock Kafka, which is fed between turns
local QUIET = 0.2 -- seconds without a change of a file that is watched
local BRIEF = 0.001 -- seconds; the least that a turn waits
local DRAIN = 10 -- seconds for the mock Kafka's last results to arrive

local LEVEL = { error = "TIDE_LOG_ERROR", warn = "TIDE_LOG_WARN", info = "TIDE_LOG_INFO", debug = "TIDE_LOG_DEBUG" }
local FORMAT = { text = "TIDE_LOG_TEXT", json = "TIDE_LOG_JSON" }

--- A JSON line has beside the text the name `event`, and `fields`: numbers or texts by name.
function EngineLoop:log(level, text, event, fields)
  if self.progress then self.progress:clear() end
  local members = event and ('"event":"%s",%s'):format(event, json.members(fields)) or nil
  tide.C.tide_log_fields(level, text, members)
end

-- Ends the run with a code; the reason goes to the log, where the rest of the story is.
function EngineLoop:fail(code, text)
  self:log("TIDE_LOG_ERROR", text, "failed", { code = code })
  self.code = code
end

-- The second signal ends the process at once: what is not committed is read again, and the workers end with it.
local function leave(number)
  io.stdout:flush()
  posix._exit(128 + number)
end

local function now()
  return tonumber(tide.C.tide_clock_us()) / 1e6
end

local on = {}

-- A renewed certificate counts from the next start on, so this run ends in order, and begins anew.
local function look_at_certificates(self)
  if not self.certificates or self.closing then return end
  local renewed, reason = self.certificates:renewed(tide.C.tide_clock_us())
  if reason then
    self:log("TIDE_LOG_WARN", "the files of the client's certificate have changed and cannot be used; what was read "
      .. "at the start goes on: " .. reason)
  elseif renewed then
    self:log("TIDE_LOG_INFO", "the files of the client's certificate have changed: finishing what was read, then going "
      .. "on with them", "renewing", {})
    self.closing, self.renewing = true, true
    self.engine:close()
  end
end

function on.second(self)
  self.observer:second()
  look_at_certificates(self)
  if self.link then return end
  self.progress:show(self.engine, self.observer.snapshot.verdict)
end

function on.assigned(self, event)
  self:log("TIDE_LOG_INFO", "partitions assigned: " .. event.text, "assigned", { partitions = event.text })
end

function on.revoked(self, event)
  self:log("TIDE_LOG_INFO", "partitions revoked: " .. event.text, "revoked", { partitions = event.text })
end

function on.lost(self, event)
  self:log("TIDE_LOG_WARN", "partitions lost, no longer a member of the group: " .. event.text, "lost",
    { partitions = event.text })
end

-- SIGHUP says that the files were moved away (logrotate). A terminal that is closed sends it too, and wants the end.
local function reopen(self)
  local reopened, reason = self.engine:reopen()
  if reopened then return self:log("TIDE_LOG_INFO", "SIGHUP: the files of output and dead letters are opened anew") end
  self:log("TIDE_LOG_ERROR", "SIGHUP: " .. reason .. "; what was open before is written on")
end

-- The pipeline file and its transforms are loaded anew, if they have changed; the outcome comes as an event.
-- `always`: also when they have not. number: what came with the signal (cli/canary.lua).
local function reload(self, always, number)
  local tried = canary.decode(number or 0, self.plan.tables.canary.share)
  local asked, reason = self.engine:reload(not always and self.mark or nil, tried)
  if not asked then return self:log("TIDE_LOG_ERROR", "reload: " .. reason, "reload_failed") end
  if asked == "later" then self:log("TIDE_LOG_INFO", "reload: another one is under way; this one comes after it") end
end

-- With --watch. What was written is taken for complete when nothing more was for a moment; the reload compares what has
-- changed.
local function look_at_files(self)
  if not self.watched or self.closing then return end
  if self.watched:changed() then self.written = now() end
  if not self.written or now() < self.written + QUIET then return end
  self.written = nil
  reload(self)
end

-- A revision may name other files than the one before, which their texts tell.
local function watch_files(self)
  if self.watched then self.watched:watch(self.plan.file, self.plan.pipeline) end
end

local function hang_up(self)
  reopen(self)
  if next(self.plan.functions) then reload(self) end
end

function on.reloaded(self, event)
  watch_files(self)
  self.mark = event.text
  self:log("TIDE_LOG_INFO", ("reload: revision %d of the transforms runs now"):format(event.number), "reloaded",
    { revision = event.number })
end

-- Each fault of a pipeline file is a line.
function on.reload_failed(self, event)
  watch_files(self)
  for line in event.text:gmatch "[^\n]+" do self:log("TIDE_LOG_ERROR", "reload: " .. line) end
  local revision = self.engine:revision()
  self:log("TIDE_LOG_ERROR", ("reload: refused; revision %d of the transforms goes on"):format(revision),
    "reload_failed", { revision = revision, reason = event.text })
end

function on.reload_kept(self, event)
  self:log("TIDE_LOG_INFO", ("reload: revision %d of the transforms stays"):format(event.number), "reload_kept",
    { revision = event.number })
end

-- The mark stays that of the files, so that they are not loaded once more by a signal that comes each night.
function on.reload_rolled_back(self, event)
  self:log("TIDE_LOG_ERROR", "reload: " .. event.text)
  self:log("TIDE_LOG_ERROR", ("reload: rolled back; revision %d of the transforms runs again"):format(event.number),
    "reload_rolled_back", { revision = event.number, reason = event.text })
end

function on.reload_unchanged(self)
  self:log("TIDE_LOG_INFO", "reload: the files of the transforms are unchanged")
end

function on.signal(self, event)
  local number = event.number
  if self.link then return end -- it came to the whole process group, or to the supervisor too
  if number == signals.HUP and not self.on_terminal then return hang_up(self) end
  if number == signals.USR1 then return reload(self, true, event.status) end
  if not signals.ends(number) then
    return self:log("TIDE_LOG_WARN", ("%s means nothing to tidemill"):format(signals.name(number)))
  end
  if self.closing and not self.renewing then leave(number) end
  self.renewing = nil
  self.stop:came(number, now())
end

-- read: the time up to which all signals have been read.
local function obey(self, read)
  local number = not self.closing and self.stop:due(read)
  if not number then return end
  self:log("TIDE_LOG_INFO", signals.name(number) .. ": finishing what was read; a second one leaves at once")
  self.closing = true
  self.engine:close()
end

-- The end of the supervisor is a reason to end in order.
local function obey_supervisor(self)
  if self.link:wants "reopen" then hang_up(self) end
  local asked = self.link:wants "reload"
  if asked then reload(self, true, tonumber(asked)) end
  if not (self.link.close or self.link.gone) then return end
  self.renewing = nil
  if self.closing then return end
  if self.link.gone then self:log("TIDE_LOG_ERROR", "the supervisor is gone: finishing what was read") end
  self.closing = true
  self.engine:close()
end

-- The supervisor starts another engine in place of one that ends so.
function on.done(self)
  self.code = self.renewing and self.link and engine_state.RENEWED or exit_code.OK
end

function on.failed(self, event)
  self:fail(-event.status, event.text)
end

local function turn_mock(self)
  local complete, reason, code = self.mock:turn(self.engine:totals())
  if complete == nil then return self:fail(code, reason) end
  if complete and not self.closing then
    self.closing = true
    self.engine:close()
  end
end

-- The last results may still be on their way from the mock Kafka to the output.
local function drain_mock(self)
  local totals, deadline = self.engine:totals(), now() + DRAIN
  while not self.mock:drained(totals) do
    if now() > deadline then
      return self:fail(exit_code.INTERNAL, ("mock Kafka: results did not arrive within %d s"):format(DRAIN))
    end
    local complete, reason, code = self.mock:turn(totals)
    if complete == nil then return self:fail(code, reason) end
  end
end

-- How long the next turn may take; an event ends it early.
local function turn_time(self)
  local left = not self.closing and self.stop:left(now())
  return self.mock and MOCK_TURN or left and math.max(left, BRIEF) or self.observer:haste()
    or self.written and QUIET / 2 or TURN
end

local function loop(self)
  while not self.code do
    local began = now()
    local event = self.engine:run(turn_time(self))
    local handler = on[event.kind]
    if handler then handler(self, event) end
    if self.link then self.link.state = self.engine:state() end
    look_at_files(self)
    self.observer:turn(event)
    if self.link and not self.code then obey_supervisor(self) end
    -- Behind any other event there may be a signal that is read.
    if not (self.link or self.code) and event.kind == "nothing" then obey(self, began) end
    if self.mock and not self.code then turn_mock(self) end
  end
  if self.mock and self.code == exit_code.OK then drain_mock(self) end
end

-- The observer is made after the fork, so that workers have neither its sockets nor its thread.
local function observe(self, plan, settings)
  local reason, status
  settings = settings or {}
  local own = self.link and self.link:settings(settings) or settings
  self.observer, reason, status = observed.new(self.engine, plan, own)
  if not self.observer then return self:fail(status, reason) end
  if self.observer.server and not self.link then
    observed.announce(self.observer.server, settings.prometheus.host, function(...) self:log(...) end)
  end
end

-- Connects; on failure self.code is set.
local function start(self, plan, options)
  local reason, status
  if options.mock_kafka then
    self.mock, reason, status = mock.new(plan, options)
    if not self.mock then return self:fail(status, reason) end
  end
  local connection
  connection, reason = plan:connection(self.mock and self.mock:brokers())
  if not connection then return self:fail(exit_code.CONFIG, reason) end
  local started
  started, reason, status = self.engine:start(connection)
  if not started then self:fail(-status, reason) end
end

local function finish(self, plan, options)
  self.observer:finish()
  local last = self.observer.snapshot
  if self.link then self.link:finish(status_page.encode(last)) end
  local text, fields = slow_messages.text(last.slow_messages, #last.steps)
  if text then self:log("TIDE_LOG_INFO", text, "slow_messages", fields) end
  self.progress:finish(self.engine, self.code == exit_code.OK and "done" or "stopped")
  self.progress:conclude(self.observer.snapshot.verdict)
  if self.link or not options.report then return end
  local reason, code = report.write(options.report, self.engine, plan, self.observer.snapshot.verdict)
  local ended_well = self.code == exit_code.OK
  if reason then self:fail(ended_well and code or self.code, "--report: " .. reason) end
end

--- Sets the log up as the flags of `run` say.
function engine_loop.log(options)
  tide.C.tide_log_setup(LEVEL[options.log_level], FORMAT[options.log_format])
end

--- Runs a plan to its end. options: the flags of `run`; link: to the supervisor of several engines. Returns the exit
--- code, and true when it is to begin anew (a certificate was renewed).
function engine_loop.run(plan, options, link)
  engine_loop.log(options)
  local self = setmetatable({ on_terminal = progress.on_terminal(), link = link, plan = plan, mark = plan.mark,
    stop = signals.stop() }, EngineLoop)
  local reason, status
  plan.warn = function(text) tide.C.tide_log_text("TIDE_LOG_WARN", text) end
  self.engine, reason, status = engine.new(plan)
  if not self.engine then
    stderr.line(reason)
    return -status
  end
  if link then link:loaded() end
  local redraw = options.log_format == "text" and self.on_terminal
  self.progress = progress.new(plan, function(text, event, fields, debugging)
    self:log(debugging and "TIDE_LOG_DEBUG" or "TIDE_LOG_INFO", text, event, fields)
  end, redraw)
  observe(self, plan, options.metrics)
  if options.watch then self.watched = files.new() end
  watch_files(self)
  -- A run that ends by itself, or would empty its output again, does not begin anew.
  if not (options.mock_kafka or options.until_end or options.output) then self.certificates = certificates.new(plan) end
  if not self.code then start(self, plan, options) end
  if not self.code then
    loop(self)
    finish(self, plan, options)
  end
  if self.observer then self.observer:free() end
  self.engine:free()
  if self.mock then self.mock:free() end
  return self.code, self.renewing and self.code == exit_code.OK
end

return engine_loop
