-- SPDX-License-Identifier: MIT
-- run/json.lua: JSON views. Reading or writing a field of a view is a single C call (engine/json/json.h), which LuaJIT
-- compiles into the user's loop. Any name may be a field, so a view has no methods; its functions are in `tide.json`.
--
-- A view is a number in the form of a reference to a struct at that address, which is never read. For LuaJIT a
-- reference is an immutable value, so a view that stays in the compiled loop takes no memory; a struct with fields
-- would be allocated for each message, as calls to C might change it. Each number is given out once: cells[number -
-- first] says what an open view stands for, and views with lower numbers are gone. Start reading at `methods`.
-- Where no cdata are handed out (run/hardened.lua), a view is a table with its number under a key that is no name.
-- `return (f())` is no tail call; LuaJIT allows only 15 of those in a trace.
local ffi = require("ffi")
local null = require("cjson").null
local integer = require("tidemill.run.integer")
local json_path = require("tidemill.run.json_path")
local json_public = require("tidemill.run.json_public")
local json_tables = require("tidemill.run.json_tables")
local library = require("tidemill.run.ffi")
local marks = require("tidemill.run.marks")
local C = library.C

local cast, to_string, istype = ffi.cast, ffi.string, ffi.istype

-- The documents of the open message.
local J = ffi.gc(C.tide_json_new(), C.tide_json_free)
-- Each load of this file has a type of its own, as in run/message.lua. Its one byte has no name, as any name may be a
-- field of the document.
local view_type = ffi.typeof(("struct { char : 8; } /* %s */"):format(tostring(J)))
local views = cast(ffi.typeof("$ *", view_type), 0)
local cells_type = ffi.typeof "struct { struct tide_json_doc *doc; int32_t node; }[?]"
local address_type, number_type = ffi.typeof "char *", ffi.typeof "intptr_t"
local hardened, NUMBER = false, {} -- the key in a table that stands for a view
local methods -- of views
local USUAL = 64 -- views at a time; the memory of more is given back
local cells, room = cells_type(USUAL), USUAL
local first, count = 4096, 0 -- no view is NULL, which equals nil
local walk_type = ffi.typeof "struct { double serial; struct tide_json_doc *doc; int32_t node; int32_t position; }"
local int64, uint64 = ffi.typeof "int64_t", ffi.typeof "uint64_t"

local NONE, NULL, FALSE, TRUE, DOUBLE = C.TIDE_JSON_NONE, C.TIDE_JSON_NULL, C.TIDE_JSON_FALSE, C.TIDE_JSON_TRUE,
  C.TIDE_JSON_DOUBLE
local INT64, UINT64, BIG, STRING = C.TIDE_JSON_INT64, C.TIDE_JSON_UINT64, C.TIDE_JSON_BIG, C.TIDE_JSON_STRING
local ARRAY, WHOLE = C.TIDE_JSON_ARRAY, C.TIDE_JSON_WHOLE

local json = {}

local function add_cells()
  local more = cells_type(room * 2)
  ffi.copy(more, cells, ffi.sizeof(cells))
  cells, room = more, room * 2
end

local function new_view(doc, node)
  if count == room then add_cells() end
  local at = count
  cells[at].doc, cells[at].node = doc, node
  count = at + 1
  if hardened then return setmetatable({ [NUMBER] = first + at }, methods) end
  return views[first + at]
end

-- Returns what the last call found as a Lua value.
local function found(kind)
  local value -- nil for NONE
  if kind == STRING then
    value = to_string(J.bytes, J.length)
  elseif kind == DOUBLE then
    value = J.number
  elseif kind == TRUE then
    value = true
  elseif kind == FALSE then
    value = false
  elseif kind >= ARRAY then
    value = new_view(J.doc, J.node)
  elseif kind == NULL then
    value = null
  elseif kind == INT64 then
    value = integer.given(J.integer)
  elseif kind == UINT64 then
    value = integer.given(J.natural)
  elseif kind == BIG then
    value = integer.new(J.bytes, J.length)
  elseif kind ~= NONE then
    error(library.error(), 3)
  end
  return value
end

local GONE = "this view is gone: it lives until the function returns; keep tide.json.table(view) instead"

local function gone() error(GONE, 4) end

local function is_view(thing)
  if type(thing) == "table" then return hardened and getmetatable(thing) == methods end
  return not hardened and (istype(view_type, thing))
end

