-- SPDX-License-Identifier: MIT
-- testing/assertions.lua adds assertions to busted: assert.produces(test, values or results), assert.rejects(test,
-- patterns of their errors), assert.filtered(test, count).
local header_codec = require("tidemill.run.headers")
local not_array = require("tidemill.run.check").not_array
local document = require("tidemill.run.json_document")
local json = require("tidemill.run.json").public

local SHOWN = 400 -- bytes of a text in a message

-- Returns a text that can be read: JSON with its names in order, so that two texts differ only where they do.
local function shown(thing)
  local has_json, text = pcall(json.encode, document(thing) or thing)
  if not has_json then text = type(thing) == "string" and ("%q"):format(thing) or tostring(thing) end
  return #text > SHOWN and text:sub(1, SHOWN) .. "... (" .. #text .. " bytes)" or text
end

-- Returns where two values differ: path, found, expected; nothing when they do not.
local function difference(path, found, expected)
  if type(found) ~= "table" or type(expected) ~= "table" then
    if found ~= expected then return path, found, expected end
    return nil
  end
  if getmetatable(found) ~= getmetatable(expected) then return path, found, expected end -- [] and {}
  for name, value in pairs(expected) do
    local at, one, other = difference(path .. "." .. tostring(name), found[name], value)
    if at then return at, one, other end
  end
  for name, value in pairs(found) do
    if expected[name] == nil then return path .. "." .. tostring(name), value, nil end
  end
end

-- JSON is compared by value: the order of names and the spaces do not count.
local function value_difference(path, found, expected)
  if found == expected then return nil end
  local one, other = document(found), document(expected)
  if one and other then return difference(path, one, other) end
  return path, found, expected
end

-- The level (as in error()) of the line of the spec, seen from a function that produces() or rejects() calls.
local SPEC = 5

-- A result matches a text (its value; false for null), or a table: the fields that it names. Headers may be given in
-- any of their forms.
local function result_difference(path, result, expected)
  if type(expected) ~= "table" then return value_difference(path, result.value or false, expected) end
  for name, value in pairs(expected) do
    local compare = name == "value" and value_difference or difference
    local wanted = name == "headers" and header_codec.copy(value, SPEC) or value
    local at, one, other = compare(path .. "." .. tostring(name), result[name], wanted)
    if at then return at, one, other end
  end
end

local function letter_text(letter)
  return letter.reason .. ": " .. (letter.error or "")
end

local function list_of(texts)
  if #texts == 0 then return "  none" end
  for i, text in ipairs(texts) do texts[i] = ("  %d: %s"):format(i, text) end
  return table.concat(texts, "\n")
end

-- Returns what came out of a test, for the message of an assertion that fails.
local function outcome(test)
  local results, letters = {}, {}
  for i, result in ipairs(test:results()) do
    results[i] = shown(result.value or false)
    if result.key then results[i] = results[i] .. "  key " .. shown(result.key) end
    if result.topic then results[i] = results[i] .. "  topic " .. result.topic end
  end
  for i, letter in ipairs(test:rejects()) do letters[i] = shown(letter_text(letter)) end
  return ("produced:\n%s\nrejected:\n%s\nfiltered: %d"):format(list_of(results), list_of(letters), test:filtered())
end

local function counts_differ(what, found, expected)
  local wrong = not_array(expected)
  if wrong then error("expected is an array of " .. what .. "; this " .. wrong .. " is none", SPEC) end
  return #found ~= #expected and ("%d %s, expected %d"):format(#found, what, #expected) or nil
end

local function produces(test, expected)
  local results = test:results()
  local problem = counts_differ("results", results, expected)
  for i = 1, math.min(#results, #expected) do
    local at, one, other = result_difference("result " .. i, results[i], expected[i])
    if at then
      local text = ("%s is %s, expected %s"):format(at, shown(one), shown(other))
      return problem and problem .. "\n" .. text or text
    end
  end
  return problem
end

local function rejects(test, expected)
  local letters = test:rejects()
  local problem = counts_differ("rejects", letters, expected)
  for i = 1, math.min(#letters, #expected) do
    local text = letter_text(letters[i])
    if not text:find(expected[i]) then return ("reject %d is %s, expected %s"):format(i, shown(text), expected[i]) end
  end
  return problem
end

local function filtered(test, expected)
  local count = test:filtered()
  return count ~= expected and ("%d filtered, expected %s"):format(count, tostring(expected)) or nil
end

--- Installs them when luassert is there; without it the methods of a test serve the same purpose.
return function()
  local found, luassert = pcall(require, "luassert")
  if not found then return end
  local say = require("say")
  for name, check in pairs { produces = produces, rejects = rejects, filtered = filtered } do
    say:set("assertion." .. name .. ".positive", "%s")
    say:set("assertion." .. name .. ".negative", "Expected not (" .. name .. "):\n%s")
    luassert:register("assertion", name, function(_, arguments)
      local test, expected = arguments[1], arguments[2]
      local problem = check(test, expected)
      arguments[1] = (problem and problem .. "\n" or "") .. outcome(test)
      arguments.n, arguments.nofmt = 1, { true }
      return problem == nil
    end, "assertion." .. name .. ".positive", "assertion." .. name .. ".negative")
  end
end
