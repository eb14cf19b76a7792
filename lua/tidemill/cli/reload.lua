-- SPDX-License-Identifier: MIT
-- cli/reload.lua: tidemill reload FILE|ADDR|PID has a running pipeline load its transforms anew (docs/reload.md), by a
-- signal, so it runs on the machine of the pipeline and as its user. Where the pipeline answers HTTP, GET /status tells
-- what came of it, and the exit code says so. That is known when the new transforms are not watched any more: until
-- then those before them may come back.
local canary = require("tidemill.cli.canary")
local exit_code = require("tidemill.plan.exit_code")
local ffi = require("ffi")
local http_client = require("tidemill.cli.http_client")
local options = require("tidemill.cli.options")
local pipeline_file = require("tidemill.plan.pipeline_file")
local posix = require("tidemill.run.posix")
local signals = require("tidemill.cli.signals")
local stderr = require("tidemill.cli.stderr")
local text_file = require("tidemill.plan.text_file")
local units = require("tidemill.plan.units")

local reload = {
  summary = "Load the transforms of a running pipeline again, without a stop.",
  description = "Have a running pipeline load its pipeline file and transforms again, without a stop "
    .. "(docs/reload.md), whether the files have changed or not. With an address, or a pipeline file whose metrics "
    .. "name one, it waits for the outcome: exit 0 if the new transforms run and have been watched for watch_time; 78, "
    .. "with the reason, if they cannot be loaded, if an option needs a restart, or if they were rolled back. With a "
    .. "process id the log of the pipeline has the outcome. It sends a signal (SIGUSR1), so it works only on the "
    .. "machine of the pipeline, for its user and root.",
}

local LOOK = 0.2 -- seconds between two looks at the status, which is made once a second
local PATIENCE = 180 -- seconds: start_timeout is a minute for each file and hook

local function share_of(text)
  local share, reason = units.share(text)
  if not share then return nil, ("--canary %s: %s"):format(text, reason) end
  if share ~= 0 and (share < 0.0001 or share > 1) then
    return nil, ("--canary %s: must be 0, or from 0.01%% to 100%%"):format(text)
  end
  return share
end

function reload.define(command)
  command:argument("target"):argname("TARGET")
    :description("The pipeline file, or where the pipeline answers: HOST:PORT, as 127.0.0.1:9464; or its process id.")
  command:flag("--no-watch"):target("no_watch")
    :description("End as soon as the new transforms run; do not wait whether they are rolled back.")
  command:option("--canary"):argname("SHARE"):convert(share_of)
    :description("Run this share of the batches (5%, or 0.05) by the new transforms, too, before they take over; 0: "
      .. "none. The reload is refused if they reject more than the setting reload allows, or if a worker dies or "
      .. "hangs. Overrides the pipeline's setting.")
  command:flag("--compare")
    :description("Refuse the reload at the first result that is not byte for byte the same. Without a share, here or "
      .. "in the pipeline file, all batches are run by both.")
  options.set(command)
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
local function send(pid, parsed)
  local problem = problem_of(pid)
  if problem then return failed(exit_code.USAGE, "%s", problem) end
  local number = canary.encode(parsed.canary, parsed.compare)
  if posix.tide_posix_sigqueue(pid, signals.USR1, ffi.cast("void *", number)) ~= 0 then
    return failed(exit_code.CONFIG, "process %d cannot be sent a signal: it is another user's", pid)
  end
end

local function number_of(status)
  return status.reload and status.reload.last and status.reload.last.number or 0
end

local function tell_failure(status)
  local last = status.reload.last
  for line in last.text:gmatch "[^\n]+" do stderr.line(line) end
  local goes_on = last.outcome == "rolled_back" and "rolled back; revision %d of the transforms runs again"
    or "revision %d of the transforms goes on"
  return failed(exit_code.CONFIG, goes_on, status.revision)
end

local WATCHED = { leaving = true, watching = true, returning = true }

local function say(text, ...)
  io.stdout:write(text:format(...), "\n")
  io.stdout:flush()
end

