-- SPDX-License-Identifier: MIT
-- run/json_tables.lua: loads the part in C that turns JSON into plain tables and back (json_table.c), and gives it what
-- only Lua can do: make cdata, look into them, and write a constructor of tables.
local ffi = require("ffi")
local jit = require("jit")
local integer = require("tidemill.run.integer")
local library = require("tidemill.run.ffi")
local marks = require("tidemill.run.marks")
local C = library.C

-- A script may replace those of Lua.
local assert, byte, concat, format = assert, string.byte, table.concat, string.format
local jit_off, loadstring = jit.off, loadstring
local istype = ffi.istype
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local INT64, UINT64 = C.TIDE_JSON_INT64, C.TIDE_JSON_UINT64

local json_tables = {}

-- Its frames are ours, not the script's (run/stack.c).
local SOURCE = debug.getinfo(1, "S").source

-- Makes function(v1, ..., vn) -> { [names[1]] = v1, ..., [names[n]] = vn }; nil when two names are equal. LuaJIT has
-- such a table ready, with all names and no values, and copies it with each call: that takes less time than to make an
-- empty one and to add the names. The names come from messages, so each byte of them is written as a number, which is
-- nothing but a byte of a string to whatever reads this text. The function is not compiled, as its values are now of
-- one type, now of another.
local function constructor(names)
  local seen, values, members = {}, {}, {}
  for i = 1, #names do
    local name = names[i]
    if seen[name] then return nil end
    local bytes = {}
    for at = 1, #name do bytes[at] = format("\\%03d", byte(name, at)) end
    seen[name], values[i], members[i] = true, "v" .. i, format('["%s"]=v%d', concat(bytes), i)
  end
  local text = format("return function(%s) return {%s} end", concat(values, ","), concat(members, ","))
  local fn = assert(loadstring(text, SOURCE))()
  jit_off(fn)
  return fn
end

--- documents: the struct tide_json of views, whose numbers keep their text; view_text(thing) -> the text of a view, nil
--- for anything else, or nil and what is wrong. Returns decode(text) or decode(bytes, length) -> the value,
--- decode_node(struct tide_json_doc *, node) -> the value, and encode(value) -> its text; the first and the last return
--- nil and what is wrong.
function json_tables.open(documents, view_text)
  local open = assert(package.loadlib(library.folder .. "/tidemill_json.so", "luaopen_tidemill_json"))
  local box = ffi.new "int64_t[1]"
  local natural = ffi.cast("uint64_t *", box)
  local function describe(thing)
    if istype(int64, thing) then return INT64 end
    if istype(uint64, thing) then return UINT64 end
    local text, problem = view_text(thing)
    if problem then error(problem, 0) end
    return (text or integer.text(thing))
  end
  return open {
    documents = documents, box = box, array = marks.array, describe = describe, constructor = constructor,
    big = integer.new,
    int64 = function() return integer.given(box[0]) end,
    uint64 = function() return integer.given(natural[0]) end,
  }
end

return json_tables
