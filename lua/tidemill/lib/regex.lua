-- SPDX-License-Identifier: MIT
-- lib/regex.lua: tide.regex, Perl's regular expressions by PCRE2, compiled once (JIT) and kept. flags: i (case), m
-- (^ and $ at lines), s (. is any byte), x (spaces ignored), u (UTF-8).
--   test(subject, pattern[, flags]) -> true or false
--   match(subject, pattern[, flags]) -> the captures, the whole match when there are none; nil
--   find(subject, pattern[, flags[, from]]) -> first and last byte; nil
--   gsub(subject, pattern, replacement[, flags]) -> text, count; replacement: a text with $0 to $9 ($$ is $), or a
--     function of what match gives (nil or false keeps the match)
local bit = require("bit")
local ffi = require("ffi")
local library = require("tidemill.lib.library")

local regex = {}

local MOST = 1000 -- compiled patterns that are kept
local FLAGS = { i = 0x8, m = 0x400, s = 0x20, x = 0x80, u = 0x80000 }
local JIT_COMPLETE, UNSET, NO_MATCH = 1, 0xFFFFFFFFFFFFFFFFULL, -1
local UTF, NOT_EMPTY_AT_START, ANCHORED = 0x80000, 0x8, 0x80000000

local pcre

local function open()
  pcre = library.load("regex", "libpcre2-8.so.0", "libpcre2-8-0", [[
    typedef struct pcre2_code pcre2_code;
    typedef struct pcre2_match_data pcre2_match_data;
    pcre2_code *pcre2_compile_8(const char *, size_t, uint32_t, int *, size_t *, void *);
    void pcre2_code_free_8(pcre2_code *);
    int pcre2_jit_compile_8(pcre2_code *, uint32_t);
    pcre2_match_data *pcre2_match_data_create_from_pattern_8(const pcre2_code *, void *);
    void pcre2_match_data_free_8(pcre2_match_data *);
    int pcre2_match_8(const pcre2_code *, const char *, size_t, size_t, uint32_t, pcre2_match_data *, void *);
    size_t *pcre2_get_ovector_pointer_8(pcre2_match_data *);
    uint32_t pcre2_get_ovector_count_8(pcre2_match_data *);
    int pcre2_get_error_message_8(int, char *, size_t);
  ]])
end

local function message_of(code)
  local text = ffi.new("char[256]")
  pcre.pcre2_get_error_message_8(code, text, 256)
  return ffi.string(text)
end

local function options_of(flags)
  local options = 0
  for flag in (flags or ""):gmatch(".") do
    if not FLAGS[flag] then error(('tide.regex: no flag "%s"; there are i, m, s, x, u'):format(flag), 4) end
    options = bit.bor(options, FLAGS[flag])
  end
  return options
end

local function compile(pattern, flags)
  library.check_text(pattern, "a pattern")
  if not pcre then open() end
  local code, at = ffi.new("int[1]"), ffi.new("size_t[1]")
  local options = options_of(flags)
  local compiled = pcre.pcre2_compile_8(pattern, #pattern, options, code, at, nil)
  if compiled == nil then
    error(("tide.regex: %s at byte %d of %s"):format(message_of(code[0]), tonumber(at[0]), pattern), 4)
  end
  compiled = ffi.gc(compiled, pcre.pcre2_code_free_8)
  pcre.pcre2_jit_compile_8(compiled, JIT_COMPLETE) -- without JIT on this machine it is interpreted
  local data = ffi.gc(pcre.pcre2_match_data_create_from_pattern_8(compiled, nil), pcre.pcre2_match_data_free_8)
  return { code = compiled, data = data, ovector = pcre.pcre2_get_ovector_pointer_8(data), utf = options >= UTF,
    groups = pcre.pcre2_get_ovector_count_8(data) - 1 }
end

local kept, count = {}, 0

local function get(pattern, flags)
  local of_flags = kept[flags or ""]
  local found = of_flags and of_flags[pattern]
  if found then return found end
  found = compile(pattern, flags)
  if count == MOST then kept, count = {}, 0 end
  kept[flags or ""] = kept[flags or ""] or {}
  kept[flags or ""][pattern], count = found, count + 1
  return found
end

-- True when it matches from byte `from` (0 is the first) on.
local function run(one, subject, from, options)
  local status = pcre.pcre2_match_8(one.code, subject, #subject, from, options or 0, one.data, nil)
  if status >= 0 then return true end
  if status == NO_MATCH then return false end
  error("tide.regex: " .. message_of(status), 3)
end

local function capture(one, subject, i)
  local first, last = one.ovector[2 * i], one.ovector[2 * i + 1]
  if first == UNSET then return nil end
  return subject:sub(tonumber(first) + 1, tonumber(last))
end

local function captures(one, subject)
  if one.groups == 0 then return capture(one, subject, 0) end
  local all = {}
  for i = 1, one.groups do all[i] = capture(one, subject, i) end
  return unpack(all, 1, one.groups)
end

function regex.test(subject, pattern, flags)
  library.check_text(subject, "tide.regex.test")
  return run(get(pattern, flags), subject, 0)
end

function regex.match(subject, pattern, flags)
  library.check_text(subject, "tide.regex.match")
  local one = get(pattern, flags)
  if run(one, subject, 0) then return captures(one, subject) end
end

function regex.find(subject, pattern, flags, from)
  library.check_text(subject, "tide.regex.find")
  local one = get(pattern, flags)
  if (from or 1) > #subject + 1 or not run(one, subject, (from or 1) - 1) then return nil end
  return tonumber(one.ovector[0]) + 1, tonumber(one.ovector[1])
end

local function expand(one, subject, replacement)
  if type(replacement) == "function" then return replacement(captures(one, subject)) or capture(one, subject, 0) end
  return (replacement:gsub("%$([%d$])", function(what)
    if what == "$" then return "$" end
    return tonumber(what) <= one.groups and capture(one, subject, tonumber(what)) or ""
  end))
end

-- The byte behind the character at `at` (from 0).
local function step(one, subject, at)
  at = at + 1
  while one.utf and at < #subject and bit.band(subject:byte(at + 1), 0xC0) == 0x80 do at = at + 1 end
  return at
end

function regex.gsub(subject, pattern, replacement, flags)
  library.check_text(subject, "tide.regex.gsub")
  local one, parts, from, copied, done = get(pattern, flags), {}, 0, 0, 0
  local options = 0
  while from <= #subject do
    if run(one, subject, from, options) then
      local first, last = tonumber(one.ovector[0]), tonumber(one.ovector[1])
      parts[#parts + 1] = subject:sub(copied + 1, first)
      parts[#parts + 1] = expand(one, subject, replacement)
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