-- Calls each(status) until it returns something; `seconds`: nil = for ever. A canary takes the time that it takes. Of
-- several engines nothing is told while none has said how it is: at the start, and when all were lost. A pipeline that
-- does not answer in time may be stopped for a moment, and goes on with the reload.
-- Returns that, or nil, the exit code.
local function watch(address, each, seconds)
  local socket = require("socket")
  local deadline = seconds and socket.gettime() + seconds
  repeat
    socket.sleep(LOOK)
    local status, reason, code = http_client.status(address)
    if not status and not reason:find(http_client.LATE, 1, true) then return nil, failed(code, "%s", reason) end
    local seen = status and status.reload
    local found = seen and each(status)
    if found then return found end
    if deadline and seen and seen.state == "canary" then deadline = socket.gettime() + seconds end
  until deadline and socket.gettime() > deadline
  return nil, failed(exit_code.TEMPORARY, "the transforms are not loaded after %d s; GET /status and the log tell more",
    seconds)
end

-- The number tells this reload from another one that follows it.
local function await(address, before, parsed)
  local status, code = watch(address, function(seen) return number_of(seen) > before and seen end, PATIENCE)
  if not status then return code end
  local number = number_of(status)
  if status.reload.last.outcome ~= "done" then return tell_failure(status) end
  say("revision %d of the transforms runs now", status.revision)
  if parsed.no_watch then return exit_code.OK end
  status, code = watch(address, function(seen)
    return (number_of(seen) > number or not WATCHED[seen.reload.state]) and seen
  end)
  if not status then return code end
  if number_of(status) == number then
    say("revision %d of the transforms stays", status.revision)
  elseif status.reload.last.outcome == "rolled_back" then
    return tell_failure(status)
  else
    say("another reload has followed it")
  end
  return exit_code.OK
end

local LOCAL = { ["127.0.0.1"] = true, localhost = true, ["::1"] = true, ["[::1]"] = true }

-- name: of the pipeline that is meant; nil = any.
local function by_address(text, parsed, name)
  local address, reason, code = http_client.address(text)
  if not address then return failed(code or exit_code.USAGE, "%s", reason) end
  if not LOCAL[address:match "^(.*):%d+$"] then
    return failed(exit_code.USAGE, "%s: a pipeline is told by a signal, so say this on its own machine, with 127.0.0.1",
      address)
  end
  local status
  status, reason, code = http_client.status(address)
  if not status then return failed(code, "%s", reason) end
  if name and status.name ~= name then
    return failed(exit_code.CONFIG, '%s: the pipeline "%s" answers there, and the file is of "%s"', address,
      status.name, name)
  end
  if not status.reload and not status.engines then
    return failed(exit_code.CONFIG, "%s: the pipeline is of a version without reload", address)
  elseif not status.reload then
    status, code = watch(address, function(seen) return seen end, PATIENCE)
    if not status then return code end
  end
  return send(status.pid, parsed) or await(address, number_of(status), parsed)
end

local ANY = { ["0.0.0.0"] = "127.0.0.1", ["::"] = "[::1]", ["::1"] = "[::1]" } -- how a host is reached from here

-- A file with faults is not asked for at all: what it says is what the pipeline would say of it.
local function by_file(path, parsed)
  local pipeline, texts, code = pipeline_file.load(path, parsed.set)
  if not pipeline then
    stderr.lines(texts)
    return code
  end
  local address = pipeline.metrics and pipeline.metrics.values.prometheus
  if not address or address.port == 0 then
    return failed(exit_code.USAGE, "%s: %s; say where the pipeline answers (HOST:PORT), or its process id", path,
      address and "its metrics take any port that is free" or "it has no metrics = tide.metrics { prometheus = "
        .. "ADDRESS }, by which the pipeline could be found")
  end
  return by_address(("%s:%d"):format(ANY[address.host] or address.host, address.port), parsed, pipeline.name)
end

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

function reload.run(parsed)
  local pid = tonumber(parsed.target:match "^%d+$")
  if not pid and is_file(parsed.target) then return by_file(parsed.target, parsed) end
  if not pid and parsed.target:find "%.lua$" then
    return failed(exit_code.NO_INPUT, "%s: no such file", parsed.target)
  end
  if not pid then return by_address(parsed.target, parsed) end
  local code = send(pid, parsed)
  if code then return code end
  io.stdout:write(("process %d was told; its log says what comes of it\n"):format(pid))
  return exit_code.OK
end

return reload
