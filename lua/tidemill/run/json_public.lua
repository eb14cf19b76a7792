-- SPDX-License-Identifier: MIT
-- run/json_public.lua: tide.json, the functions of views and plain tables that scripts have.
local ffi = require("ffi")
local null = require("cjson").null
local integer = require("tidemill.run.integer")
local marks = require("tidemill.run.marks")
local number = require("tidemill.run.number")
local C = require("tidemill.run.ffi").C

local istype = ffi.istype
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"
local OBJECT = C.TIDE_JSON_OBJECT

-- The names that other libraries have for these functions.
local ELSEWHERE = { decode = "table", parse = "table", load = "table", stringify = "encode", dump = "encode",
  length = "len", pairs = "each", ipairs = "each", array = "tide.array" }

-- The JSON type of what is no view.
local function type_of(thing)
  local kind = type(thing)
  if kind == "string" or kind == "number" or kind == "boolean" then return kind end
  if thing == nil then return nil end
  if thing == null then return "null" end
  if istype(int64, thing) or istype(uint64, thing) or integer.text(thing) then return "number" end
  local mark = marks.of(thing)
  if kind ~= "table" or mark == marks.NOTHING or mark == marks.STAND_IN then return nil end
  return (mark == marks.ARRAY or thing[1] ~= nil) and "array" or "object"
end

--- views: what run/json.lua knows of views (is_view, kind, length, each, tables) and of texts (text_of, decode).
return function(views)
  local is_view, kind_of, length_of, each, tables_of = views.is_view, views.kind, views.length, views.each, views.tables
  local text_of, decode = views.text_of, views.decode
  local public = {}

  local function check_view(name, thing)
    if not is_view(thing) then
      error(("tide.json.%s takes a view, got a %s"):format(name, type(thing)), 3)
    end
    return thing
  end

  --- The JSON type of a view, of a value read from one, or of a plain table: "object", "array", "string", "number",
  --- "boolean" or "null"; nil for nil (message.json of a null value, an absent member) and for what has no JSON.
  function public.type(thing)
    if is_view(thing) then return kind_of(thing) == OBJECT and "object" or "array" end
    return (type_of(thing))
  end

  --- The number of members of an object, or the highest index of an array.
  function public.len(view)
    return (length_of(check_view("len", view)))
  end

  --- for key, value in tide.json.each(view): the elements of an array with their indexes, or the members of an object.
  function public.each(view)
    local next, walk = each(check_view("each", view))
    return next, walk, nil
  end

  --- A view or a JSON text as plain Lua tables. Arrays are marked (tide.array), null is tide.null, integers beyond
  --- 2^53 are int64 or uint64, and integers beyond 64 bits keep their digits (run/integer.lua).
  function public.table(from)
    if type(from) ~= "string" then return (tables_of(check_view("table", from))) end
    local value, problem = decode(from)
    if value == nil then error(problem, 2) end
    return value
  end

  --- Tables, scalars, tide.null and views as JSON text.
  function public.encode(thing)
    return (text_of(thing, 2))
  end

  public.text = number.scalar

  return setmetatable(public, { __index = function(_, name)
    error(('tide.json has no "%s"%s; it has type, len, each, table, text, encode'):format(tostring(name),
      ELSEWHERE[name] and ", here it is " .. ELSEWHERE[name] or ""), 2)
  end })
end
