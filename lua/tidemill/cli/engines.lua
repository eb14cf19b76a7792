-- SPDX-License-Identifier: MIT
-- cli/engines.lua: runs a pipeline on several engines under one supervisor, which is this process. Seen from outside
-- they are one program: signals go to it, it has one exit code, one HTTP port, one report.
--
--   supervisor ── launcher ── engine 1 ── zygote ── workers
--                          └─ engine 2 ── zygote ── workers
--
-- The supervisor runs no engine and connects to nothing; user code is loaded by the zygotes alone, as with one engine.
-- Its child, the launcher, forks the engines (cli/engines/launcher.lua says why it is there). Each engine is what `run`
-- is for one (cli/engine_loop.lua), with a channel to the supervisor (cli/engines/channel.lua has the messages). What
-- becomes of an engine, and of the others when its process ends, is decided in cli/engines/state.lua; what is shown of
-- all in cli/engines/whole.lua. Start reading at engines.run.
local cjson = require("cjson.safe").new()
local channel = require("tidemill.cli.engines.channel")
local engine_loop = require("tidemill.cli.engine_loop")
local exit_code = require("tidemill.plan.exit_code")
local ffi = require("ffi")
local http_client = require("tidemill.cli.http_client")
local launcher = require("tidemill.cli.engines.launcher")
local link = require("tidemill.cli.engines.link")
local merge = require("tidemill.cli.engines.merge")
local plan_engines = require("tidemill.plan.engines")
local posix = require("tidemill.run.posix")
local progress = require("tidemill.cli.progress")
local reloads = require("tidemill.cli.engines.reloads")
local signals = require("tidemill.cli.signals")
local state = require("tidemill.cli.engines.state")
local text_file = require("tidemill.plan.text_file")
local tide = require("tidemill.run.ffi")
local whole = require("tidemill.cli.engines.whole")

local engines = {}

local HANDLED = { signals.HUP, signals.INT, signals.QUIT, signals.USR1, signals.USR2, signals.TERM }
local SIGPIPE, IGNORE = 13, ffi.cast("void *", 1)
local POLLIN, POLLOUT = 1, 4
local SI_CODE, SI_INT, SI_QUEUE = 2, 11, 2 ^ 32 - 1 -- the fields of struct signalfd_siginfo, and -1
local SECOND, SHORT = 1, 0.1 -- seconds of a turn at most; the latter while somebody waits for an answer

local log = whole.log

local function now()
  return tonumber(tide.C.tide_clock_us()) / 1e6
end

-- ---- one engine ----

local function start(self, one)
  one:start()
  one.loaded, one.ready, one.text, one.heard = false, false, nil, now()
  self.reloads:starts(one, tonumber(tide.C.tide_clock_wall_ms()))
  self.commands:send("start", ("%d %d"):format(one.number, one.life))
end

-- Tells an engine to end in order. One that loads the transforms looks at signals alone; one that reads ignores them.
local function tell_to_stop(self, one)
  one.channel:send("stop")
  if not one.loaded then self.commands:send("signal", ("%d %d"):format(one.number, signals.TERM)) end
end

-- All end in order, for the reason that was logged. An engine whose process is not known yet is told when it is.
local function stop_all(self)
  self.closing = true
  for _, one in ipairs(self.engines) do
    if one:stop() and one.pid then tell_to_stop(self, one) end
  end
end

-- What an engine says.
local said = {}

-- The first engine says for all whether the transforms load.
function said.loaded(self, one)
  one.loaded = true
  for _, other in ipairs(self.engines) do
    if other.state == "NEW" then start(self, other) end
  end
end

function said.alive(_, one, bytes)
  local told = cjson.decode(bytes) or {}
  one.heard, one.ready, one.text = now(), told.ready == true, tostring(told.text)
  if told.state == "reading" then one:reads(now()) end
end

function said.snapshot(self, one, bytes)
  local seen = cjson.decode(bytes)
  if not seen then return end
  one.snapshot = http_client.without_null(seen)
  self.reloads:take(one, one.snapshot)
end

function said.page(_, one, bytes) one.page = bytes end

for _, name in ipairs { "answer", "finish", "refuse" } do
  said[name] = function(self, one, bytes)
    if self.whole.forward then self.whole.forward:message(one, name, bytes) end
  end
end

local function read_engine(self, one)
  one.channel:flush()
  for name, bytes in one.channel:messages() do
    if said[name] then said[name](self, one, bytes) end
  end
end

-- ---- the end of one engine ----

local function how_it_ended(one)
  if one.signal then return "was ended by " .. signals.name(one.signal) end
  return ("ended with code %d"):format(one.code)
end

local on_outcome = {}

