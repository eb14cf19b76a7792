-- SPDX-License-Identifier: MIT
-- run/marks.lua: the marks of tables, which are their metatables. The field `written_as` of a mark says what such a
-- table is where values are written, as JSON (run/json_table.c reads it too) or as msgpack: an array; nothing that
-- could be written, as the answers of run/answer.lua; or a stand-in, whose text its module knows.
local marks = {}

marks.ARRAY, marks.NOTHING = "array", "nothing"
--- Of a table that stands for a message, a view or an integer where no cdata are handed out (run/hardened.lua).
marks.STAND_IN = "stand-in"

--- The mark of arrays that tide.array, tide.json.table and tide.msgpack.decode make.
marks.array = { written_as = marks.ARRAY }

--- What a table is written as, by its mark: marks.ARRAY, marks.NOTHING, marks.STAND_IN, or nil when it has no mark of
--- ours.
function marks.of(thing)
  local mark = type(thing) == "table" and getmetatable(thing)
  return type(mark) == "table" and rawget(mark, "written_as") or nil
end

--- tide.array { ... } marks a table so that it is written as an array even when it is empty.
function marks.to_array(list)
  if list ~= nil and type(list) ~= "table" then error("tide.array takes a table, got a " .. type(list), 2) end
  return setmetatable(list or {}, marks.array)
end

return marks
