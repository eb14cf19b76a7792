-- SPDX-License-Identifier: MIT
-- cli/tap.lua: tidemill tap ADDR shows samples of the messages that go through a running pipeline. The pipeline makes
-- them (metrics/tap.lua); this command asks for them and shows them.
local cjson = require("cjson.safe")
local exit_code = require("tidemill.plan.exit_code")
local http_client = require("tidemill.cli.http_client")
local posix = require("tidemill.run.posix")
local sample_text = require("tidemill.cli.sample_text")
local stderr = require("tidemill.cli.stderr")
local tap_match = require("tidemill.metrics.tap_match")
local tap_part = require("tidemill.metrics.tap")
local terminal = require("tidemill.cli.top.terminal")
local text = require("tidemill.cli.top.text")
local C = require("tidemill.run.ffi").C
local whole_number = require("tidemill.cli.dlq.filter").whole_number

local tap = {
  summary = "Show samples of the messages that go through a running pipeline.",
  description = "Show samples of the messages that go through a running pipeline: each as it came into a step, its "
    .. "fate (forwarded, filtered, accumulated, rejected, retry, waits, dropped) and in what its results differ from "
    .. "it. On a terminal it is text for people, elsewhere JSON, one object a line. The pipeline is not slowed down: "
    .. "it looks at a bounded number of messages a second, and samples that the reader does not take are lost and "
    .. "counted. Since contents may be secret, the pipeline must allow it: run --tap, or tide.metrics { tap = true }. "
    .. "Ctrl-C ends it.",
}

local SILENCE = 15 -- seconds; the pipeline sends a line each second
local STDOUT = 1

function tap.define(command)
  command:argument("address"):argname("ADDR")
    :description("Where the pipeline answers HTTP (--metrics-addr), as 127.0.0.1:9464.")
  command:option("--step"):argname("N"):convert(whole_number("--step", 1))
    :description("Only this step, as `tidemill top` numbers them; without it all steps and what the output refuses.")
  command:option("--engine"):argname("K"):convert(whole_number("--engine", 1))
    :description("Of several engines only this one; without it all of them.")
  command:option("--match"):argname("CONDITION"):count("*"):target("match"):init({})
    :description("Only messages, as they come into the step, that this holds for: " .. tap_match.HELP
      .. ". May be repeated: all of them hold.")
    :action(function(result, target, condition) table.insert(result[target], condition) end)
  command:option("--limit"):argname("N"):convert(whole_number("--limit", 1)):description("End after N samples.")
  command:option("--rate"):argname("N"):convert(whole_number("--rate", 1)):default(tostring(tap_part.RATE))
    :description(("How many samples a second at most, up to %d."):format(tap_part.MOST_RATE))
  command:flag("--json"):description("JSON lines on a terminal too.")
end

local function encoded(plain)
  return (plain:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function path_of(parsed)
  local parts = { "rate=" .. parsed.rate, parsed.step and "step=" .. parsed.step or nil }
  if parsed.engine then parts[#parts + 1] = "engine=" .. parsed.engine end
  for i, match in ipairs(parsed.match) do parts[#parts + 1] = ("match%d=%s"):format(i, encoded(match)) end
  return "/tap?" .. table.concat(parts, "&")
end

local STATUS = { [403] = exit_code.CONFIG, [400] = exit_code.USAGE, [409] = exit_code.USAGE }

local COUNTS = { passed = "number", examined = "number", matched = "number", lost = "number" }
local SAMPLE = { stage = "string", fate = "string", partition = "number", offset = "number", before = "table",
  results = "number", after = "table" }

-- A line of the pipeline's as a table; nil for what it never sends.
local function decoded(line)
  local sample = line:sub(1, 1) == "{" and cjson.decode(line)
  if not sample then return nil end
  for name, kind in pairs(sample.tap and COUNTS or SAMPLE) do
    if type(sample[name]) ~= kind then return nil end
  end
  for _, after in ipairs(sample.after or {}) do
    if type(after) ~= "table" or type(after.changed) ~= "table" then return nil end
  end
  return sample
end

local NONE_CAME = "no message has come yet; waiting for one (Ctrl-C ends it)"
local NONE_MATCHED = "none of %.0f messages matched yet; waiting for one (Ctrl-C ends it)"

-- Nothing to show for a second is said, and why, lest it looks as if nothing happened: each of the two once.
local function tell_of_waiting(self, counts)
  local why = counts.passed == 0 and NONE_CAME or NONE_MATCHED
  if not self.counts or self.shown > 0 or self.told == why then return end
  self.told = why
  stderr.failure(why, counts.passed)
end

-- Shows one line of the pipeline's. Counts are told at the end, and samples that were lost at once.
local function show(self, line)
  local sample = decoded(line)
  if not sample then
    self.refusal = text.clean(line:sub(1, 500))
    return true
  end
  if sample.tap then
    if sample.lost > (self.counts and self.counts.lost or 0) then
      stderr.failure("%d samples were lost: they came too fast for this side, or were too large; the pipeline does not "
        .. "wait", sample.lost)
    end
    tell_of_waiting(self, sample)
    self.counts = sample
    return true
  end
  if self.style then line = table.concat(sample_text.lines(sample, self.style), "\n") end
  self.shown = self.shown + 1
  local written = io.stdout:write(line, "\n") and io.stdout:flush()
  return written and self.shown ~= self.limit
end

local function usage(mistake)
  stderr.failure("%s", mistake)
  return exit_code.USAGE
end

-- Says what the samples are samples of.
local function conclude(self)
  local counts = self.counts
  if not counts or counts.passed < self.shown then return end -- they are those of the last second
  stderr.failure("%d samples; of %.0f messages that passed, %.0f were looked at and %.0f matched", self.shown,
    counts.passed, counts.examined, counts.matched)
end

function tap.run(parsed)
  local address, wrong = http_client.address(parsed.address)
  if not address then return usage(wrong) end
  local conditions, mistake = tap_match.all(parsed.match)
  if not conditions then return usage(mistake) end
  parsed.rate = tonumber(parsed.rate)
  if parsed.rate > tap_part.MOST_RATE then
    return usage(("--rate %d: at most %d samples a second"):format(parsed.rate, tap_part.MOST_RATE))
  end
  local self = { shown = 0, limit = parsed.limit }
  if not parsed.json and posix.isatty(STDOUT) == 1 then
    self.style = { colour = not os.getenv("NO_COLOR"), width = terminal.size() }
  end
  local path = path_of(parsed)
  if #path - #"/tap?" >= C.TIDE_HTTP_QUERY then
    return usage(("the conditions of --match are too long together: %d bytes in the request; at most %d"):format(
      #path - #"/tap?", C.TIDE_HTTP_QUERY - 1))
  end
  local done, reason, code, status = http_client.lines(address, path, function(line)
    return show(self, line)
  end, SILENCE)
  if done and (self.refusal or not self.counts) then -- a pipeline sends counts first
    stderr.failure("http://%s/tap: this is no answer of a pipeline%s", address,
      self.refusal and ": " .. self.refusal or "")
    return exit_code.DATA
  end
  if done then
    conclude(self)
    return exit_code.OK
  end
  stderr.failure("%s", status and self.refusal or reason)
  return STATUS[status] or code
end

return tap