-- What it has counted stays in the sums; it has no workers and no rates any more.
function on_outcome.done(_, one)
  if not one.snapshot then return end
  one.snapshot.rates, one.snapshot.steps = {}, {}
end

function on_outcome.again(self, one, _, at)
  one.lost, one.snapshot = merge.lost(one.lost, one.snapshot), nil
  log("TIDE_LOG_WARN", ("engine %d %s: it is started again in %.1f s%s"):format(one.number, how_it_ended(one),
    one.due - at, #self.engines > 1 and ", the others go on" or ""), "engine_lost",
    { engine = one.number, code = one.code, losses = one.losses })
end

function on_outcome.all(self, one, code)
  one.lost, one.snapshot = merge.lost(one.lost, one.snapshot), nil
  self.code = self.code or code
  log("TIDE_LOG_ERROR", ("engine %d %s: all engines end, with code %d"):format(one.number, how_it_ended(one),
    self.code), "engine_failed", { engine = one.number, code = one.code })
  stop_all(self)
end

-- status: of waitpid, nil when there is none. What it had said last comes first.
local function ended(self, one, status)
  read_engine(self, one)
  one.channel:restart()
  one.pid, one.ready, one.page = nil, false, nil
  local at = now() -- also for the log, which is to tell the pause that is chosen here, not what is left of it by then
  local outcome, code = one:ended(status, at)
  if self.whole.forward then self.whole.forward:lost(one) end
  on_outcome[outcome](self, one, code, at)
end

-- What the launcher says.
local told = {}

function told.started(self, one, rest)
  one.pid = tonumber(rest)
  log("TIDE_LOG_INFO", ("engine %d %s: process %d"):format(one.number, one.life > 1 and "starts again" or "starts",
    one.pid), "engine_started", { engine = one.number, pid = one.pid, life = one.life })
  if one.state == "STOPPING" then tell_to_stop(self, one) end
  if one.reload then one.channel:send("reload", one.reload) end
  one.reload = nil
end

function told.ended(self, one, rest)
  ended(self, one, tonumber(rest))
end

-- Without the launcher no engine can be started, and none tells how it ended: the end of its channel does.
local function without_launcher(self)
  if not self.closing then
    log("TIDE_LOG_ERROR", "the process that starts the engines is gone: all engines end")
    self.code = self.code or exit_code.TEMPORARY
    stop_all(self)
  end
  for _, one in ipairs(self.engines) do
    if one.state == "STOPPING" and (one.channel.ended or not one.pid) then ended(self, one, nil) end
  end
end

local function read_launcher(self)
  self.commands:flush()
  for name, bytes in self.commands:messages() do
    local number, rest = bytes:match("^(%d+) (.*)$")
    told[name](self, self.engines[tonumber(number)], rest)
  end
  if self.commands.ended then without_launcher(self) end
end

-- ---- signals ----

-- The second signal ends everything at once: what is not committed is read again.
local function leave(self, number)
  for _, one in ipairs(self.engines) do
    if one.pid then self.commands:send("signal", ("%d %d"):format(one.number, signals.KILL)) end
  end
  self.commands:drain(1)
  io.stdout:flush()
  posix._exit(128 + number)
end

local function tell_all(self, what, bytes)
  for _, one in ipairs(self.engines) do
    if one.pid then one.channel:send(what, bytes) end
  end
end

-- An engine whose process is not known yet may be loading the files already: it is told when it is known. Each other
-- one without a process loads them when it starts.
local function reload_all(self, bytes)
  self.reloads:order()
  for _, one in ipairs(self.engines) do one.reload = one.state == "STARTING" and not one.pid and bytes or nil end
  tell_all(self, "reload", bytes)
end

-- value: what came with it (sigqueue), else 0.
local function on_signal(self, number, value)
  if number == signals.HUP and not self.on_terminal then return tell_all(self, "reopen") end
  if number == signals.USR1 then return reload_all(self, ("%d"):format(value)) end
  if not signals.ends(number) then
    return log("TIDE_LOG_WARN", ("%s means nothing to tidemill"):format(signals.name(number)))
  end
  if self.signalled then leave(self, number) end
  self.stop:came(number, now())
end

local function read_signals(self)
  local info = self.info
  while posix.read(self.signals, info, 128) == 128 do
    on_signal(self, tonumber(info[0]), info[SI_CODE] == SI_QUEUE and tonumber(info[SI_INT]) or 0)
  end
end

-- read: the time up to which all signals have been read.
local function obey(self, read)
  local number = not self.signalled and self.stop:due(read)
  if not number then return end
  self.signalled = true
  log("TIDE_LOG_INFO", signals.name(number) .. ": finishing what was read; a second one leaves at once")
  stop_all(self)
end

-- ---- the loop ----

-- Waits until something is to be read or done, or until `seconds` have passed.
local function wait(self, seconds)
  local fds, watched = self.fds, { self.commands }
  for _, one in ipairs(self.engines) do table.insert(watched, one.channel) end
  fds[0].fd, fds[0].events = self.signals, POLLIN
  for i, one in ipairs(watched) do
    fds[i].fd = one.ended and -1 or one.fd
    fds[i].events = #one.output > 0 and POLLIN + POLLOUT or POLLIN
  end
  posix.tide_posix_poll(fds, #watched + 1, math.max(0, math.ceil(seconds * 1000)))
end

local function until_next(self)
  local next_time = self.second
  local left = not self.signalled and self.stop:left(now())
  if left then next_time = math.min(next_time, now() + left) end
  if self.whole:busy() or self.commands.ended then next_time = math.min(next_time, now() + SHORT) end
  for _, one in ipairs(self.engines) do
    if one.state == "BACKOFF" then next_time = math.min(next_time, one.due) end
  end
  return next_time - now()
end

local function has_ended(self)
  for _, one in ipairs(self.engines) do
    if one.state ~= "ENDED" then return false end
  end
  return true
end

local function turn(self)
  wait(self, until_next(self))
  local woken = now()
  read_signals(self)
  for _, one in ipairs(self.engines) do
    if one.pid then read_engine(self, one) end
  end
  read_launcher(self)
  obey(self, woken)
  for _, one in ipairs(self.engines) do
    if one:is_due(now()) then start(self, one) end
  end
  if now() >= self.second then
    self.second = now() + SECOND
    self.whole:second()
  end
  self.whole:turn(now())
end

-- ---- the beginning ----

-- nohup ignores HUP before it starts a program; that is respected.
local function handled()
  local text = (text_file.read("/proc/self/status") or ""):match("\nSigIgn:%s*%x*(%x%x%x%x)\n")
  local ignored = tonumber(text or "0", 16)
  local numbers = {}
  for _, number in ipairs(HANDLED) do
    if number ~= signals.HUP or ignored % 2 == 0 then numbers[#numbers + 1] = number end
  end
  return numbers
end

local function fork_launcher(self, options)
  local theirs, ends = { self.signals }, {}
  for number = 1, self.plan.tables.engines do
    local mine, its = channel.pair()
    if not mine then return its end
    self.engines[number] = state.new(number)
    self.engines[number].channel = channel.new(mine)
    theirs[#theirs + 1], ends[number] = mine, its
  end
  local pid, commands = launcher.fork { ends = ends, theirs = theirs, blocked = self.handled,
    core_dumps = self.plan.tables.core_dumps,
    run = function(number, fd)
      tide.C.tide_log_engine(number)
      plan_engines.become(self.plan, number)
      self.plan.channel = fd
      return engine_loop.run(self.plan, options, link.new(fd, number))
    end }
  if not pid then return commands end
  self.launcher, self.commands = pid, channel.new(commands)
end

local function run(self, options)
  local reason, code = self.whole:listen()
  if reason then
    log("TIDE_LOG_ERROR", reason, "failed", { code = code })
    return code
  end
  log("TIDE_LOG_INFO", ("%d engines, each a process and a member of the group of its own"):format(#self.engines))
  start(self, self.engines[1])
  while not has_ended(self) do turn(self) end
  return self.whole:finish(self.code or state.code_of_all(self.engines), options.report)
end

--- Runs a plan with several engines to its end. options: the flags of `run`. Returns the exit code.
function engines.run(plan, options)
  engine_loop.log(options)
  posix.tide_posix_signal(SIGPIPE, IGNORE)
  if plan.c.secret_variable_count > 0 then tide.C.tide_secret_hold() end -- they are in the environment of this process
  local self = { plan = plan, engines = {}, reloads = reloads.new(), handled = handled(), second = now() + SECOND,
    on_terminal = progress.on_terminal(), stop = signals.stop(),
    info = ffi.new("uint32_t[32]"), -- a struct signalfd_siginfo
    fds = ffi.new("struct tide_posix_pollfd[?]", plan.tables.engines + 2) }
  self.signals = launcher.signals(self.handled)
  local reason = fork_launcher(self, options)
  if reason then
    log("TIDE_LOG_ERROR", reason)
    return exit_code.TEMPORARY
  end
  self.whole = whole.new(plan, self.engines, options)
  local code = run(self, options)
  self.whole:free()
  posix.close(self.commands.fd) -- the launcher ends, and engines that are left with it
  posix.waitpid(self.launcher, nil, 0)
  return code
end

return engines
