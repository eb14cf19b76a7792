-- SPDX-License-Identifier: MIT
-- run/check.lua: what may be written into a message. The errors are at level 4: the line of the user's script that
-- assigned the field.
local null = require("cjson").null
local number = require("tidemill.run.number")

local check = {}

--- What a wrong thing is called in an error.
function check.shown(thing)
  if thing == null then return "tide.null" end
  return "a " .. type(thing)
end

--- A C function whose errors have no place; they get that at `level`, as those of error() do.
function check.call(level, fn, ...)
  local ok, result = pcall(fn, ...)
  if not ok then error(result, level > 0 and level + 1 or 0) end
  return result
end

-- What to do about a value that is no string.
local function advice(new)
  if number.text(new) then return "; tide.json.text(x) gives all its digits" end
  if type(new) == "table" or type(new) == "cdata" then return "; tide.json.encode(x) gives its text" end
  return ""
end

--- A string; nil for nil and tide.null; a key may be a number too, which is written with all its digits.
function check.bytes_or_null(name, new)
  if new == nil or new == null then return nil end
  if type(new) == "string" then return new end
  local digits = name == "key" and number.text(new)
  if digits then return digits end
  error(("message.%s takes a string%s or nil, got %s%s"):format(name, name == "key" and ", a number" or "",
    check.shown(new), advice(new)), 4)
end

-- Of a table that is no array of `length` elements: its first key that has no place there, or the gap.
local function misfit(list, length)
  for key in pairs(list) do
    if type(key) == "string" then return ('the key "%s"'):format(key) end
    if type(key) ~= "number" or key < 1 or key > length or key % 1 ~= 0 then
      return "the key " .. tostring(key)
    end
  end
  for i = 1, length do
    if list[i] == nil then return "a gap at " .. i end
  end
end

--- nil for an array without gaps that has no other keys; else what it has, or is, in their place. What is written by
--- name would be lost without a word where only elements are read.
function check.not_array(list)
  if type(list) ~= "table" then return check.shown(list) end
  local length, key = #list, nil
  for i = 1, length do
    key = next(list, key)
    if key ~= i then return misfit(list, length) end -- mostly elements come in order
  end
  if next(list, key) ~= nil then return misfit(list, length) end
end

-- The key of a header beside its name and value; nil when there is none.
local function more_than_a_pair(header)
  local last = header[2] ~= nil and 2 or 1
  if next(header) == 1 and (last == 1 or next(header, 1) == 2) and next(header, last) == nil then return nil end
  for key in pairs(header) do
    if key ~= 1 and key ~= 2 then return tostring(key) end
  end
end

--- An array of { name, value }.
function check.headers(new)
  local wrong = check.not_array(new)
  if wrong then
    error(('message.headers takes an array of {name, value}, as { { "source", "a" } }; this %s %s'):format(
      type(new) == "table" and "has" or "is", wrong), 4)
  end
  for i = 1, #new do
    local header = new[i]
    if type(header) ~= "table" or type(header[1]) ~= "string" then
      error(("message.headers[%d] is not {name, value} with a string as name"):format(i), 4)
    end
    local more = more_than_a_pair(header)
    if more then error(('message.headers[%d] has the key "%s"; it is {name, value}'):format(i, more), 4) end
    local content = header[2]
    if content ~= nil and content ~= null and type(content) ~= "string" then
      error(('header "%s" takes a string or nil as value, got %s%s'):format(header[1], check.shown(content),
        advice(content)), 4)
    end
  end
  return new
end

function check.integer(name, new, least, most)
  if type(new) ~= "number" or new % 1 ~= 0 or new < least or new > most then
    error(("message.%s takes an integer from %d to %.0f, got %s"):format(name, least, most,
      type(new) == "number" and tostring(new) or check.shown(new)), 4)
  end
  return new
end

return check
