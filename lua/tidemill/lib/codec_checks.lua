-- SPDX-License-Identifier: MIT
-- lib/codec_checks.lua: what tide.avro and tide.protobuf ask of the tables that they write. What is wrong is raised as
-- a table { text }.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local marks = require("tidemill.run.marks")
local null = require("tidemill.run.json").null
local varint = require("tidemill.lib.varint")

local codec_checks = {}

local DEEPEST = 100

--- Raises a text.
function codec_checks.fail(text, ...)
  error({ text:format(...) }, 0)
end

local fail = codec_checks.fail

--- Raises that a value is not `what`.
function codec_checks.wrong(what, value)
  fail("takes %s, got %s", what, value == null and "null" or arguments.shown(value))
end

local wrong = codec_checks.wrong

-- An int64 or uint64 as a number, where that is exact; else nil.
local function number_of(value)
  local whole = varint.integer(value, -0x8000000000000000LL, 0xFFFFFFFFFFFFFFFFULL)
  local number = whole and tonumber(whole)
  if number and number < 2 ^ 63 and number >= -2 ^ 63 and ffi.cast("int64_t", number) == whole then return number end
  return nil
end

--- What a script gave as a double: nil for what is no number, and for an integer that no double holds.
function codec_checks.number(value)
  if type(value) == "number" then return value end
  return number_of(value)
end

--- The same; raises in place of nil.
function codec_checks.double(value)
  if type(value) == "number" then return value end
  return number_of(value) or wrong("a number", value)
end

local single = ffi.new("float[1]")

--- The same for a float, to which numbers are rounded: one beyond the largest float is refused.
function codec_checks.float(value)
  local number = codec_checks.double(value)
  single[0] = number
  if single[0] ~= number and (single[0] == math.huge or single[0] == -math.huge) then
    wrong("a number that a float holds", value)
  end
  return number
end

--- A table that is no deeper than tables may be.
function codec_checks.table(value, depth, what)
  if type(value) ~= "table" or marks.of(value) == marks.STAND_IN or marks.of(value) == marks.NOTHING then
    wrong(what, value)
  end
  if depth > DEEPEST then fail("is nested deeper than %d, or in a cycle", DEEPEST) end
end

--- The number of elements of an array, which are 1 to n.
function codec_checks.count(value)
  local count = 0
  for key in pairs(value) do
    if type(key) ~= "number" then wrong("an array", value) end
    count = count + 1
  end
  for i = 1, count do
    if rawget(value, i) == nil then fail("takes an array with the keys 1 to n, without gaps") end
  end
  return count
end

--- Raises the first key of a table that is no field of the node, which has fewer of them.
function codec_checks.no_field(value, node)
  local known, names = {}, {}
  for _, field in ipairs(node.fields) do known[field.name] = true end
  for name in pairs(value) do
    if not known[name] then names[#names + 1] = type(name) == "string" and name or arguments.shown(name) end
  end
  table.sort(names)
  fail("has no field %s", names[1])
end

return codec_checks
