-- SPDX-License-Identifier: MIT
-- cli/dlq/replay.lua: tidemill dlq replay SOURCE sends messages back to where they came from, at least once: what was
-- acknowledged is remembered each second, so that only a kill or a lost connection may send those of a second again.
local cjson = require("cjson")
local chain = require("tidemill.cli.dlq.chain")
local selection = require("tidemill.cli.dlq.selection")
local exit_code = require("tidemill.plan.exit_code")
local filter = require("tidemill.cli.dlq.filter")
local dead_letter = require("tidemill.cli.dlq.dead_letter")
local output = require("tidemill.cli.dlq.output")
local stderr = require("tidemill.cli.stderr")

local replay = {
  summary = "Send the messages of dead letters back to their topics.",
  description = "Send the messages of dead letters back to the topics and partitions they came from: key, value and "
    .. "headers as they were, and a header tidemill.replay_count. A dead letter of stage produce holds what the "
    .. "output refused, the function's result: it goes to that topic, and not through the function again (REPLAY TO "
    .. "of list tells where). One of a step after others in workers of their own may hold what those made of the "
    .. "message (intermediate): it is refused unless --to names a topic, as it would go through them again. One of a "
    .. "timer (timer) holds no message, and is refused. Dead letters that were acknowledged are remembered (in the "
    .. "committed offsets of the group tidemill-dlq-TOPIC, or in FILE.processed: move it with its file), and the next "
    .. "replay skips them. At least once: after a kill the dead letters of the last second may be sent again. Brokers "
    .. "forget the group's offsets offsets.retention.minutes (7 days) after the last replay or drop; then all dead "
    .. "letters count as new, and replay says so. Run one at a time.",
}

function replay.define(command)
  selection.define(command)
  output.define(command)
  command:flag("--dry-run"):description("Only list the dead letters that would be replayed.")
  command:option("--to"):argname("TOPIC"):description("Send to this topic, by their keys, in place of the original "
    .. "topics.")
  command:option("--max-replays"):argname("N"):default("3"):convert(filter.whole_number("--max-replays", 1))
    :description("Refuse a message that was replayed N times already, since it would only come back.")
  command:flag("--truncated"):description("Also send dead letters whose value was cut, with as much of it as there is.")
  command:option("--value"):argname("FILE")
    :description("Send what is in FILE (- is stdin) in place of the value, for one that was corrected by hand; "
      .. "exactly one dead letter must be chosen.")
  command:flag("--keep-timestamp")
    :description("Keep the original timestamp (by which a topic may delete the message at once) in place of the "
      .. "present time.")
end

local function key_of(partition, offset)
  return partition .. "/" .. offset
end

-- Why a dead letter is not replayed; nil when it is.
local function refusal(found, chosen, parsed)
  if found.timer then
    return "is a timer of tide.keyed that failed, and no message: there is nothing to send. The timer is over and the "
      .. "state of its key stays: a new message of that key may set it again (tidemill dlq drop takes this one away)"
  elseif found.replays >= parsed.max_replays then
    return ("was replayed %d times already (--max-replays %d)"):format(found.replays, parsed.max_replays)
  elseif found.truncated and not parsed.truncated and not parsed.value then
    return "is truncated (--truncated sends what there is)"
  elseif not parsed.to and found.intermediate then
    return ("holds what an earlier step made of %s, and the steps before would be run on it again (--to TOPIC sends it "
      .. "elsewhere)"):format(dead_letter.origin(found))
  elseif not parsed.to and not dead_letter.destination(found) then
    return "is a result that an output refused, and does not tell which (--to TOPIC sends it)"
  elseif chosen.source.kind == "topic" and (parsed.to or dead_letter.destination(found)) == chosen.source.name then
    return "came from the dead letters' own topic (--to TOPIC sends it elsewhere)"
  end
end

