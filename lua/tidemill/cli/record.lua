-- SPDX-License-Identifier: MIT
-- cli/record.lua: tidemill record FILE writes some messages of a pipeline's source to a file, for specs to replay.
local engines = require("tidemill.run.engine")
local exit_code = require("tidemill.plan.exit_code")
local options = require("tidemill.cli.options")
local plan = require("tidemill.plan.plan")
local stderr = require("tidemill.cli.stderr")
local tide = require("tidemill.run.ffi")
local signals = require("tidemill.cli.signals")
local whole_number = require("tidemill.cli.dlq.filter").whole_number

local record = {
  summary = "Write messages of a pipeline's source to a file, for a spec to replay.",
  description = "Write messages of a pipeline's source to a file, one JSON object a line (topic, key, headers, "
    .. "timestamp, value), for test:replay(FILE) of tidemill.testing and for `tidemill run --input FILE "
    .. "--input-format json`. It reads in a group of its own, from the oldest message to the present end of the "
    .. "topic, and commits nothing. A signal (Ctrl-C) ends it early; the file then has what was read by then.",
}

function record.define(command)
  options.file(command)
  options.set(command)
  command:option("--count"):argname("N"):default("100"):convert(whole_number("--count", 1))
    :description("How many messages to write at most.")
  command:option("--match"):argname("TEXT"):description("Only messages whose value contains this text.")
  command:option("--partition"):argname("N"):convert(whole_number("--partition", 0))
    :description("Only messages of this partition.")
  command:flag("--latest"):description("Wait for messages that come from now on, until there are N; Ctrl-C ends it "
    .. "earlier.")
  command:option("--out"):argname("FILE"):default("recorded.jsonl")
    :description("The file to write (- is stdout); it is overwritten.")
  command:option("--input"):argname("FILE"):description("Read lines of FILE (- is stdin) in place of the source.")
end

-- Runs until enough is written, the source ends or a signal comes. Returns nil, or the exit code and text of a failure.
local function take(checked, count)
  local engine, text, status = engines.new(checked)
  if not engine then return -status, text end
  local connection, reason = checked:connection()
  if not connection then return exit_code.CONFIG, reason end
  local started
  started, text, status = engine:start(connection)
  if not started then return -status, text end
  local event, closing
  repeat
    event = engine:run(0.1)
    local stopped = event.kind == "signal" and signals.ends(event.number)
    if not closing and (stopped or engine:totals().produced >= count) then
      closing = true
      engine:close()
    end
  until event.kind == "done" or event.kind == "failed"
  engine:free()
  if event.kind == "failed" then return -event.status, event.text end
end

local function failure(path, number)
  local status = tide.C.tide_output_failed(path, number)
  return nil, tide.error(), -status
end

-- Copies `count` lines: the engine reads many messages in a turn, so there may be more than were asked for.
-- Returns how many there were, or nil, the reason and the exit code when they cannot be written.
local function cut(from, to, count)
  local is_standard = to == "-"
  local out, _, number = io.stdout, nil, nil
  if not is_standard then out, _, number = io.open(to, "wb") end
  if not out then return failure(to, number) end
  local written, done = 0, true
  for line in io.lines(from) do
    if written == count then break end
    done, _, number = out:write(line, "\n")
    if not done then break end
    written = written + 1
  end
  local closed, _, late = out[is_standard and "flush" or "close"](out) -- what was buffered may fail only now
  if not (done and closed) then return failure(to, number or late) end
  return written
end

-- Returns a function that says whether a message is wanted; nil when all are.
local function chosen(parsed)
  local partition, text = parsed.partition, parsed.match
  if not partition and not text then return nil end
  return function(message)
    return (not partition or message.partition == partition)
      and (not text or (message.value or ""):find(text, 1, true) ~= nil)
  end
end

function record.run(parsed)
  if parsed.latest and parsed.input then
    stderr.failure("--latest and --input exclude each other")
    return exit_code.USAGE
  end
  local taken = os.tmpname()
  local checked, texts, status = plan.load(parsed.file, { set = parsed.set, input = parsed.input, record = taken,
    keep = chosen(parsed), latest = parsed.latest, until_end = not parsed.input and not parsed.latest,
    handle_signals = true, streams = true, writes = parsed.out ~= "-" and { { "--out", parsed.out } } or nil })
  if not checked then
    os.remove(taken)
    stderr.lines(texts)
    return status
  end
  local failed, text = take(checked, parsed.count)
  local written, reason, code
  if not failed then written, reason, code = cut(taken, parsed.out, parsed.count) end
  os.remove(taken)
  if failed then
    stderr.line(text)
    return failed
  end
  if not written then
    stderr.failure("%s", reason)
    return code
  end
  local most = written == parsed.count and ", as many as --count says" or ""
  if parsed.out ~= "-" then io.stdout:write(("%d messages in %s%s\n"):format(written, parsed.out, most)) end
  return exit_code.OK
end

return record