local function index_of(view)
  if hardened then return (tonumber(rawget(view, NUMBER)) or 0) - first end
  return tonumber(cast(number_type, cast(address_type, view))) - first
end

local function cell_at(at)
  return at >= 0 and at < count and cells[at] or nil
end

-- The cell of a view, which says what the view stands for.
local function cell_of(view)
  local at = index_of(view)
  if not (at >= 0 and at < count) then gone() end
  return cells[at]
end

local function path_of(doc, node)
  local top = doc
  while top.parent ~= nil do top = top.parent end
  return json_path.of(new_view(top, 0), is_view, json.public.each, function(view)
    return cell_of(view).doc == doc and cell_of(view).node == node
  end)
end

-- Raises the error for a write that was refused, by C or because the new value has no JSON.
local function refused(view, key, problem)
  problem = problem or library.error()
  local cell = cell_of(view)
  error(("%s%s: %s"):format(path_of(cell.doc, cell.node), json_path.part(key), problem), 3)
end

local function bad_key(key)
  error(("a JSON field is named by a string or a number, not by a %s"):format(type(key)), 4)
end

-- A key as C takes it: its bytes and their length, or NULL and an index.
local function key_of(key)
  if type(key) == "string" then return key, #key end
  if type(key) ~= "number" then bad_key(key) end
  if key % 1 ~= 0 or key < 1 or key > 0x7fffffff then return nil, 0 end
  return nil, key
end

-- The text of a view; nil for what is none, or nil and what is wrong.
local function view_text(thing)
  if not is_view(thing) then return nil end
  local cell = cell_at(index_of(thing))
  if not cell then return nil, GONE end
  if C.tide_json_text(cell.doc, cell.node) < 0 then return nil, library.error() end
  return (to_string(J.bytes, J.length))
end

local module = json_tables.open(J, view_text)
local encode = module.encode

-- The text of a view, or of tables and scalars; or nil and what is wrong.
local function written(thing)
  local text, problem = view_text(thing)
  if not text and not problem then text, problem = encode(thing) end
  return text, problem
end

-- The same; an error is raised at `level`: 1 is the caller's line, 0 none.
local function text_of(thing, level)
  local text, problem = written(thing)
  if not text then error(problem, level > 0 and level + 1 or 0) end
  return text
end

