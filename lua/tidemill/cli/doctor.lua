-- SPDX-License-Identifier: MIT
-- cli/doctor.lua: tidemill doctor ADDR|REPORT shows what limits a pipeline, why, and where it stands in the four steps
-- of tuning. It asks the pipeline that runs at an address for its verdict on the last ten seconds, or reads a report,
-- which has that on the whole run. The verdict is made where the counters are (tuning/advisor.lua), not here.
local cjson = require("cjson.safe").new()
local exit_code = require("tidemill.plan.exit_code")
local http_client = require("tidemill.cli.http_client")
local json = require("tidemill.cli.json")
local stderr = require("tidemill.cli.stderr")
local text = require("tidemill.cli.top.text")

local doctor = {
  summary = "Say what limits a pipeline, with the evidence, and what to change.",
  description = "Say what limits a pipeline, with the evidence, and what to change. ADDR is the HOST:PORT of a "
    .. "pipeline that runs with --metrics-addr or tide.metrics; it is judged by its last ten seconds. REPORT is what "
    .. "`run --report` wrote; it is judged by the whole run. The exit code is 0 whatever the limit is; 69 if nobody "
    .. "answers at ADDR, 66 if REPORT cannot be read, 65 if it is no report.",
}

function doctor.define(command)
  command:argument("ADDR|REPORT"):argname("ADDR|REPORT"):target("target")
    :description("HOST:PORT of a running pipeline, or a --report file.")
  command:flag("--json"):description("Write the verdict as JSON on one line.")
end

local UNKNOWN = "the verdict is not in a form that this tidemill knows; use the same version on both sides"

local function is_text(value)
  return type(value) == "string"
end

local function is_procedure(rows)
  if type(rows) ~= "table" then return false end
  for _, row in ipairs(rows) do
    local whole = type(row) == "table" and is_text(row.state) and is_text(row.name) and is_text(row.text)
    if not whole then return false end
  end
  return true
end

local function is_evidence(evidence)
  if type(evidence) ~= "table" then return false end
  for name, value in pairs(evidence) do
    if not is_text(name) or type(value) ~= "number" then return false end
  end
  return true
end

local function is_number_or_nil(value)
  return value == nil or type(value) == "number"
end

-- True for a verdict as tuning/advisor.lua makes it.
local function is_verdict(verdict)
  return type(verdict) == "table" and is_text(verdict.limit) and is_text(verdict.text)
    and (verdict.advice == nil or is_text(verdict.advice)) and is_number_or_nil(verdict.step)
    and is_number_or_nil(verdict.since) and is_evidence(verdict.evidence or {})
    and is_procedure(verdict.procedure or {})
end

-- Returns the verdict of a report, or nil, the reason and the exit code.
local function of_report(file, path)
  local bytes, reason = file:read("*a")
  file:close()
  if not bytes then return nil, ("%s: %s"):format(path, reason), exit_code.NO_INPUT end
  local report = cjson.decode(bytes)
  if type(report) ~= "table" or type(report.metrics) ~= "table" then
    return nil, path .. ": this is not a report of tidemill run --report; of a pipeline that runs "
      .. "say its HOST:PORT (--metrics-addr)", exit_code.DATA
  end
  local verdict = http_client.without_null(report).verdict
  if type(verdict) ~= "table" then
    return nil, path .. ": this report has no verdict: an older tidemill wrote it", exit_code.DATA
  end
  if not is_verdict(verdict) then return nil, path .. ": " .. UNKNOWN, exit_code.DATA end
  return verdict
end

local function of_address(target)
  local address = http_client.address(target)
  if not address then
    return nil, target .. ": no such file, and not an address HOST:PORT", exit_code.NO_INPUT
  end
  local status, reason, code = http_client.status(address)
  if not status then return nil, reason, code end
  if not is_verdict(status.verdict) then
    return nil, ("http://%s/status: %s"):format(address, UNKNOWN), exit_code.DATA
  end
  return status.verdict
end

local STATE = { done = "done ", now = "NOW  ", later = "later" }

local function show_evidence(evidence)
  local names = {}
  for name in pairs(evidence) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = ("  %s = %.4g"):format(text.clean(name), evidence[name]) end
  return #names > 0 and "evidence:\n" .. table.concat(names, "\n") .. "\n" or ""
end

local function show_procedure(procedure)
  local lines = {}
  for i, row in ipairs(procedure) do
    lines[i] = ("  %d. %s %-12s %s"):format(i, STATE[row.state] or text.clean(row.state), text.clean(row.name),
      text.clean(row.text))
  end
  return #lines > 0 and "procedure:\n" .. table.concat(lines, "\n") .. "\n" or ""
end

--- Returns a verdict as text for people. It may have come from elsewhere, so it is made fit for a terminal.
function doctor.text(verdict)
  local step = verdict.step and (" (step %d)"):format(verdict.step) or ""
  local since = verdict.since and verdict.since >= 0.5 and ("for %.0f s: "):format(verdict.since) or ""
  return ("limit: %s%s\n%s%s\n%s%s%s"):format(text.clean(verdict.limit), step, since, text.clean(verdict.text),
    verdict.advice and "advice: " .. text.clean(verdict.advice) .. "\n" or "", show_evidence(verdict.evidence or {}),
    show_procedure(verdict.procedure or {}))
end

function doctor.run(parsed)
  local file = io.open(parsed.target)
  local verdict, reason, code
  if file then
    verdict, reason, code = of_report(file, parsed.target)
  else
    verdict, reason, code = of_address(parsed.target)
  end
  if not verdict then
    stderr.failure("%s", reason)
    return code
  end
  io.stdout:write(parsed.json and json.line(verdict, { procedure = true }) .. "\n" or doctor.text(verdict))
  return exit_code.OK
end

return doctor
