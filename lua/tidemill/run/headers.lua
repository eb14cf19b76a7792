-- SPDX-License-Identifier: MIT
-- run/headers.lua: headers in all their forms. Scripts write an array of { name, value }, or names with values
-- ({ source = "a" }); in blocks and in tide.pack they are packed as shm/layout.h says. This is the only place in Lua
-- that knows the packed form, and the only one that decides what is a header.
local ffi = require("ffi")
local null = require("cjson").null
local C = require("tidemill.run.ffi").C
local check = require("tidemill.run.check")
local marks = require("tidemill.run.marks")

local headers = {}

local cast, copy, to_string = ffi.cast, ffi.copy, ffi.string
local lengths = ffi.typeof("int32_t *")
local HEAD = 8 -- bytes before a packed header: the lengths of its name and its value

-- Lists have this mark, so that message.headers, which is a list, may also be called: message:headers(). A loop over
-- the list itself would call it without end.
local list_mark = { written_as = marks.ARRAY }

function list_mark.__call(list, of)
  if of == nil then error("message.headers is a list: for i, header in ipairs(message.headers) do ... end", 2) end
  return list
end

function list_mark.__index(_, name)
  if type(name) ~= "string" then return nil end
  error(('message.headers is a list of {name, value}; a value by its name is message:header "%s"'):format(name), 2)
end

-- A list with a metatable of the script's own is copied.
local function mark(list)
  local own = getmetatable(list)
  if own == list_mark then return list end
  if own == nil or marks.of(list) == marks.ARRAY then return setmetatable(list, list_mark) end
  local marked = {}
  for i = 1, #list do marked[i] = list[i] end
  return setmetatable(marked, list_mark)
end

local function check_value(name, value, level)
  if value == nil or value == null or type(value) == "string" then return end
  error(('header "%s" takes a string or nil as value, got %s%s'):format(name, check.shown(value),
    type(value) == "table" and '; several values of one name are { { "name", "a" }, { "name", "b" } }'
      or check.advice(value)), level)
end

-- { name = value } as a list, in the order of the names so that the same table always gives the same headers.
local function from_names(named, level)
  local names, list = {}, {}
  for name, value in pairs(named) do
    if type(name) ~= "string" then
      error(("message.headers has names and the key %s; it is an array of {name, value}, or names with values")
        :format(tostring(name)), level)
    end
    check_value(name, value, level + 1)
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do list[i] = { name, named[name] } end
  return list
end

-- The key of a header beside its name and value; nil when there is none.
local function more_than_a_pair(header)
  local last = header[2] ~= nil and 2 or 1
  if next(header) == 1 and (last == 1 or next(header, 1) == 2) and next(header, last) == nil then return nil end
  for key in pairs(header) do
    if key ~= 1 and key ~= 2 then return tostring(key) end
  end
end

-- What has a metatable may give something else when it is read again, so it is replaced by a plain pair.
local function check_pair(list, i, level)
  local header = list[i]
  if type(header) ~= "table" or type(header[1]) ~= "string" then
    error(("message.headers[%d] is not {name, value} with a string as name"):format(i), level)
  end
  local more = more_than_a_pair(header)
  if more then error(('message.headers[%d] has the key "%s"; it is {name, value}'):format(i, more), level) end
  local name, value = header[1], header[2]
  check_value(name, value, level + 1)
  if getmetatable(header) == nil then return end
  if type(name) ~= "string" then error(("message.headers[%d] changes its name"):format(i), level) end
  rawset(list, i, { name, value })
end

--- What a script gave as headers, as an array of { name, value }: the same table if it is one already. What is no
--- header raises an error at `level` (as in error(); 1 is the caller's line): it would be lost otherwise.
function headers.list(given, level)
  level = level + 1
  if type(given) == "table" and given[1] == nil and type(next(given)) == "string" then
    return mark(from_names(given, level + 1))
  end
  local wrong = check.not_array(given)
  if wrong then
    error(('message.headers takes an array of {name, value}, as { { "source", "a" } }, or names with values, as '
      .. '{ source = "a" }; this %s %s'):format(type(given) == "table" and "has" or "is", wrong), level)
  end
  given = mark(given)
  for i = 1, #given do check_pair(given, i, level + 1) end
  return given
end

--- A list that is not changed together with the given one; `level` (1 without it) as in headers.list.
function headers.copy(given, level)
  local list = headers.list(given, (level or 1) + 1)
  local own = {}
  for i = 1, #list do own[i] = { list[i][1], list[i][2] } end
  return mark(own)
end

--- The value of the last header of that name (as Kafka's lastHeader); nil when there is none, or it is null.
function headers.last(list, name)
  for i = #list, 1, -1 do
    if list[i][1] == name then
      local value = list[i][2]
      return value ~= null and value or nil
    end
  end
end

--- Bytes of a list in packed form.
function headers.size(list)
  local size = 0
  for i = 1, #list do
    local value = list[i][2]
    size = size + HEAD + #list[i][1] + ((value ~= nil and value ~= null) and #value or 0)
  end
  return size
end

--- Packs a list; `to` has room for it.
function headers.write(list, to)
  for i = 1, #list do
    local name, value = list[i][1], list[i][2]
    local given = value ~= nil and value ~= null
    local sizes = ffi.new("int32_t[2]", #name, given and #value or -1)
    copy(cast("char *", to), cast(lengths, sizes), HEAD)
    copy(to + HEAD, name, #name)
    if given then copy(to + HEAD + #name, value, #value) end
    to = to + HEAD + #name + (given and #value or 0)
  end
end

--- The packed form as a string.
function headers.pack(list)
  local size = headers.size(list)
  local bytes = ffi.new("char[?]", size)
  headers.write(list, ffi.cast("char *", bytes))
  return to_string(bytes, size)
end

--- A list from packed bytes; nil when they are cut.
function headers.read(bytes, length)
  local list, at, header = {}, ffi.new("uint32_t[1]"), ffi.new("struct tide_header")
  local status = length > 0 and C.tide_header_next(bytes, length, at, header) or 0
  while status == 1 do
    list[#list + 1] = { to_string(header.name, header.name_length),
      header.value ~= nil and to_string(header.value, header.value_length) or nil }
    status = C.tide_header_next(bytes, length, at, header)
  end
  return status == 0 and mark(list) or nil
end

return headers
