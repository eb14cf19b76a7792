-- SPDX-License-Identifier: MIT
-- run/state_warnings.lua: warns where a transform keeps something from one message to the next: a store into a variable
-- that outlives the call, or into a table in such a variable. It reads the bytecode of the functions that run for each
-- message, so stores in hooks or at the top of the file are not reported. A table that is passed to a function is not
-- followed into it, except for table.insert and rawset.
local bit = require("bit")
local ffi = require("ffi")
local jit_util = require("jit.util")
local vmdef = require("jit.vmdef")
local answer = require("tidemill.run.answer")

local state_warnings = {}

local band, shift = bit.band, bit.rshift
local ARGUMENT = ffi.abi "gc64" and 2 or 1 -- from a function's register to that of its first argument
local DST, BASE = 1, 2 -- how an instruction uses the register A (as in LuaJIT's jit.bc)
local INSERTS = { [table.insert] = true, [rawset] = true }

local TEXT = '%s:%d: warning: "%s" keeps something from one message to the next: each worker process has its own, '
  .. "which does not follow its partition and is lost by a crash or a restart. To find duplicates, count or join "
  .. "messages by it gives wrong results: use tide.keyed or tide.reduce, or keep it outside. A cache or connection is "
  .. 'fine: end the line with "-- tidemill: cache"'

local ANSWERS = { [answer.reject] = "reject", [answer.retry] = "retry", [answer.many] = "many" }
local NOT_RETURNED = "%s:%d: warning: what tide.%s makes is not returned here, so the call does nothing: write "
  .. '"return tide.%s(...)"'

-- A cache is recognized by its name, or by a comment at the end of the line. Each variable is reported once.
local function is_cache(name, source, line)
  if name:lower():find "cache" or name:lower():find "memo" then return true end
  local number = 0
  local file = source:sub(1, 1) == "@" and io.open(source:sub(2))
  if not file then return false end
  for text in file:lines() do
    number = number + 1
    if number == line then
      file:close()
      return text:find("--%s*tidemill: cache") ~= nil
    end
  end
  file:close()
  return false
end

-- Functions of the user's files have globals of their own; our functions and the system's have those of Lua.
local function is_users(fn)
  return type(fn) == "function" and getfenv(fn) ~= _G and jit_util.funcinfo(fn).linedefined ~= nil
end

local function changed(look, name, value)
  if type(value) == "cdata" or look.reported[name] then return end -- a cdata is mostly a buffer
  local info = jit_util.funcinfo(look.fn, look.pc)
  local source = info.source or ""
  if is_cache(name, source, info.currentline) then return end
  look.reported[name] = true
  look.texts[#look.texts + 1] = TEXT:format((source:gsub("^[@=]", "")), info.currentline, name)
end

-- A register holds { name = the variable that it was read from, value = its present value, if that is known }.
local function constant(look, d)
  return jit_util.funck(look.fn, -d - 1)
end

local read = {}

function read.UGET(look, _, _, d)
  return look.upvalues[d]
end

function read.GGET(look, _, _, d)
  local name = constant(look, d)
  local value = rawget(look.globals, name)
  return { name = rawget(_G, name) == nil and name or nil, value = value }
end

function read.MOV(look, _, _, d)
  return look.registers[d]
end

local function not_returned(look, name)
  local info = jit_util.funcinfo(look.fn, look.pc)
  look.texts[#look.texts + 1] = NOT_RETURNED:format((info.source or ""):gsub("^[@=]", ""), info.currentline, name, name)
end

local function member(look, b, key)
  local from = look.registers[b]
  if not from then return nil end
  if key and from.value == package.loaded.tidemill then -- which fetches it when it is first read
    return { name = from.name, value = answer[key] }
  end
  local value = key and type(from.value) == "table" and rawget(from.value, key)
  return { name = from.name, value = value or nil }
end

function read.TGETS(look, b, c) return member(look, b, constant(look, c)) end
function read.TGETV(look, b) return member(look, b) end
function read.TGETB(look, b) return member(look, b) end

local function call(look, a, b)
  local fn, first = look.registers[a], look.registers[a + ARGUMENT]
  local value = fn and fn.value
  if value and INSERTS[value] and first and first.name then changed(look, first.name, first.value) end
  if b == 1 and ANSWERS[value] then not_returned(look, ANSWERS[value]) end -- a statement: its result is not used
  if is_users(value) then look.queue[#look.queue + 1] = value end
end

local function store(look, name, a, b, d)
  if name:find "^USET" then
    local variable = look.upvalues[a]
    if variable and variable.name then changed(look, variable.name) end
  elseif name == "GSET" then
    changed(look, constant(look, d))
  elseif name:find "^TSET" then
    local into = look.registers[name == "TSETM" and a - 1 or b]
    if into and into.name then changed(look, into.name, into.value) end
  elseif name:find "^CALL" then
    call(look, a, b)
  end
end

local examine

-- An inner function: only a variable with a name of the outer function is taken to be that function's.
local function examine_inner(look, d)
  local proto, outer, upvalues = constant(look, d), {}, {}
  if type(proto) ~= "proto" then return end
  for _, variable in pairs(look.upvalues) do
    if variable.name then outer[variable.name] = variable end
  end
  for i = 0, jit_util.funcinfo(proto).upvalues - 1 do upvalues[i] = outer[jit_util.funcuvname(proto, i)] or {} end
  examine(look, proto, upvalues)
end

-- Instructions are read in the order of the file, which is close enough to the order in which they run.
function examine(outer, fn, upvalues)
  local look = setmetatable({ fn = fn, upvalues = upvalues, registers = {} }, { __index = outer })
  for pc = 1, 1e9 do
    local instruction, mode = jit_util.funcbc(fn, pc)
    if not instruction then return end
    local op = band(instruction, 0xff)
    local name = vmdef.bcnames:sub(op * 6 + 1, op * 6 + 6):match "%S+"
    local a, b, c, d = band(shift(instruction, 8), 0xff), shift(instruction, 24), band(shift(instruction, 16), 0xff),
      shift(instruction, 16)
    look.pc = pc
    store(look, name, a, b, d)
    if name == "FNEW" then examine_inner(look, d) end
    local effect = band(mode, 7)
    if effect == DST then
      look.registers[a] = read[name] and read[name](look, b, c, d) or nil
    elseif effect == BASE and not name:find "^TSET" then
      for register in pairs(look.registers) do
        if register >= a then look.registers[register] = nil end
      end
    end
  end
end

--- The warnings about a function that runs for each message: an array of texts.
function state_warnings.of(fn)
  local look = { reported = {}, texts = {}, queue = { fn } }
  local seen = {}
  while #look.queue > 0 do
    local next_fn = table.remove(look.queue)
    if is_users(next_fn) and not seen[next_fn] then
      seen[next_fn] = true
      look.globals = getfenv(next_fn)
      local upvalues = {}
      for i = 1, jit_util.funcinfo(next_fn).upvalues do
        local name, value = debug.getupvalue(next_fn, i)
        upvalues[i - 1] = { name = name, value = value }
      end
      examine(look, next_fn, upvalues)
    end
  end
  return look.texts
end

return state_warnings
