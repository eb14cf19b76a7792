-- SPDX-License-Identifier: MIT
-- run/lookup_rows.lua: makes plain tables of the rows of a lookup table (lookup/lookup.h has their bytes). For each
-- shape there is a function, written when a row of it is read for the first time, which LuaJIT compiles with the
-- script's loop.
local ffi = require("ffi")
local json = require("tidemill.run.json")
local C = require("tidemill.run.ffi").C

local lookup_rows = {}

local MOST_TO_UNROLL = 60 -- names whose values are local variables
local MOST_KEPT = 1000 -- functions, of all shapes that there were
local LONG, NULL, FALSE, TRUE, NUMBER = C.TIDE_LOOKUP_LONG, C.TIDE_LOOKUP_NULL, C.TIDE_LOOKUP_FALSE,
  C.TIDE_LOOKUP_TRUE, C.TIDE_LOOKUP_NUMBER

-- A script may replace those of Lua.
local error, loadstring, concat = error, loadstring, table.concat
local ffi_string, cast, null = ffi.string, ffi.cast, json.null
local bytes_type = ffi.typeof "const uint8_t *"
local word_type = ffi.typeof "const struct { uint32_t value; } __attribute__((packed)) *"
local number_type = ffi.typeof "const struct { double value; } __attribute__((packed)) *"

-- Bytes of the file, as their format has them: by whether it is MessagePack.
local as_is = { [false] = json.public.table }

--- Tells how MessagePack is decoded: lib/ stands above run/.
function lookup_rows.use_msgpack(decode)
  as_is[true] = function(bytes)
    local value, problem = decode(bytes)
    if value == nil then error("tide.lookup: " .. problem, 0) end
    return value
  end
end

-- A cell that is no short string: its value, and the place behind it.
local function other_cell(tag, at, decode)
  if tag == NUMBER then return cast(number_type, at).value, at + 8 end
  if tag == NULL then return null, at end
  if tag == FALSE then return false, at end
  if tag == TRUE then return true, at end
  local size = cast(word_type, at).value
  at = at + 4
  local bytes = ffi_string(at, size)
  if tag == LONG then return bytes, at + size end
  return decode(bytes), at + size
end

local function cell(at, decode)
  local tag = at[0]
  if tag < LONG then return ffi_string(at + 1, tag), at + 1 + tag end
  return other_cell(tag, at + 1, decode)
end

-- All cells are written out, and so are the names in the table, which LuaJIT then copies from one that is ready. The
-- names are bytes of a file, so each byte is written as a number.
local function unrolled(names)
  local lines, members = { "local cell = ...", "return function(at, decode)", "  local " }, {}
  for i, name in ipairs(names) do
    local escaped = name:gsub(".", function(byte) return ("\\%03d"):format(byte:byte()) end)
    members[i] = ('["%s"]=v%d'):format(escaped, i)
    lines[3] = lines[3] .. "v" .. i .. ","
    lines[#lines + 1] = ("  v%d, at = cell(at, decode)"):format(i)
  end
  lines[3] = #names > 0 and lines[3]:sub(1, -2) or ""
  lines[#lines + 1] = "  return {" .. concat(members, ",") .. "}"
  lines[#lines + 1] = "end"
  return assert(loadstring(concat(lines, "\n"), "=(lookup)"))(cell)
end

local function looped(names)
  local count = #names
  return function(at, decode)
    local row = {}
    for i = 1, count do row[names[i]], at = cell(at, decode) end
    return row
  end
end

-- By the names, so that a file which is read anew finds them, and what LuaJIT has compiled stays.
local made, count = {}, 0

local function shape_function(names)
  local sizes = {}
  for i, name in ipairs(names) do sizes[i] = #name .. ":" .. name end
  local identity = concat(sizes)
  if not made[identity] then
    if count == MOST_KEPT then made, count = {}, 0 end
    made[identity], count = (#names <= MOST_TO_UNROLL and unrolled or looped)(names), count + 1
  end
  return made[identity]
end

-- The names of all shapes of a table, as arrays.
local function shapes_of(current)
  local shapes, from = {}, ffi.new "struct tide_lookup_row"
  C.tide_lookup_shapes(current, from)
  local at = cast(bytes_type, from.cells)
  for shape = 1, current.shape_count do
    local names = {}
    local names_count = cast(word_type, at).value
    at = at + 4
    for i = 1, names_count do names[i], at = cell(at) end
    shapes[shape] = names
  end
  return shapes
end

--- Returns the function that makes a table of a row (struct tide_lookup_row) of this version. `msgpack`: what stands
--- as it is in the file is MessagePack; else it is JSON.
function lookup_rows.decoder(current, msgpack)
  local shapes, decode, functions = shapes_of(current), as_is[msgpack], {}
  return function(row)
    local at = cast(bytes_type, row.cells)
    local shape = at[0]
    if shape == 0 then return decode(ffi_string(at + 1, row.size - 1)) end
    local make = functions[shape]
    if not make then
      make = shape_function(shapes[shape])
      functions[shape] = make
    end
    return make(at + 1, decode)
  end
end

return lookup_rows
