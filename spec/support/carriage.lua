-- SPDX-License-Identifier: MIT
-- Random messages and random topics, and a naive model of what becomes of each message in the pipeline of
-- spec/kafka/carriage_spec.lua. The model knows Kafka's rules and the transform's; it knows nothing of the program.
local carriage = {}

local random = math.random

local YEAR_3000, DAY, HOUR = 32503680000000, 86400000, 3600000 -- ms

local function pick(list)
  return list[random(#list)]
end

local function maybe(value, one_in)
  if random(one_in) == 1 then return value end
end

-- ---- messages ----

local function bytes(length)
  local parts = {}
  for i = 1, math.min(length, 64) do parts[i] = string.char(random(0, 255)) end
  local pattern = table.concat(parts)
  return #pattern > 0 and pattern:rep(math.ceil(length / #pattern)):sub(1, length) or ""
end

-- Mostly small, some as large as `most`.
local function size(most)
  local kind = random(40)
  if kind == 1 then return random(0, most) end
  if kind <= 4 then return random(0, math.min(most, 5000)) end
  return random(0, 200)
end

local NUMBERS = { "0", "-0", "1.0", "1e2", "0.1", "9007199254740993", "18446744073709551615",
  "123456789012345678901234567890", "-1E-400", "1.10" }
local TEXTS = { "", "\\u00e9", "\\ud834\\udd1e", "a\\/b", "tab\\t", "\195\169" }

local function json_value()
  return ('{"n":%s, "s":"%s","deep":[{"x":null}]}'):format(pick(NUMBERS), pick(TEXTS))
end

-- Names are UTF-8 by Kafka's protocol: a broker that compresses anew writes U+FFFD for what is not.
local NAMES = { "h", "h", "", " ", "\195\169", "\1", "a=b", "a,b", "\240\144\128\128", "X-Trace", "original_topic",
  "error", "stage", "reason", "attempts", "replay_count", "truncated", "sha256", ("n"):rep(300) }

local function headers()
  local list = {}
  local count = random(30) == 1 and random(300) or random(0, random(0, 4))
  for i = 1, count do
    list[i] = { pick(NAMES) }
    if random(5) > 1 then list[i][2] = pick { "", "1", "0x10", bytes(random(0, 20)) } end
  end
  return list
end

local function time(now)
  local kind = random(6)
  if kind == 1 then return random(1, 1000) end
  if kind == 2 then return math.floor(random() * YEAR_3000) + 1 end
  if kind == 3 then return YEAR_3000 - random(0, 1000) end
  if kind == 4 then return now - 30 * DAY - random(0, 1000) end
  return now - HOUR + random(0, 1000)
end

local function draw(round, now)
  local kind = random(10)
  return {
    key = random(4) > 1 and (pick { "", "k", "key " .. random(50), bytes(random(40)) }) or nil,
    value = kind > 1 and (kind <= 4 and json_value() or bytes(size(round.most))) or nil,
    headers = headers(), partition = random(0, round.partitions - 1), timestamp = time(now),
  }
end

--- Random messages for a topic that is empty. In exactly once each refusal costs an aborted transaction, some
--- seconds; there only few are refused.
function carriage.messages(round, count, now)
  local list, offsets = {}, {}
  while #list < count do
    local message = draw(round, now)
    message.offset = offsets[message.partition] or 0
    local record = carriage.result(message)
    if not round.exactly_once or not record or not carriage.refused(record, round.output, now) or random(100) == 1 then
      offsets[message.partition] = message.offset + 1
      list[#list + 1] = message
    end
  end
  return list
end

-- ---- topics ----

--- Options of one round: partitions, and the settings of its three topics, of its producer and of its pipeline.
function carriage.round()
  local codec = pick { "uncompressed", "producer", "gzip", "lz4", "snappy", "zstd" }
  local still = { ["segment.ms"] = "9223372036854775807", ["min.compaction.lag.ms"] = "9223372036854775807" }
  local function settings(more)
    for name, value in pairs(still) do more[name] = value end
    return more
  end
  local small = random(2) == 1
  return {
    partitions = random(4), exactly_once = random(2) == 1, processes = random(2), max_batch_size = pick { 1, 7, 1000 },
    compression = not small and pick { "none", "gzip", "lz4", "snappy", "zstd" } or "none",
    most = small and 12000 or pick { 3000, 40000, 400000 },
    input = settings { ["compression.type"] = codec, ["max.message.bytes"] = 2000000 },
    output = settings {
      ["cleanup.policy"] = pick { "delete", "delete", "compact" },
      ["max.message.bytes"] = small and pick { 1100, 4000, 10000 } or 4000000,
      ["message.timestamp.type"] = pick { "CreateTime", "CreateTime", "CreateTime", "LogAppendTime" },
      ["message.timestamp.after.max.ms"] = maybe(("%d"):format(10 * DAY), 2),
      ["message.timestamp.before.max.ms"] = maybe(("%d"):format(365 * DAY), 3),
      ["min.insync.replicas"] = random(2), ["compression.type"] = not small and codec or nil,
    },
    letters = settings { ["max.message.bytes"] = pick { 20000, 4000000 }, ["retention.ms"] = ("%d"):format(HOUR) },
  }
end

-- ---- the transform, and what it should do ----

--- What the pipeline runs. carriage.results says the same in the model's words.
carriage.TRANSFORM = [[function(message)
  local kind = (tonumber(message.offset) + 3 * message.partition) % 8
  if kind == 3 and message.value and message.value:sub(1, 2) == '{"' then
    local event = message.json
    event.copy = event.n
    event.seen = true
  elseif kind == 3 then
    message.value = (message.value or "") .. "\0edited"
  elseif kind == 4 then
    local headers = message.headers
    headers[#headers + 1] = { "added\195\191", tide.null }
    message.headers, message.timestamp = headers, message.timestamp + 1
    message.key = message.key == nil and "new" or nil
  elseif kind == 5 then
    return { value = tide.null, headers = { { "only", "" } }, timestamp = message.timestamp + 2 }
  elseif kind == 6 then
    message.value = "a change that a rejected message does not keep"
    return tide.reject("no good")
  elseif kind == 7 then
    if message.offset % 16 < 8 then return nil end
    error("a mistake")
  end
  return message
end]]

local function copy(message)
  local one = { key = message.key, value = message.value, headers = {}, partition = message.partition,
    timestamp = message.timestamp }
  for i, header in ipairs(message.headers) do one.headers[i] = header end
  return one
end

--- What the transform makes of an input message: a record; or nil, and the reason of its dead letter (nil: filtered).
function carriage.result(message)
  local kind, record = (message.offset + 3 * message.partition) % 8, copy(message)
  if kind == 3 and message.value and message.value:sub(1, 2) == '{"' then
    record.value = ('%s,"copy":%s,"seen":true}'):format(message.value:sub(1, -2), message.value:match('^{"n":([^,]+),'))
  elseif kind == 3 then
    record.value = (message.value or "") .. "\0edited"
  elseif kind == 4 then
    record.headers[#record.headers + 1] = { "added\195\191" }
    record.timestamp, record.key = record.timestamp + 1, message.key == nil and "new" or nil
  elseif kind == 5 then
    record.value, record.headers, record.timestamp = nil, { { "only", "" } }, message.timestamp + 2
  elseif kind == 6 then
    return nil, "rejected"
  elseif kind == 7 then
    return nil, message.offset % 16 >= 8 and "error" or nil
  end
  return record
end

-- ---- what a topic takes ----

local function varint(number) -- length of a zigzag varint
  number = number < 0 and -2 * number - 1 or 2 * number
  local length = 1
  while number >= 128 do number, length = math.floor(number / 128), length + 1 end
  return length
end

local function field(text)
  return varint(text and #text or -1) + (text and #text or 0)
end

--- Bytes of a batch of this record alone (Kafka protocol, record batch version 2): 61 of the batch's head, then the
--- record: its length, attributes, two deltas that are 0, key, value, headers.
function carriage.batch_bytes(record)
  local body = 3 + field(record.key) + field(record.value) + varint(#record.headers)
  for _, header in ipairs(record.headers) do body = body + field(header[1]) + field(header[2]) end
  return 61 + varint(body) + body
end

--- Whether a topic of these settings refuses the record.
function carriage.refused(record, settings, now)
  local after = tonumber(settings["message.timestamp.after.max.ms"])
  local before = tonumber(settings["message.timestamp.before.max.ms"])
  local judged = settings["message.timestamp.type"] == "CreateTime"
  return settings["cleanup.policy"] == "compact" and record.key == nil
    or carriage.batch_bytes(record) > settings["max.message.bytes"]
    or judged and (after and record.timestamp - now > after or before and now - record.timestamp > before) or false
end

-- ---- comparing ----

local function quote(text)
  return text and ("%d:%s"):format(#text, text) or "~"
end

--- A record as one text, by which two are the same or not.
function carriage.text(record, without_time)
  local parts = { record.partition, quote(record.key), quote(record.value),
    without_time and "-" or ("%.0f"):format(record.timestamp) }
  for _, header in ipairs(record.headers) do parts[#parts + 1] = quote(header[1]) .. "=" .. quote(header[2]) end
  return table.concat(parts, "|")
end

local function shown(text)
  return (text:gsub("[^\32-\126]", function(byte) return ("\\x%02x"):format(byte:byte()) end))
end

-- Where the first of the missing differs from what resembles it most, since most of a record is right.
local function nearest(text, others)
  local best, length = "nothing", 0
  for _, other in ipairs(others) do
    local same = 0
    while same < #text and text:byte(same + 1) == other:byte(same + 1) do same = same + 1 end
    if same >= length then best, length = other, same end
  end
  local from = math.max(1, length - 100)
  return ("from byte %d of its text on, wanted:\n  %s\nthere is:\n  %s"):format(from,
    shown(text:sub(from, from + 400)), shown(best:sub(from, from + 400)))
end

--- Raises where records of one partition are in another order.
function carriage.same_order(wanted, seen, partitions, what)
  for partition = 0, partitions - 1 do
    local texts, prefix = {}, partition .. "|"
    for _, text in ipairs(seen) do
      if text:sub(1, #prefix) == prefix then texts[#texts + 1] = text end
    end
    local at = 0
    for _, text in ipairs(wanted) do
      if text:sub(1, #prefix) == prefix then
        at = at + 1
        if texts[at] ~= text then error(("%s, %d/%d: out of order"):format(what, partition, at - 1), 2) end
      end
    end
  end
end

--- Raises what one list of texts has and the other has not, each as often as it is there.
function carriage.same(wanted, seen, what)
  local counts, missing, more = {}, {}, {}
  for _, text in ipairs(wanted) do counts[text] = (counts[text] or 0) + 1 end
  for _, text in ipairs(seen) do counts[text] = (counts[text] or 0) - 1 end
  for text, count in pairs(counts) do
    local list = count > 0 and missing or more
    for _ = 1, math.abs(count) do list[#list + 1] = text end
  end
  if #missing + #more == 0 then return end
  table.sort(missing)
  table.sort(more)
  error(("%s: %d records of the model are missing, %d are there that it has not; %s"):format(what, #missing,
    #more, missing[1] and nearest(missing[1], more) or "one too many:\n  " .. shown(more[1]:sub(1, 400))), 2)
end

return carriage
