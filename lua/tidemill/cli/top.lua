-- SPDX-License-Identifier: MIT
-- cli/top.lua: tidemill top ADDR shows a running pipeline on the terminal, each second anew, from its GET /status.
-- cli/top/view.lua makes the lines; here is when they are asked for and drawn.
local exit_code = require("tidemill.plan.exit_code")
local http_client = require("tidemill.cli.http_client")
local stderr = require("tidemill.cli.stderr")
local terminal = require("tidemill.cli.top.terminal")
local units = require("tidemill.plan.units")
local view = require("tidemill.cli.top.view")

local top = {
  summary = "Show a running pipeline on the terminal: rates, lag, workers, and what limits it.",
  description = "Show a running pipeline on the terminal, once a second: what limits it and what to change, rates, "
    .. "lag, batches in progress against processes, why batches were closed, block sizes, workers, partitions and dead "
    .. "letters. q or Ctrl-C ends it. The pipeline must run with --metrics-addr, or with metrics in its file. When "
    .. "standard output is not a terminal the view is printed once. NO_COLOR turns colours off.",
}

local PATIENCE = 2 -- seconds for an answer, while the next one is asked for anyway ...
local PATIENCE_ONCE = 10 -- ... and where it is the only one
local STALE = 4 -- seconds without a new snapshot that are worth a line
local WIDTH = 100 -- columns where there is no terminal
local ENDLESS = 1e6 -- rows where lines just follow each other

local STYLES = { heading = "1", dim = "2", good = "1;32", warning = "1;33" }

function top.define(command)
  command:argument("address"):argname("ADDR")
    :description("Where the pipeline answers: HOST:PORT, as 127.0.0.1:9464.")
  command:flag("--once"):description("Print the view once, as plain text, and end.")
  command:option("--interval"):argname("TIME"):default("1s"):description("The time from one view to the next.")
    :convert(function(text)
      local microseconds, reason = units.time(text)
      if not microseconds then return nil, ("--interval %s: %s"):format(text, reason) end
      if microseconds < 1e5 or microseconds > 3600e6 then
        return nil, ("--interval %s: must be from 100ms to 1h"):format(text)
      end
      return microseconds / 1e6
    end)
end

local function painted(lines, colours)
  if not colours then return view.plain(lines) end
  local texts = {}
  for i, spans in ipairs(lines) do
    local parts = {}
    for j, span in ipairs(spans) do
      local style = STYLES[span[2]]
      parts[j] = style and ("\27[%sm%s\27[0m"):format(style, span[1]) or span[1]
    end
    texts[i] = table.concat(parts)
  end
  return texts
end

local function failed(reason, code)
  stderr.failure("%s", reason)
  return code
end

-- A server that answers with version 1 and nonsense behind it is no pipeline of ours.
local function lines_of(status, width, height, context)
  local made, lines = pcall(view.lines, status, width, height, context)
  if made then return lines end
  return nil, ("http://%s/status: the answer makes no sense (%s)"):format(context.address, tostring(lines))
end

local function print_once(address, ascii)
  local status, reason, code = http_client.status(address, PATIENCE_ONCE)
  if not status then return failed(reason, code) end
  local width = terminal.size() or tonumber(os.getenv("COLUMNS") or "") or WIDTH
  local lines, wrong = lines_of(status, math.max(width, 20), ENDLESS, { address = address, ascii = ascii })
  if not lines then return failed(wrong, exit_code.DATA) end
  io.stdout:write(table.concat(view.plain(lines), "\n"), "\n")
  return exit_code.OK
end

-- ---- the loop ----

-- What is known of the pipeline: status and since when it is the same, or since when there is none, and why.
local function ask(self)
  local now = os.time()
  local status, reason, code = http_client.status(self.address, PATIENCE)
  if not status then
    self.status, self.reason, self.code, self.gone_since = nil, reason, code, self.gone_since or now
    return
  end
  if status.time ~= self.last_time then self.last_time, self.changed_at = status.time, now end
  self.status, self.gone_since, self.name = status, nil, status.name
end

local function draw(self)
  local now, width, height = os.time(), terminal.size()
  if not width then width, height = 80, 24 end
  local context = { address = self.address, ascii = self.ascii, name = self.name }
  local lines
  if self.status then
    local still = now - self.changed_at
    if still >= STALE then context.stale = still end
    lines, self.reason = lines_of(self.status, width, height, context)
    context.gone = 0
  else
    context.gone = now - self.gone_since
  end
  return self.screen:draw(painted(lines or view.gone(self.reason, width, height, context), self.colours))
end

local LEAVE = { [3] = true, [("q"):byte()] = true, [("Q"):byte()] = true } -- 3 is Ctrl-C

-- Returns the exit code when it is time to end.
local function wait_for_next(self, interval)
  local next_time = self.clock() + interval
  while true do
    local left = next_time - self.clock()
    if left <= 0 then return nil end
    local what, value = self.screen:wait(left)
    if what == "signal" then return 128 + (value or 15) end
    if what == "closed" or what == "key" and LEAVE[value] then return exit_code.OK end
    if what == "resize" and not draw(self) then return exit_code.OK end
  end
end

local function loop(self, interval)
  while true do
    if not draw(self) then return exit_code.OK end
    local code = wait_for_next(self, interval)
    if code then return code end
    ask(self)
  end
end

local function watch(address, interval, ascii)
  local self = { address = address, ascii = ascii, colours = terminal.has_colours(),
    clock = require("socket").gettime }
  ask(self)
  -- Where nobody listens the address may be wrong; who only takes long is asked again.
  local late = self.reason and self.reason:find(http_client.LATE, 1, true)
  if not self.status and not late then return failed(self.reason, self.code) end
  self.screen = terminal.open()
  local done, result = xpcall(loop, debug.traceback, self, interval)
  self.screen:close()
  if not done then error(result, 0) end
  return result
end

function top.run(parsed)
  local address, reason, code = http_client.address(parsed.address)
  if not address then return failed(reason, code) end
  local ascii = not terminal.shows_utf8()
  if parsed.once or not terminal.can_draw() then return print_once(address, ascii) end
  return watch(address, parsed.interval, ascii)
end

return top