-- Decides what becomes of the dead letters that were chosen. Returns { letters = those to be sent, due = the same by
-- partition and offset, topics = where they go, refused and outputs = how many are refused, and go to the output }.
local function sort_out(chosen, parsed)
  local work = { letters = {}, due = {}, topics = {}, refused = 0, outputs = 0 }
  local known = {}
  for _, found in ipairs(chosen.letters) do
    local reason = refusal(found, chosen, parsed)
    if reason then
      work.refused = work.refused + 1
      stderr.failure("dead letter %s: %s", dead_letter.id(found), reason)
    else
      local topic = parsed.to or dead_letter.destination(found)
      if found.target_topic and not parsed.to then work.outputs = work.outputs + 1 end
      if not known[topic] then known[topic], work.topics[#work.topics + 1] = true, topic end
      work.due[key_of(found.partition, found.offset)] = true
      work.letters[#work.letters + 1] = found
    end
  end
  return work
end

-- The function that runs in the worker: it returns the message as it was, for those to be sent.
local function sender(source, due, parsed)
  local read = source.kind == "topic" and dead_letter.of_message or dead_letter.of_line
  return function(message)
    if not due[key_of(message.partition, tonumber(message.offset))] then return nil end
    local found = read(message)
    local topic, partition = dead_letter.destination(found)
    if parsed.to then topic, partition = parsed.to, nil end
    return {
      key = found.key or cjson.null, value = parsed.bytes or found.value or cjson.null,
      headers = dead_letter.replay_headers(found),
      topic = topic, partition = partition,
      timestamp = parsed.keep_timestamp and found.original_timestamp or os.time() * 1000,
    }
  end
end

-- Remembers what is acknowledged. Returns true, or nil and the reason.
local function remember(chosen, work, engine)
  local positions = chain.positions(engine)
  local result, reason = chosen.marks:with(chosen.scan.seen, function(partition, offset)
    return work.due[key_of(partition, offset)] == true and offset < (positions[partition] or -1)
  end)
  if not result then return nil, reason end
  return chosen.marks:write(result)
end

local function count_sent(letters, engine)
  local positions, sent = chain.positions(engine), 0
  for _, found in ipairs(letters) do
    if found.offset < (positions[found.partition] or -1) then sent = sent + 1 end
  end
  return sent
end

-- Returns what chain.run calls for each event. A partition that comes a second time would be read from its start again,
-- and sent again, so that ends the run.
local function watcher(chosen, work, engine)
  local stopping, assigned = false, false
  return function(event)
    if event.kind == "second" then
      local written, reason = remember(chosen, work, engine)
      if not written then return reason, exit_code.TEMPORARY end
    elseif chain.ends(event) then
      if stopping then return chain.stopped(event) end
      stopping = true
      engine:close()
    elseif event.kind == "lost" or event.kind == "assigned" and assigned then
      return "the group's coordinator was lost in between; run it again", exit_code.TEMPORARY
    elseif event.kind == "assigned" then
      assigned = true
    end
  end
end

-- The dlq's topic is on the output's cluster, which may be another than the input's.
local function of_output(source)
  return setmetatable({ write = source.read }, { __index = source })
end

local function is_split(source)
  return source.read and source.write and source.read[1].value ~= source.write[1].value
end

-- Sends them. Returns how many were acknowledged, and the reason and the exit code when that is not all.
local function send(chosen, work, parsed)
  local source, marks = chosen.source, chosen.marks
  local engine, reason, code = chain.new(source, sender(source, work.due, parsed), chain.topics(work.topics))
  if not engine then return 0, reason, code end
  local opened, written, unwritten
  opened, reason = marks:open()
  code = exit_code.TEMPORARY
  if opened then
    local reached = work.outputs > 0 and of_output(source) or source
    reason, code = chain.run(engine, reached, watcher(chosen, work, engine))
    written, unwritten = remember(chosen, work, engine)
    if not written then reason, code = reason or unwritten, code or exit_code.TEMPORARY end
  end
  local sent = count_sent(work.letters, engine)
  marks:close()
  engine:free()
  if not reason and sent < #work.letters then reason, code = "stopped", exit_code.TEMPORARY end
  return sent, reason, code
end

-- Returns why it cannot be done, and the exit code; nil when it can.
local function obstacle(chosen, work, parsed)
  local count = #work.letters
  if not chosen.source.write and not parsed.dry_run then
    return "where to? The source names no Kafka; say --brokers HOST:PORT", exit_code.USAGE
  end
  if work.outputs > 0 and work.outputs < count and is_split(chosen.source) then
    return "dead letters of stage produce go to the output's brokers, the others to the input's: choose one of both "
      .. "kinds, as by --stage produce", exit_code.USAGE
  end
  local fits, reason = chosen.marks:with(chosen.scan.seen, function(partition, offset)
    return work.due[key_of(partition, offset)] == true
  end)
  return not fits and count > 0 and reason or nil, exit_code.USAGE
end

-- The bytes that --value names; nil, the reason and the exit code when there are none.
local function read_value(path)
  local file, reason = io.stdin, nil
  if path ~= "-" then file, reason = io.open(path, "rb") end
  local text
  if file then text, reason = file:read("*a") end
  if file and path ~= "-" then file:close() end
  if not text then return nil, ("--value: %s"):format(reason), exit_code.NO_INPUT end
  return text
end

function replay.run(parsed)
  if parsed.value then
    local reason, code
    parsed.bytes, reason, code = read_value(parsed.value)
    if reason then
      stderr.failure("%s", reason)
      return code
    end
  end
  local chosen, code = selection.new(parsed)
  if not chosen then return code end
  if parsed.value and #chosen.letters ~= 1 then
    stderr.failure("--value: needs one dead letter, and %d are chosen", #chosen.letters)
    return exit_code.USAGE
  end
  local work = sort_out(chosen, parsed)
  local count, sent, done = #work.letters, 0, work.refused > 0 and exit_code.DATA or exit_code.OK
  local where = (" to %s; %d refused"):format(count > 0 and table.concat(work.topics, ", ") or "no topic",
    work.refused)
  local reason
  reason, code = obstacle(chosen, work, parsed)
  if chosen.marks.empty and count > 0 then
    stderr.failure("nothing is remembered of %s, not yet or not any more: all its dead letters count as new",
      chosen.source.name)
  end
  if reason then
    stderr.failure("%s", reason)
    return code
  elseif parsed.dry_run then
    output.list(work.letters, parsed.format)
    stderr.failure("would replay %s%s", selection.count(count), where)
    return done
  end
  if count > 0 then sent, reason, code = send(chosen, work, parsed) end
  if reason then stderr.failure("%s", reason) end
  stderr.failure("replayed %s%s%s", selection.count(sent), where,
    sent < count and ("; %d are left"):format(count - sent) or "")
  return reason and code or done
end

return replay
