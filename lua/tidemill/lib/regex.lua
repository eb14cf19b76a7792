-- SPDX-License-Identifier: MIT
-- lib/regex.lua: tide.regex, Perl's regular expressions by PCRE2 (lib/pcre.lua). The flags are
-- i (ignore case), m (^ and $ match at lines), s (. is any byte), x (spaces are ignored), u (UTF-8), w (UTF-8, and \w,
-- \d, \s, \b know all letters and digits of Unicode; without it those of ASCII only).
--   test(subject, pattern[, flags]) -> true or false
--   match(subject, pattern[, flags]) -> the captures, the whole match when there are none; nil
--   named(subject, pattern[, flags]) -> a table of the named groups that took part; nil
--   find(subject, pattern[, flags[, from]]) -> first and last byte; nil
--   gsub(subject, pattern, replacement[, flags]) -> text, count; replacement: a text with $0 to $9 ($$ is $), or a
--     function of what match gives (nil or false keeps the match)
local bit = require("bit")
local arguments = require("tidemill.lib.arguments")
local pcre = require("tidemill.lib.pcre")

local regex = {}

local NOT_EMPTY_AT_START, ANCHORED = 0x8, 0x80000000
local get, run, capture = pcre.get, pcre.run, pcre.capture

local function captures(one, subject)
  if one.groups == 0 then return capture(one, subject, 0) end
  local all = {}
  for i = 1, one.groups do all[i] = capture(one, subject, i) end
  return unpack(all, 1, one.groups)
end

-- `return (f())` is no tail call, so that its frame counts for the level of errors.

function regex.test(subject, pattern, flags)
  arguments.text(subject, "tide.regex.test")
  return (run(get(pattern, flags), subject, 0, 0))
end

function regex.match(subject, pattern, flags)
  arguments.text(subject, "tide.regex.match")
  local one = get(pattern, flags)
  if not run(one, subject, 0, 0) then return nil end
  return captures(one, subject)
end

--- The groups with a name, as (?<name>...). Of groups that share a name (flag J of PCRE2 in the pattern) the first one
--- that took part.
function regex.named(subject, pattern, flags)
  arguments.text(subject, "tide.regex.named")
  local one = get(pattern, flags)
  if not run(one, subject, 0, 0) then return nil end
  local found, names = {}, pcre.names(one)
  for i = 1, #names do
    local name = names[i]
    if found[name.text] == nil then found[name.text] = capture(one, subject, name.group) end
  end
  return found
end

function regex.find(subject, pattern, flags, from)
  arguments.text(subject, "tide.regex.find")
  from = from == nil and 1 or arguments.integer(from, "tide.regex.find: the first byte", 1, 2 ^ 53)
  local one = get(pattern, flags)
  if from > #subject + 1 or not run(one, subject, from - 1, 0) then return nil end
  return tonumber(one.ovector[0]) + 1, tonumber(one.ovector[1])
end

-- The text of a replacement with $0 to $9 filled in.
local function expand(one, subject, replacement)
  return (replacement:gsub("%$([%d$])", function(what)
    if what == "$" then return "$" end
    return tonumber(what) <= one.groups and capture(one, subject, tonumber(what)) or ""
  end))
end

-- The result of the script's function for a match; `whole` when it keeps the match.
local function ask(whole, result)
  if not result then return whole end
  if type(result) ~= "string" and type(result) ~= "number" then
    error("the function of tide.regex.gsub returns a string, a number, nil or false, got "
      .. arguments.shown(result), 3)
  end
  return result
end

-- The byte after the character at `at` (from 0).
local function step(one, subject, at)
  at = at + 1
  while one.utf and at < #subject and bit.band(subject:byte(at + 1), 0xC0) == 0x80 do at = at + 1 end
  return at
end

function regex.gsub(subject, pattern, replacement, flags)
  arguments.text(subject, "tide.regex.gsub")
  if type(replacement) ~= "function" then arguments.text(replacement, "tide.regex.gsub, to replace by,") end
  local one, parts, from, copied, done = get(pattern, flags), {}, 0, 0, 0
  local options = 0
  while from <= #subject do
    if run(one, subject, from, options) then
      local first, last = tonumber(one.ovector[0]), tonumber(one.ovector[1])
      parts[#parts + 1] = subject:sub(copied + 1, first)
      if type(replacement) == "function" then
        parts[#parts + 1] = ask(subject:sub(first + 1, last), replacement(captures(one, subject)))
      else
        parts[#parts + 1] = expand(one, subject, replacement)
      end
      from, copied, done = last, last, done + 1
      options = first == last and bit.bor(NOT_EMPTY_AT_START, ANCHORED) or 0
    elseif options ~= 0 then
      from, options = step(one, subject, from), 0
    else
      break
    end
  end
  parts[#parts + 1] = subject:sub(copied + 1)
  return table.concat(parts), done
end

return regex
