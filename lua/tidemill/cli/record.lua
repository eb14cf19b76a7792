-- SPDX-License-Identifier: MIT
-- cli/record.lua: tidemill record FILE: some messages of a pipeline's source into a file, for specs to replay.
local engine = require("tidemill.run.engine")
local exit_code = require("tidemill.cli.exit_code")
local options = require("tidemill.cli.options")
local plan = require("tidemill.plan.plan")
local say = require("tidemill.cli.say")
local signals = require("tidemill.cli.signals")

local record = {
  summary = "Take messages from a pipeline's source into a file, for a spec to replay.",
  description = "Take the first messages of a pipeline's source into a file, one JSON object a line (topic, key, "
    .. "headers, value), for test:replay(FILE) of tidemill.testing. It reads in a group of its own from the start "
    .. "and commits nothing. A signal (Ctrl-C) ends it early; what was taken by then is in the file.",
}

function record.define(command)
  options.file(command)
  options.set(command)
  command:option("--count"):argname("N"):default("100"):convert(tonumber):description("How many messages at the most.")
  command:option("--out"):argname("FILE"):default("recorded.jsonl"):description("Where to; it is overwritten.")
  command:option("--input"):argname("FILE"):description("Read lines of FILE (- is stdin) in place of the source.")
end

-- Runs until enough is written or the source ends. nil, or the exit code and the text of a failure.
local function take(checked, count)
  local self, text, status = engine.new(checked)
  if not self then return -status, text end
  local connection, reason = checked:connection()
  if not connection then return exit_code.CONFIG, reason end
  local started
  started, text, status = self:start(connection)
  if not started then return -status, text end
  local event, closing
  repeat
    event = self:run(0.1)
    local stopped = event.kind == "signal" and signals.ends(event.number)
    if not closing and (stopped or self:totals().produced >= count) then
      closing = true
      self:close()
    end
  until event.kind == "done" or event.kind == "failed"
  self:free()
  if event.kind == "failed" then return -event.status, event.text end
end

-- The engine reads in spans, so the last one may be larger than what was asked for.
local function cut(from, to, count)
  local out, reason = io.open(to, "wb")
  if not out then return nil, reason end
  local written = 0
  for line in io.lines(from) do
    if written == count then break end
    out:write(line, "\n")
    written = written + 1
  end
  out:close()
  return written
end

function record.run(parsed)
  if not parsed.count or parsed.count < 1 or parsed.count % 1 ~= 0 then
    say.failure("--count: must be a whole number above 0")
    return exit_code.USAGE
  end
  local taken = os.tmpname()
  local checked, texts, status = plan.load(parsed.file, { set = parsed.set, input = parsed.input, record = taken,
    until_end = not parsed.input, handle_signals = true, writes = { { "--out", parsed.out } } })
  if not checked then
    say.lines(texts)
    return status
  end
  local failed, text = take(checked, parsed.count)
  if failed then
    say.line(text)
    return failed
  end
  local written, reason = cut(taken, parsed.out, parsed.count)
  os.remove(taken)
  if not written then
    say.failure("%s", reason)
    return exit_code.NO_INPUT
  end
  io.stdout:write(("%d messages in %s\n"):format(written, parsed.out))
  return exit_code.OK
end

return record
