-- SPDX-License-Identifier: MIT
-- Lines that `tidemill record` wrote, or somebody by hand (lib/record_line.lua): a line is refused with a reason, or
-- it is a message. What the engine writes of any bytes (shm/message_json.h) is read as these bytes. The table codec
-- of tide.json reads the same as lua-cjson, and gives back what it reads. Input: the line.
local ffi = require("ffi")
local cjson = require("cjson")
local answer = require("tidemill.run.answer")
local base64 = require("tidemill.lib.base64")
local batches = require("spec.support.batch")
local header_codec = require("tidemill.run.headers")
local json = require("tidemill.run.json")
local record = require("tidemill.lib.record_line")
local C = require("spec.support.headers").declare("base/text.h", "shm/message_json.h")

-- Several of its lines run for each letter; scripts/fuzz/targets/dead_letter.lua has them count.
base64.encode, base64.decode = fuzz_uncounted(base64.encode), fuzz_uncounted(base64.decode)

local null = json.null
local reference = cjson.new()
reference.decode_max_depth(1100)
reference.decode_invalid_numbers(false)

local function is_text(value)
  return value == nil or value == null or type(value) == "string"
end

-- The message of a line; nil when it is refused.
local function read(text)
  local opened, view = pcall(json.open_copy, text)
  if not opened then return nil end
  local made = record.read { json = view, topic = "file", offset = 0 }
  local outcome, _, reason = answer.of(made)
  if outcome then
    assert(outcome == answer.REJECT and type(reason) == "string" and reason ~= "", "refused without a reason")
    return nil
  end
  assert(is_text(made.value) and is_text(made.key), "a value or a key that is no text")
  header_codec.list(made.headers, 1)
  return made
end

local line = ffi.gc(ffi.new "struct tide_text", C.tide_text_free)

local function check_round_trip(text)
  local half = math.floor(#text / 2)
  local headers = { { text:sub(1, half), text:sub(half + 1) }, { "plain" } }
  local packed = batches.pack(headers)
  line.length = 0
  C.tide_text_string(line, "{")
  C.tide_json_field(line, "value", text, #text)
  C.tide_text_string(line, ",")
  C.tide_json_field(line, "key", #text % 2 == 0 and text or nil, #text)
  C.tide_text_string(line, ",")
  assert(C.tide_json_headers(line, packed, #packed, 2 ^ 32 - 1) == 0)
  C.tide_text_string(line, "}")
  local made = assert(read(ffi.string(line.data, line.length)), "what the engine wrote is refused")
  assert(made.value == text and made.key == (#text % 2 == 0 and text or null), "other bytes")
  for i, header in ipairs(headers) do
    local other = made.headers[i]
    assert(other[1] == header[1] and other[2] == (header[2] or null), "another header")
  end
end

-- Whether two values are the same, but for numbers, which lua-cjson rounds beyond 2^53.
local function same(one, other)
  if type(one) ~= "table" then
    return one == other or type(one) == "cdata" or type(one) == "number" and type(other) == "number"
  end
  for key, value in pairs(one) do
    if not same(value, other[key]) then return false end
  end
  for key in pairs(other) do
    if one[key] == nil then return false end
  end
  return true
end

local MOST_OFTEN, OFTEN = 2000, 20

local function check_tables(text)
  local read_here, value = pcall(json.public.table, text)
  if not read_here or type(value) ~= "table" then return end
  local read_there, expected = pcall(reference.decode, text)
  if read_there then assert(same(value, expected), "lua-cjson reads another value") end
  local again = json.public.table(json.public.encode(value))
  assert(same(value, again), "the text of a table is another table")
  -- Tables of names that came often are made in another way (run/json_shapes.h).
  if #text > MOST_OFTEN then return end
  local read_often, list = pcall(json.public.table, "[" .. (text .. ","):rep(OFTEN - 1) .. text .. "]")
  if not read_often then return end -- it nests one deeper
  assert(same(value, list[1]) and same(value, list[OFTEN]), "the table of a text that came often is another one")
  assert(json.public.encode(list[1]) == json.public.encode(list[OFTEN]), "it has another text")
end

return function(text)
  read(text)
  check_round_trip(text)
  check_tables(text)
  json.reset()
end
