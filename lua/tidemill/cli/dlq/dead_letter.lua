-- SPDX-License-Identifier: MIT
-- cli/dlq/dead_letter.lua reads a dead letter as engine/chain/dead_letter.c writes it, to a topic or as a line of a
-- file.
--
-- A dead letter is a table: partition, offset (its own place; of a file 0 and the line, from 0), key, value, headers
-- (the original ones), original_topic, original_partition, original_offset, original_timestamp (ms), original_count,
-- stage, reason, error, traceback, cause, attempts, truncated, original_size, sha256, replays (how often it was
-- replayed before); target_topic, target_partition: of a record that an output refused (stage produce), which is what
-- the dead letter holds; intermediate: it holds what an earlier step made of the message, and a later one rejected;
-- timer: it holds no message but a timer of tide.keyed, whose key and time (original_timestamp) it has.
local cjson = require("cjson")
local base64 = require("tidemill.lib.base64")

local dead_letter = {}

--- The header that counts replays. Messages have headers of their own, so its name is one that is ours.
dead_letter.REPLAYS = "tidemill.replay_count"

local NUMBERS = { "original_partition", "original_offset", "original_timestamp", "original_count", "attempts",
  "original_size", "target_partition" }
local TEXTS = { "original_topic", "target_topic", "stage", "reason", "error", "traceback", "cause", "sha256" }
local MARKS = { "truncated", "intermediate", "timer" }
local LARGEST = 2 ^ 53

-- Reads a whole number as the engine writes it, in decimal digits or as a number of JSON; nil for anything else.
local function whole(value)
  if type(value) == "string" then value = value:find("^%-?%d+$") and tonumber(value) end
  return type(value) == "number" and value % 1 == 0 and math.abs(value) <= LARGEST and value or nil
end

-- nil when a field is not what the engine writes there.
local function finish(found, headers, partition, offset)
  for _, name in ipairs(NUMBERS) do found[name] = whole(found[name]) end
  for _, name in ipairs { "original_partition", "target_partition" } do
    local number = found[name]
    if number and (number < 0 or number >= 2 ^ 31) then found[name] = nil end
  end
  for _, name in ipairs(TEXTS) do
    if found[name] ~= nil and type(found[name]) ~= "string" then return nil end
  end
  found.headers, found.partition, found.offset = headers, tonumber(partition), tonumber(offset)
  found.replays = 0
  for _, header in ipairs(headers) do
    if header[1] == dead_letter.REPLAYS then found.replays = math.max(0, whole(header[2]) or 0) end
  end
  return found
end

--- Reads a message of the dlq's topic; nil when it is no dead letter. The headers from the last original_topic on are
--- the engine's; those before it are the message's own, whatever their names.
function dead_letter.of_message(message)
  local headers, first = message.headers, nil
  for i, header in ipairs(headers) do
    if header[1] == "original_topic" then first = i end
  end
  if not first then return nil end
  local found, own = { key = message.key, value = message.value }, {}
  for i, header in ipairs(headers) do
    if i < first then own[i] = header else found[header[1]] = header[2] end
  end
  for _, name in ipairs(MARKS) do found[name] = found[name] == "true" end
  return finish(found, own, message.partition, message.offset)
end

local function text(value)
  if type(value) == "string" then return (base64.decode(value)) end
end

--- Reads a message whose value is a line of a dead-letter file; nil when it is no dead letter.
function dead_letter.of_line(message)
  local done, found = pcall(cjson.decode, message.value or "")
  if not done or type(found) ~= "table" or not found.original_topic then return nil end
  local headers = {}
  for i, header in ipairs(type(found.headers) == "table" and found.headers or {}) do
    if type(header) ~= "table" or not text(header[1]) then return nil end
    headers[i] = { text(header[1]), text(header[2]) }
  end
  for name, value in pairs(found) do
    if value == cjson.null then found[name] = nil end
  end
  found.key, found.value = text(found.key), text(found.value)
  for _, name in ipairs(MARKS) do found[name] = found[name] == true end
  found.truncated = false -- a file takes them whole
  return finish(found, headers, message.partition, message.offset)
end

--- Its own place, as the command line takes it.
function dead_letter.id(found)
  return ("%d/%.0f"):format(found.partition, found.offset)
end

--- Where its message came from.
function dead_letter.origin(found)
  return ("%s/%d/%.0f"):format(found.original_topic, found.original_partition or -1, found.original_offset or -1)
end

--- Where a replay sends it: topic and partition (nil = by its key). A record that an output refused goes there: it is
--- what the function made of a message, and must not go through it again. nil when that is not told, and of what is
--- neither for the input nor for the output yet, or no message.
function dead_letter.destination(found)
  if found.target_topic then return found.target_topic, found.target_partition end
  if found.stage == "produce" or found.intermediate or found.timer then return nil end
  return found.original_topic, found.original_partition
end

--- The headers with which it is replayed.
function dead_letter.replay_headers(found)
  local headers = {}
  for _, header in ipairs(found.headers) do
    if header[1] ~= dead_letter.REPLAYS then headers[#headers + 1] = header end
  end
  headers[#headers + 1] = { dead_letter.REPLAYS, ("%d"):format(found.replays + 1) }
  return headers
end

return dead_letter
