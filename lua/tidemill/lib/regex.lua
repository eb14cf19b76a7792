-- SPDX-License-Identifier: MIT
-- lib/regex.lua: tide.regex, Perl's regular expressions by PCRE2, which are compiled once (JIT) and kept. The flags are
-- i (ignore case), m (^ and $ match at lines), s (. is any byte), x (spaces are ignored), u (UTF-8), w (UTF-8, and \w,
-- \d, \s, \b know all letters and digits of Unicode; without it those of ASCII only).
--   test(subject, pattern[, flags]) -> true or false
--   match(subject, pattern[, flags]) -> the captures, the whole match when there are none; nil
--   find(subject, pattern[, flags[, from]]) -> first and last byte; nil
--   gsub(subject, pattern, replacement[, flags]) -> text, count; replacement: a text with $0 to $9 ($$ is $), or a
--     function of what match gives (nil or false keeps the match)
-- A pattern has one buffer for what it matched, so all of it is read before a function of the user is called.
local bit = require("bit")
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local library = require("tidemill.lib.library")

local regex = {}

local MOST = 1000 -- compiled patterns that are kept
local UTF, UCP = 0x80000, 0x20000
local FLAGS = { i = 0x8, m = 0x400, s = 0x20, x = 0x80, u = UTF, w = UTF + UCP }
local JIT_COMPLETE, UNSET = 1, 0xFFFFFFFFFFFFFFFFULL
local NO_MATCH, JIT_STACK_LIMIT = -1, -46
local NOT_EMPTY_AT_START, ANCHORED, NO_JIT = 0x8, 0x80000000, 0x2000
local ALL_OPTIONS = 0
local STACK_LEAST, STACK_MOST = 32 * 1024, 1024 * 1024 -- bytes that a compiled pattern may use for going back

local pcre = library.load("regex", "libpcre2-8.so.0", "libpcre2-8-0", [[
  typedef struct pcre2_code pcre2_code;
  typedef struct pcre2_match_data pcre2_match_data;
  pcre2_code *pcre2_compile_8(const char *, size_t, uint32_t, int *, size_t *, void *);
  void pcre2_code_free_8(pcre2_code *);
  int pcre2_jit_compile_8(pcre2_code *, uint32_t);
  int pcre2_pattern_info_8(const pcre2_code *, uint32_t, void *);
  pcre2_match_data *pcre2_match_data_create_from_pattern_8(const pcre2_code *, void *);
  void pcre2_match_data_free_8(pcre2_match_data *);
  void *pcre2_match_context_create_8(void *);
  void *pcre2_jit_stack_create_8(size_t, size_t, void *);
  void pcre2_jit_stack_assign_8(void *, void *, void *);
  int pcre2_match_8(const pcre2_code *, const char *, size_t, size_t, uint32_t, pcre2_match_data *, void *);
  size_t *pcre2_get_ovector_pointer_8(pcre2_match_data *);
  uint32_t pcre2_get_ovector_count_8(pcre2_match_data *);
  int pcre2_get_error_message_8(int, char *, size_t);
]])

local context -- with a stack for compiled patterns; one match runs at a time

local function message_of(code)
  local text = ffi.new("char[256]")
  pcre.pcre2_get_error_message_8(code, text, 256)
  return ffi.string(text)
end

local function options_of(flags)
  local options = 0
  for flag in (flags or ""):gmatch(".") do
    if not FLAGS[flag] then
      error(("tide.regex: no flag %s; there are i, m, s, x, u, w"):format(arguments.shown(flag)), 5)
    end
    options = bit.bor(options, FLAGS[flag])
  end
  return options
end

local function open_context()
  context = pcre.pcre2_match_context_create_8(nil)
  pcre.pcre2_jit_stack_assign_8(context, nil, pcre.pcre2_jit_stack_create_8(STACK_LEAST, STACK_MOST, nil))
end

local function compile(pattern, flags)
  local code, at = ffi.new("int[1]"), ffi.new("size_t[1]")
  local options = ffi.new("uint32_t[1]", options_of(flags))
  local compiled = pcre.pcre2_compile_8(pattern, #pattern, options[0], code, at, nil)
  if compiled == nil then
    error(("tide.regex: %s at byte %d of %s"):format(message_of(code[0]), tonumber(at[0]), pattern), 4)
  end
  if not context then open_context() end
  compiled = ffi.gc(compiled, pcre.pcre2_code_free_8)
  pcre.pcre2_jit_compile_8(compiled, JIT_COMPLETE) -- without JIT on this machine it is interpreted
  pcre.pcre2_pattern_info_8(compiled, ALL_OPTIONS, options) -- a pattern may begin with (*UTF)
  local data = ffi.gc(pcre.pcre2_match_data_create_from_pattern_8(compiled, nil), pcre.pcre2_match_data_free_8)
  return { code = compiled, data = data, ovector = pcre.pcre2_get_ovector_pointer_8(data),
    utf = bit.band(options[0], UTF) ~= 0, groups = pcre.pcre2_get_ovector_count_8(data) - 1 }
end

local kept, count = {}, 0

-- Must be called by the function that the script calls, as errors are raised by the number of frames.
local function get(pattern, flags)
  local of_flags = kept[flags or ""]
  local found = of_flags and of_flags[pattern]
  if found then return found end
  if type(pattern) ~= "string" then error("a pattern is a string, got " .. arguments.shown(pattern), 3) end
  if flags ~= nil and type(flags) ~= "string" then
    error("the flags of a pattern are a string, got " .. arguments.shown(flags), 3)
  end
  found = compile(pattern, flags)
  if count == MOST then kept, count = {}, 0 end
  kept[flags or ""] = kept[flags or ""] or {}
  kept[flags or ""][pattern], count = found, count + 1
  return found
end

-- True when the pattern matches from byte `from` (from 0) on. When the stack for compiled patterns is too small, the
-- interpreter runs the pattern, which uses the heap.
local function run(one, subject, from, options)
  local status = pcre.pcre2_match_8(one.code, subject, #subject, from, options, one.data, context)
  if status == JIT_STACK_LIMIT then
    status = pcre.pcre2_match_8(one.code, subject, #subject, from, bit.bor(options, NO_JIT), one.data, context)
  end
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
