-- SPDX-License-Identifier: MIT
-- lib/pcre.lua: patterns of PCRE2 for lib/regex.lua and lib/grok.lua, which are compiled once (JIT) and kept.
-- A pattern has one buffer for what it matched, so all of it is read before a function of the user is called.
local bit = require("bit")
local ffi = require("ffi")
local arguments = require("tidemill.lib.arguments")
local library = require("tidemill.lib.library")

local pcre = {}

local MOST = 1000 -- compiled patterns that are kept
local UTF, UCP = 0x80000, 0x20000
local FLAGS = { i = 0x8, m = 0x400, s = 0x20, x = 0x80, u = UTF, w = UTF + UCP }
local JIT_COMPLETE, UNSET = 1, 0xFFFFFFFFFFFFFFFFULL
local NO_MATCH, JIT_STACK_LIMIT = -1, -46
local NO_JIT = 0x2000
local ALL_OPTIONS, NAME_COUNT, NAME_SIZE, NAME_TABLE = 0, 17, 18, 19 -- what pcre2_pattern_info tells
local STACK_LEAST, STACK_MOST = 32 * 1024, 1024 * 1024 -- bytes that a compiled pattern may use for going back

local C = library.load("regex", "libpcre2-8.so.0", "libpcre2-8-0", [[
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
  C.pcre2_get_error_message_8(code, text, 256)
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
  context = C.pcre2_match_context_create_8(nil)
  C.pcre2_jit_stack_assign_8(context, nil, C.pcre2_jit_stack_create_8(STACK_LEAST, STACK_MOST, nil))
end

local function compile(pattern, flags)
  local code, at = ffi.new("int[1]"), ffi.new("size_t[1]")
  local options = ffi.new("uint32_t[1]", options_of(flags))
  local compiled = C.pcre2_compile_8(pattern, #pattern, options[0], code, at, nil)
  if compiled == nil then
    error(("tide.regex: %s at byte %d of %s"):format(message_of(code[0]), tonumber(at[0]), pattern), 4)
  end
  if not context then open_context() end
  compiled = ffi.gc(compiled, C.pcre2_code_free_8)
  C.pcre2_jit_compile_8(compiled, JIT_COMPLETE) -- without JIT on this machine it is interpreted
  C.pcre2_pattern_info_8(compiled, ALL_OPTIONS, options) -- a pattern may begin with (*UTF)
  local data = ffi.gc(C.pcre2_match_data_create_from_pattern_8(compiled, nil), C.pcre2_match_data_free_8)
  return { code = compiled, data = data, ovector = C.pcre2_get_ovector_pointer_8(data),
    utf = bit.band(options[0], UTF) ~= 0, groups = C.pcre2_get_ovector_count_8(data) - 1 }
end

local kept, count = {}, 0

-- Must be called by the function that the script calls, as errors are raised by the number of frames.
function pcre.get(pattern, flags)
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
function pcre.run(one, subject, from, options)
  local status = C.pcre2_match_8(one.code, subject, #subject, from, options, one.data, context)
  if status == JIT_STACK_LIMIT then
    status = C.pcre2_match_8(one.code, subject, #subject, from, bit.bor(options, NO_JIT), one.data, context)
  end
  if status >= 0 then return true end
  if status == NO_MATCH then return false end
  error("tide.regex: " .. message_of(status), 3)
end

function pcre.capture(one, subject, i)
  local first, last = one.ovector[2 * i], one.ovector[2 * i + 1]
  if first == UNSET then return nil end
  return subject:sub(tonumber(first) + 1, tonumber(last))
end

--- The named groups of a pattern, by number: an array of { text =, group = }. PCRE2's table has entries of one size:
--- the number in two bytes, big-endian, then the name and a zero.
function pcre.names(one)
  if one.names then return one.names end
  local number, start = ffi.new("uint32_t[1]"), ffi.new("const uint8_t *[1]")
  C.pcre2_pattern_info_8(one.code, NAME_COUNT, number)
  local most = number[0]
  C.pcre2_pattern_info_8(one.code, NAME_SIZE, number)
  C.pcre2_pattern_info_8(one.code, NAME_TABLE, start)
  one.names = {}
  for i = 0, most - 1 do
    local entry = start[0] + i * number[0]
    one.names[i + 1] = { text = ffi.string(entry + 2), group = entry[0] * 256 + entry[1] }
  end
  table.sort(one.names, function(a, b) return a.group < b.group end)
  return one.names
end

return pcre
