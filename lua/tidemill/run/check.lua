-- SPDX-License-Identifier: MIT
-- run/check.lua: checks what a script writes into a message. Errors are raised at level 4, which is the line of the
-- script that assigned the field: the checks are called by set() of run/message.lua, and that by the assignment.
local null = require("cjson").null
local marks = require("tidemill.run.marks")
local number = require("tidemill.run.number")

local check = {}

--- The name of a wrong thing in an error.
function check.shown(thing)
  local mark = marks.of(thing)
  if thing == null then return "tide.null" end
  if mark == marks.NOTHING then return tostring(thing) end
  if mark == marks.STAND_IN then return "a cdata" end -- which it is elsewhere
  return "a " .. type(thing)
end

--- How to make a string of a value that is none: "; ..." or "".
function check.advice(new)
  if number.text(new) then return "; tide.json.text(x) gives all its digits" end
  if marks.of(new) == marks.NOTHING then return "; the function returns it" end
  if type(new) == "table" or type(new) == "cdata" then return "; tide.json.encode(x) gives its text" end
  return ""
end

--- Takes a string, nil or tide.null (which becomes nil); a key may also be a number, which is written with all its
--- digits.
function check.bytes_or_null(name, new)
  if new == nil or new == null then return nil end
  if type(new) == "string" then return new end
  local digits = name == "key" and number.text(new)
  if digits then return digits end
  error(("message.%s takes a string%s or nil, got %s%s"):format(name, name == "key" and ", a number" or "",
    check.shown(new), check.advice(new)), 4)
end

-- Why a table is no array: a key that no array has, or the first gap. What # says counts for nothing here: before a
-- gap it may stop or not, so { "a", nil, "b" } has the length 1 and the key 3.
local function misfit(list)
  for key in pairs(list) do
    if type(key) == "string" then return ('the key "%s"'):format(key) end
    if type(key) ~= "number" or key < 1 or key % 1 ~= 0 then return "the key " .. tostring(key) end
  end
  local gap = 1
  while list[gap] ~= nil do gap = gap + 1 end
  return "a gap at " .. gap
end

--- nil for an array without gaps and without other keys; else what it has, or what it is instead: what stands under a
--- name would be lost where only elements are read.
function check.not_array(list)
  if type(list) ~= "table" or marks.of(list) == marks.STAND_IN then return check.shown(list) end
  local length, key = #list, nil
  for i = 1, length do
    key = next(list, key)
    if key ~= i then return misfit(list) end -- elements mostly come in order
  end
  if next(list, key) ~= nil then return misfit(list) end
end

--- Adds to the methods of messages those that only say what to use in place of an operation on tables or texts.
function check.add_no_table(methods)
  for name, what in pairs { __len = "#message", __concat = "message .. text", __tostring = "tostring(message)",
    __pairs = "pairs(message)", __ipairs = "ipairs(message)" } do
    methods[name] = function()
      error(what .. ": a message is neither a table nor a text; use its fields, as message.value, or message:copy()", 2)
    end
  end
end

--- An integer from `least` to `most`.
function check.integer(name, new, least, most)
  if type(new) ~= "number" or new % 1 ~= 0 or new < least or new > most then
    error(("message.%s takes an integer from %d to %.0f, got %s"):format(name, least, most,
      type(new) == "number" and tostring(new) or check.shown(new)), 4)
  end
  return new
end

return check