-- Writes a value that is neither a number, a string, a boolean nor nil.
local function set_other(cell, key, length, new)
  if new == null then return (C.tide_json_set_kind(cell.doc, cell.node, key, length, NULL)) end
  if istype(int64, new) then return (C.tide_json_set_integer(cell.doc, cell.node, key, length, new)) end
  if istype(uint64, new) then return (C.tide_json_set_natural(cell.doc, cell.node, key, length, new)) end
  local text, problem = integer.text(new), nil
  if not text then text, problem = written(new) end
  if not text then return -1, problem end
  return (C.tide_json_set_text(cell.doc, cell.node, key, length, text, #text))
end

local function length_of(view)
  local cell = cell_of(view)
  return (C.tide_json_count(cell.doc, cell.node))
end

local function following(walk)
  if walk.serial ~= J.serial then gone() end
  local kind = C.tide_json_next(walk.doc, walk.node, walk.position)
  if kind == NONE then return nil end
  walk.position = J.position
  local key
  if J.key == nil then key = J.key_length else key = to_string(J.key, J.key_length) end
  local value = found(kind)
  return key, value
end

-- Apart from `each`, since LuaJIT does not compile a function that makes one.
local function walker(walk) return function() return following(walk) end end

local function each(view)
  local cell = cell_of(view)
  if hardened then return walker(walk_type(J.serial, cell.doc, cell.node)) end
  return following, walk_type(J.serial, cell.doc, cell.node), nil
end

methods = {
  written_as = marks.STAND_IN,
  __index = function(view, key)
    local cell = cell_of(view)
    local kind
    if type(key) == "string" then
      kind = C.tide_json_get(cell.doc, cell.node, key, #key)
    elseif type(key) == "number" then
      local _, index = key_of(key)
      kind = C.tide_json_get(cell.doc, cell.node, nil, index)
    else
      return nil
    end
    return (found(kind))
  end,
  __newindex = function(view, key, new)
    local cell = cell_of(view)
    local name, length = key_of(key)
    local status, problem
    if type(new) == "number" then
      status = C.tide_json_set_double(cell.doc, cell.node, name, length, new)
    elseif type(new) == "string" then
      status = C.tide_json_set_string(cell.doc, cell.node, name, length, new, #new)
    elseif new == nil then
      status = C.tide_json_set_kind(cell.doc, cell.node, name, length, NONE)
    elseif type(new) == "boolean" then
      status = C.tide_json_set_kind(cell.doc, cell.node, name, length, new and TRUE or FALSE)
    else
      status, problem = set_other(cell, name, length, new)
    end
    if status < 0 then refused(view, key, problem) end
  end,
  __len = length_of,
  __pairs = each,
  __ipairs = each,
  __eq = function(a, b)
    if not (is_view(a) and is_view(b)) then return false end
    local at, others = index_of(a), index_of(b)
    if at == others then return true end
    local one, other = cell_at(at), cell_at(others)
    return one ~= nil and other ~= nil and one.doc == other.doc and one.node == other.node
  end,
  __tostring = function(view) return (text_of(view, 2)) end,
  __concat = function()
    error("a JSON view is joined to a text as tide.json.encode(view)", 2)
  end,
}
ffi.metatype(view_type, methods)

-- For run/message.lua: J.root holds the document of the open message; the documents of copies are beside it.

--- Opens the message's value and returns its root: a view, a scalar or tide.null. Raises what is wrong with it.
function json.open(bytes, length)
  local kind = C.tide_json_open(J, bytes, length)
  if kind < 0 then error("the value is not JSON: " .. library.error(), 4) end
  return (found(kind))
end

--- The same for a Lua string, which is copied.
function json.open_copy(text)
  local kind = C.tide_json_open_copy(J, text, #text)
  if kind < 0 then error("the value is not JSON: " .. library.error(), 4) end
  return (found(kind))
end

--- The same for bytes beside the open document, which must stay until the reset; or nil and what is wrong with them.
function json.open_shared(bytes, length)
  local root = J.root
  local kind = C.tide_json_open(J, bytes, length)
  J.root = root
  if kind < 0 then return nil, library.error() end
  return (found(kind))
end

--- The root of the document that is open.
function json.root()
  return (found(C.tide_json_value(J.root, 0)))
end

--- How often the open document was changed.
function json.edits()
  return J.root.edits
end

--- A document with its changes, as a string.
function json.text_of(doc)
  local length = -C.tide_json_write(doc, WHOLE, nil, 0)
  if length <= 0 then return "" end
  local text = ffi.new("char[?]", length)
  C.tide_json_write(doc, WHOLE, text, length)
  return (to_string(text, length))
end

--- The same for the open one.
function json.text()
  return (json.text_of(J.root))
end

--- Opens a document beside that of the open message.
function json.open_beside(text)
  local root = J.root
  local kind = C.tide_json_open_copy(J, text, #text)
  if kind < 0 then error("the value is not JSON: " .. library.error(), 4) end
  local doc = J.root
  J.root = root
  return doc
end

function json.root_of(doc)
  return (found(C.tide_json_value(doc, 0)))
end

function json.edits_of(doc)
  return doc.edits
end

--- Writes the open document to memory of `space` bytes and returns its length. When it is longer than `space`, nothing
--- is written, and the length is negative.
function json.write(to, space)
  return (C.tide_json_write(J.root, WHOLE, to, space > 0 and space or 0))
end

--- Closes the documents of the open message: its views are gone.
function json.reset()
  C.tide_json_reset(J)
  first, count = first + count, 0
  if room > USUAL then cells, room = cells_type(USUAL), USUAL end
end

json.is_view = is_view -- specs ask that

--- From now on views and integers beyond 2^53 are tables, or cdata again. Returns what was before.
function json.harden(on)
  hardened, on = on, hardened
  return on
end

json.public = json_public {
  is_view = is_view, length = length_of, each = each, text_of = text_of, decode = module.decode,
  -- The kind of a view: an array or an object.
  kind = function(view)
    local cell = cell_of(view)
    return (C.tide_json_value(cell.doc, cell.node))
  end,
  -- The plain tables of a view. What was not changed is read from its document, which has been checked already.
  tables = function(view)
    local cell = cell_of(view)
    if cell.doc.edits == 0 then return (module.decode_node(cell.doc, cell.node)) end
    if C.tide_json_text(cell.doc, cell.node) < 0 then error(library.error(), 3) end
    return (module.decode(J.bytes, J.length))
  end,
}
json.encode = text_of
json.written = written
json.null = null
json.array = marks.to_array
json.module = module

return json
