-- SPDX-License-Identifier: MIT
-- run/pack.lua: packs several messages into one value, which is what tide.batch makes and tide.unbatch takes apart.
-- The value is 8 bytes MAGIC, then for each message a struct tide_packed and its bytes: topic, value, key, headers
-- (run/headers.lua).
local ffi = require("ffi")
local check = require("tidemill.run.check")
local header_codec = require("tidemill.run.headers")
local message = require("tidemill.run.message")

ffi.cdef [[
struct tide_packed {
    int64_t offset;
    int64_t timestamp;
    int32_t partition;
    int32_t value_length; /* -1 = null */
    int32_t key_length;   /* -1 = null */
    uint32_t headers_length;
    uint32_t topic_length;
    uint32_t chosen; /* 1: a function chose the topic, 2: the partition; else the message came from there */
};
]]

local pack = {}

local MAGIC = "tidepk1\n"
local HEAD = ffi.sizeof "struct tide_packed"

-- Raises in the line of the script when an element has not what pack_one reads.
local function check_messages(list)
  for i, m in ipairs(list) do
    if not message.is(m) and (type(m) ~= "table" or type(m.headers) ~= "table") then
      error(("tide.pack takes an array of messages; number %d is %s"):format(i, check.shown(m)), 3)
    end
  end
end

-- The checks raise errors by the number of frames, so this must be called by what the script calls.
local function pack_one(m, parts)
  local value, key = check.bytes_or_null("value", m.value), check.bytes_or_null("key", m.key)
  local topic, headers = check.bytes_or_null("topic", m.topic) or "", header_codec.pack(header_codec.list(m.headers, 3))
  local to_topic, to_partition = message.choice_of(m)
  local head = ffi.new("struct tide_packed", check.integer("offset", m.offset or 0, 0, 2 ^ 53),
    check.integer("timestamp", m.timestamp or -1, -1, 2 ^ 53),
    check.integer("partition", m.partition or 0, 0, 2 ^ 31 - 1),
    value and #value or -1, key and #key or -1, #headers, #topic,
    (to_topic and 1 or 0) + (to_partition and 2 or 0))
  parts[#parts + 1] = ffi.string(head, HEAD)
  parts[#parts + 1] = topic
  parts[#parts + 1] = value or ""
  parts[#parts + 1] = key or ""
  parts[#parts + 1] = headers
end

--- An array of messages or copies -> a value.
function pack.pack(list)
  local parts, wrong = { MAGIC }, check.not_array(list)
  if wrong then
    local verb = type(list) == "table" and "has" or "is"
    error(("tide.pack takes an array of messages; this %s %s"):format(verb, wrong), 2)
  end
  check_messages(list)
  for _, m in ipairs(list) do pack_one(m, parts) end
  return table.concat(parts)
end

--- The same, one message at a time, for an accumulator.
function pack.new()
  return { MAGIC }
end

pack.append = function(parts, m)
  pack_one(m, parts)
  return parts
end

pack.result = table.concat

local function unpack_one(bytes, room)
  if room < HEAD then return nil end
  local head = ffi.new "struct tide_packed" -- a copy: nothing in a value is aligned
  ffi.copy(head, bytes, HEAD)
  local value_length, key_length = math.max(head.value_length, 0), math.max(head.key_length, 0)
  local size = HEAD + head.topic_length + value_length + key_length + head.headers_length
  if size > room then return nil end
  local at = bytes + HEAD
  local function take(length)
    at = at + length
    return ffi.string(at - length, length)
  end
  local m = { offset = tonumber(head.offset), timestamp = tonumber(head.timestamp), partition = head.partition }
  m.topic = take(head.topic_length)
  m.value = take(value_length)
  m.key = take(key_length)
  if head.value_length < 0 then m.value = nil end
  if head.key_length < 0 then m.key = nil end
  m.headers = header_codec.read(at, head.headers_length)
  if not m.headers then return nil end
  local chosen = head.chosen
  return message.as_copy(m, chosen % 2 == 1 and m.topic or nil, chosen >= 2 and m.partition or nil), size
end

--- The messages of a value as an array of copies; or nil and what is wrong.
function pack.unpack(value)
  if type(value) ~= "string" or value:sub(1, #MAGIC) ~= MAGIC then
    return nil, "the value is none that tide.batch made"
  end
  local list, at, bytes = {}, #MAGIC, ffi.cast("const char *", value)
  while at < #value do
    local m, size = unpack_one(bytes + at, #value - at)
    if not m then return nil, "the value of tide.batch ends early" end
    list[#list + 1] = m
    at = at + size
  end
  return list
end

return pack
