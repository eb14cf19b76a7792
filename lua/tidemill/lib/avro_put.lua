-- SPDX-License-Identifier: MIT
-- lib/avro_put.lua: what the functions call that lib/avro_write.lua makes: each writes one value into the memory of
-- lib/varint.lua, and raises what is wrong with it as a table { text }.
--
-- A value of a union goes to the one branch that takes it. Numbers go to the first that holds them as they are; where
-- several branches take any other value, nothing is guessed: it is refused.
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local checks = require("tidemill.lib.codec_checks")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")
local varint = require("tidemill.lib.varint")
local C = require("tidemill.run.ffi").C

local fail, wrong = checks.fail, checks.wrong
local null = json.null
local put_zigzag, put_bytes, put_byte = varint.put_zigzag, varint.put_bytes, varint.put_byte

local parts = { null = null, put_bytes = put_bytes, put_zigzag = put_zigzag, wrong = wrong, table = checks.table,
  count = checks.count, no_field = checks.no_field }

function parts.boolean(value)
  if type(value) ~= "boolean" then wrong("a boolean", value) end
  put_byte(value and 1 or 0)
end

function parts.int(value)
  local whole = varint.integer(value, -0x80000000, 0x7FFFFFFF)
  if not whole then wrong("an int (32 bits)", value) end
  put_zigzag(type(whole) == "number" and whole or tonumber(whole))
end

function parts.long(value)
  local whole = varint.integer(value, -0x8000000000000000LL, 0x7FFFFFFFFFFFFFFFLL)
  if not whole then wrong("a long (64 bits)", value) end
  put_zigzag(whole)
end

function parts.float(value)
  varint.put_float(checks.float(value))
end

function parts.double(value)
  varint.put_double(checks.double(value))
end

function parts.bytes(value)
  if type(value) ~= "string" then wrong("bytes (a string)", value) end
  put_zigzag(#value)
  put_bytes(value)
end

function parts.string(value)
  if type(value) ~= "string" then wrong("a string", value) end
  if not C.tide_utf8_is(value, #value) then fail("takes a string in UTF-8") end
  put_zigzag(#value)
  put_bytes(value)
end

function parts.fixed(value, size)
  if type(value) ~= "string" or #value ~= size then
    if type(value) == "string" then fail("takes %d bytes, got %d", size, #value) end
    wrong(("%d bytes (a string)"):format(size), value)
  end
  put_bytes(value)
end

function parts.enum(value, number_of_symbol)
  local number = type(value) == "string" and number_of_symbol[value]
  if not number then wrong("a symbol of its enum", value) end
  put_zigzag(number)
end

function parts.missing()
  fail("has no value, and no default")
end

-- ---- unions ----

local NUMBERS = { int = true, long = true, float = true, double = true }
local single = ffi.new("float[1]")

-- Whether a branch may take a value: by its type alone. A number is held as it is.
local function may_take(node, value)
  local kind = node.kind
  if NUMBERS[kind] then
    if kind == "int" then return varint.integer(value, -0x80000000, 0x7FFFFFFF) ~= nil end
    if kind == "long" then return varint.integer(value, -0x8000000000000000LL, 0x7FFFFFFFFFFFFFFFLL) ~= nil end
    local number = checks.number(value)
    if kind == "double" or not number then return number ~= nil end
    single[0] = number
    return single[0] == number or number ~= number
  end
  if kind == "boolean" then return type(value) == "boolean" end
  if kind == "string" then return type(value) == "string" and C.tide_utf8_is(value, #value) end
  if kind == "bytes" then return type(value) == "string" end
  if kind == "fixed" then return type(value) == "string" and #value == node.size end
  if kind == "enum" then return type(value) == "string" and node.number_of[value] ~= nil end
  if type(value) ~= "table" then return false end
  local is_array = marks.of(value) == marks.ARRAY
  if kind == "array" then return is_array or rawget(value, 1) ~= nil or next(value) == nil end
  return not is_array
end

local function fits(branch, value, depth)
  local mark = varint.mark()
  local ok, problem = pcall(branch.write, value, depth)
  varint.cut(mark)
  if not ok and type(problem) ~= "table" then error(problem, 0) end
  return ok
end

-- The branches that take it, when their types alone do not say.
local function fitting(branches, value, depth)
  local list = {}
  for _, branch in ipairs(branches) do
    if fits(branch, value, depth) then list[#list + 1] = branch end
  end
  return list
end

local function names_of(branches)
  local names = {}
  for i, branch in ipairs(branches) do names[i] = branch.name end
  return table.concat(names, ", ")
end

local function choose(branches, value, depth)
  local list = {}
  for _, branch in ipairs(branches) do
    if may_take(branch.node, value) then
      if NUMBERS[branch.node.kind] then return branch end
      list[#list + 1] = branch
    end
  end
  if #list == 1 then return list[1] end
  if #list > 1 and type(value) == "table" then
    local those = fitting(list, value, depth)
    if #those == 1 then return those[1] end
    if #those > 1 then list = those else list = {} end
  end
  if #list == 0 then wrong("one of " .. names_of(branches), value) end
  fail("may be %s: name one, with tagged = true in tide.avro.schema", names_of(list))
end

function parts.union(branches, value, depth)
  local branch = choose(branches, value, depth)
  put_zigzag(branch.number)
  branch.write(value, depth)
end

function parts.tagged(branches, value, depth)
  parts.table(value, depth, "a table of one branch, as { string = \"x\" }")
  local name, inner = next(value)
  if name == nil or next(value, name) ~= nil then fail("takes a table with one branch of %s", names_of(branches)) end
  for _, branch in ipairs(branches) do
    if branch.name == name then
      put_zigzag(branch.number)
      return branch.write(inner, depth)
    end
  end
  fail("takes one of %s, got %s", names_of(branches), arguments.shown(name))
end

return parts
