-- SPDX-License-Identifier: MIT
-- cli/reload.lua: tidemill reload PID|ADDR has a running pipeline load its transforms anew (docs/reload.md), by a
-- signal, so it runs on the machine of the pipeline and as its user. Where the pipeline answers HTTP, GET /status tells
-- what came of it, and the exit code says so.
local exit_code = require("tidemill.plan.exit_code")
local http_client = require("tidemill.cli.http_client")
local posix = require("tidemill.run.posix")
local signals = require("tidemill.cli.signals")
local stderr = require("tidemill.cli.stderr")
local text_file = require("tidemill.plan.text_file")

local reload = {
  summary = "Have a running pipeline load its transforms anew, without a stop.",
  description = "Have a running pipeline load its pipeline file and its transforms anew, without a stop "
    .. "(docs/reload.md), whether the files have changed or not. With an address it waits for the outcome: exit 0 when "
    .. "the new transforms run, 78 when they cannot be loaded or an option needs a restart; then those that ran before "
    .. "go on, and why is told. With a process id the log of the pipeline tells it. It is a signal (SIGUSR1) and "
    .. "works on the machine of the pipeline alone, for its user and root.",
}

local LOOK = 0.2 -- seconds between two looks at the status, which is made once a second
local PATIENCE = 180 -- seconds: start_timeout is a minute for each file and hook

function reload.define(command)
  command:argument("target"):argname("TARGET")
    :description("The process id of the pipeline, or where it answers: HOST:PORT, as 127.0.0.1:9464.")
end

local function failed(code, text, ...)
  stderr.failure(text, ...)
  return code
end

-- A number may be another process's by now, so only a `tidemill run` is sent anything. Nil, or what is wrong.
local function problem_of(pid)
  local text = text_file.read(("/proc/%d/cmdline"):format(pid))
  if not text then return ("there is no process %d on this machine"):format(pid) end
  local words = {}
  for word in text:gmatch "[^%z]+" do words[#words + 1] = word end
  for i, word in ipairs(words) do
    if word:match "[^/]*$" == "tidemill" and words[i + 1] == "run" then return nil end
  end
  return ("process %d is no tidemill run: %s"):format(pid, table.concat(words, " "))
end

-- Nil, or the exit code of a failure that was told.
local function send(pid)
  local problem = problem_of(pid)
  if problem then return failed(exit_code.USAGE, "%s", problem) end
  if posix.kill(pid, signals.USR1) ~= 0 then
    return failed(exit_code.CONFIG, "process %d cannot be sent a signal: it is another user's", pid)
  end
end

local function number_of(status)
  return status.reload and status.reload.last and status.reload.last.number or 0
end

local function tell(status)
  local last = status.reload.last
  if last.outcome == "failed" then
    for line in last.text:gmatch "[^\n]+" do stderr.line(line) end
    return failed(exit_code.CONFIG, "revision %d of the transforms goes on", status.revision)
  end
  io.stdout:write(("revision %d of the transforms runs now\n"):format(status.revision))
  return exit_code.OK
end

local function await(address, before)
  local socket = require("socket")
  local deadline = socket.gettime() + PATIENCE
  repeat
    socket.sleep(LOOK)
    local status, reason, code = http_client.status(address)
    if not status then return failed(code, "%s", reason) end
    if number_of(status) > before then return tell(status) end
  until socket.gettime() > deadline
  return failed(exit_code.TEMPORARY, "the transforms are not loaded after %d s; GET /status and the log tell more",
    PATIENCE)
end

local LOCAL = { ["127.0.0.1"] = true, localhost = true, ["::1"] = true, ["[::1]"] = true }

local function by_address(text)
  local address, reason, code = http_client.address(text)
  if not address then return failed(code or exit_code.USAGE, "%s", reason) end
  if not LOCAL[address:match "^(.*):%d+$"] then
    return failed(exit_code.USAGE, "%s: a pipeline is told by a signal, so say this on its own machine, with 127.0.0.1",
      address)
  end
  local status
  status, reason, code = http_client.status(address)
  if not status then return failed(code, "%s", reason) end
  if not status.revision then
    return failed(exit_code.CONFIG, "%s: the pipeline has no transforms, or is of a version without reload", address)
  end
  return send(status.pid) or await(address, number_of(status))
end

function reload.run(parsed)
  local pid = tonumber(parsed.target:match "^%d+$")
  if not pid then return by_address(parsed.target) end
  local code = send(pid)
  if code then return code end
  io.stdout:write(("process %d was told; its log says what comes of it\n"):format(pid))
  return exit_code.OK
end

return reload
