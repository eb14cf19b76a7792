-- SPDX-License-Identifier: MIT
-- testing/assertions.lua: for busted: assert.produces(test, values or results), assert.rejects(test,
-- patterns of their errors), assert.filtered(test, count).
local not_array = require("tidemill.run.check").not_array

local function install(luassert, say)
  local util = require("luassert.util")

  -- A result matches a text (its value), or a table: the fields that it names.
  local function matches(result, expected)
    if type(expected) ~= "table" then return (result.value or false) == expected end
    for name, value in pairs(expected) do
      if not util.deepcompare(result[name], value) then return false end
    end
    return true
  end

  local function all_match(found, expected, match)
    local wrong = not_array(expected)
    if wrong then error("expected is an array of results; this " .. wrong .. " is none", 4) end
    if #found ~= #expected then return false end
    for i, one in ipairs(found) do
      if not match(one, expected[i]) then return false end
    end
    return true
  end

  local function produces(_, arguments)
    local found, expected = arguments[1]:results(), arguments[2]
    arguments[1], arguments[2] = expected, found
    arguments.n = 2
    return all_match(found, expected, matches)
  end

  local function rejects(_, arguments)
    local found, expected = arguments[1]:rejects(), arguments[2]
    arguments[1], arguments[2] = expected, found
    arguments.n = 2
    return all_match(found, expected, function(letter, pattern)
      return (letter.reason .. ": " .. (letter.error or "")):find(pattern) ~= nil
    end)
  end

  local function filtered(_, arguments)
    arguments[1] = arguments[1]:filtered()
    return arguments[1] == arguments[2]
  end

  for name, check in pairs { produces = produces, rejects = rejects, filtered = filtered } do
    say:set("assertion." .. name .. ".positive", "Expected (" .. name .. "):\n%s\nGot:\n%s")
    say:set("assertion." .. name .. ".negative", "Expected not (" .. name .. "):\n%s\nGot:\n%s")
    luassert:register("assertion", name, check, "assertion." .. name .. ".positive",
      "assertion." .. name .. ".negative")
  end
end

--- Installs them where luassert is there; without it the methods of a test do.
return function()
  local found, luassert = pcall(require, "luassert")
  if found then install(luassert, require("say")) end
end
