-- SPDX-License-Identifier: MIT
-- run/hardened.lua: the Lua of a user's file under trust = "hardened". Its globals are fresh tables that hold what is
-- listed here and no more: nothing in them reaches out of Lua (no ffi, io, os.execute, debug, modules in C, bytecode),
-- and nothing is a cdata, through which memory could be read past an end. In a process that is entered, messages, views
-- and large integers are tables with methods in place of cdata (run/message.lua, run/json.lua, run/integer.lua).
--
-- This is the inner wall. What stops an attacker is the kernel's: whoever finds a way out of
-- here is in a process without files, network and secrets. Start reading at hardened.globals.
local jit_util = require("jit.util")
local closed_files = require("tidemill.run.closed_files")
local copies = require("tidemill.run.copy")
local integer = require("tidemill.run.integer")
local json = require("tidemill.run.json")
local marks = require("tidemill.run.marks")
local missing_libraries = require("tidemill.run.missing_libraries")
local objects = require("tidemill.run.objects")

local hardened = {}

-- What stays of Lua. string.dump and string.buffer are left out: bytecode, and pointers.
local FUNCTIONS = "_VERSION assert error pcall print rawequal rawget select tonumber tostring type xpcall"
local LIBRARIES = {
  string = "byte char find format gmatch gsub len lower match rep reverse sub upper",
  table = "concat foreach foreachi getn insert maxn move pack remove sort unpack",
  math = "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min mod modf pi pow "
    .. "rad random randomseed sin sinh sqrt tan tanh",
  coroutine = "create isyieldable resume running status wrap yield",
  bit = "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex",
  os = "clock date difftime time",
}
-- What stays of the table of tidemill, beside steps and settings, which only a pipeline file has.
local FOR_TRANSFORMS = "array avro base64 csv drop env grok gzip hash hmac json log logfmt lookup many metric msgpack "
  .. "null pack protobuf regex reject retry syslog table time unpack url utf8 zstd"

local function picked(from, names)
  local own = {}
  for name in names:gmatch("%S+") do own[name] = from[name] end
  return own
end

-- ---- objects of ours, which are tables here, are none for the functions of Lua ----

-- A function of Lua whose first argument is a table. The text is that of Lua for a cdata, to which run/runner.lua adds
-- what to use instead.
local function refusing(name, fn)
  return fn and function(object, ...)
    if marks.of(object) == marks.STAND_IN then
      error(("bad argument #1 to '%s' (table expected, got cdata)"):format(name), 2)
    end
    return fn(object, ...)
  end
end

local function add_tables(globals)
  for name, fn in pairs(globals.table) do
    if name ~= "pack" then globals.table[name] = refusing(name, fn) end
  end
  globals.next, globals.unpack, globals.rawset = refusing("next", next), refusing("unpack", unpack),
    refusing("rawset", rawset)
  for name, fn in pairs { pairs = pairs, ipairs = ipairs } do
    globals[name] = function(object)
      local method = marks.of(object) == marks.STAND_IN and getmetatable(object)["__" .. name]
      return (method or fn)(object)
    end
  end
end

-- Metatables that the user's code has set. It gets and replaces only those: with ours it could change our objects.
local theirs = setmetatable({}, { __mode = "k" })

local function add_metatables(globals)
  function globals.getmetatable(object)
    local mark = getmetatable(object)
    if type(mark) == "table" and not theirs[mark] then return false end
    return mark
  end
  function globals.setmetatable(object, mark)
    local now = debug.getmetatable(object)
    if now ~= nil and not theirs[now] then error("this metatable is not to be replaced", 2) end
    if type(mark) == "table" then theirs[mark] = true end
    return setmetatable(object, mark)
  end
end

-- ---- compiling ----

local function has_cdata(constant)
  if type(constant) == "cdata" then return true end
  if type(constant) ~= "table" then return false end
  for key, value in pairs(constant) do
    if has_cdata(key) or has_cdata(value) then return true end
  end
  return false
end

-- The line of a function that has a literal of cdata (1LL, 0x1ULL, 2i); nil when there is none.
local function cdata_line(fn)
  local at = -1
  while true do
    local constant = jit_util.funck(fn, at)
    if constant == nil then return nil end
    if has_cdata(constant) then return jit_util.funcinfo(fn).linedefined end
    local line = type(constant) == "proto" and cdata_line(constant)
    if line then return line end
    at = at - 1
  end
end

-- Compiles text, and no bytecode. The function; or nil and what is wrong.
local function compile(chunk, name, globals)
  local fn, problem = load(chunk, name, "t", globals)
  local line = fn and cdata_line(fn)
  if not line then return fn, problem end
  local place = tostring(name or "a text"):gsub("^[@=]", "")
  return nil, ('%s: in the function of line %d: there are no numbers with LL, ULL or i under trust = "hardened"')
    :format(place, line)
end

local function compile_file(path, globals)
  local file, problem = io.open(path, "rb")
  if not file then return nil, problem end
  local text
  text, problem = file:read("*a")
  file:close()
  if not text then return nil, ("%s: %s"):format(path, problem) end
  return compile(text:gsub("^#[^\n]*", ""), "@" .. path, globals)
end

local function add_loaders(globals)
  function globals.load(chunk, name, _, env) return compile(chunk, name, env or globals) end
  globals.loadstring = globals.load
  function globals.loadfile(path, _, env)
    if type(path) ~= "string" then error("loadfile takes the path of a file", 2) end
    return compile_file(path, env or globals)
  end
  function globals.dofile(path)
    local chunk, problem = globals.loadfile(path)
    if not chunk then error(problem, 0) end
    return chunk()
  end
end

-- ---- modules ----

-- What opens connections is refused by its name.
local REFUSED = "http registry"

local function refuse(name)
  local function raise()
    error(('tide.%s is refused under trust = "hardened", which opens no connections'):format(name), 2)
  end
  return setmetatable({}, { __index = raise, __call = raise })
end

-- A copy of the table of tidemill and of its libraries, which one file may change for itself alone. `all`: with steps
-- and settings.
local function facade(tide, all)
  local own = {}
  for name in FOR_TRANSFORMS:gmatch("%S+") do own[name] = tide[name] end
  for name, value in pairs(all and tide or {}) do own[name] = value end
  for name, value in pairs(own) do
    local mark = getmetatable(value)
    if type(value) == "table" and (not mark or mark.__index) then
      own[name] = setmetatable({}, mark)
      for inner, item in pairs(value) do rawset(own[name], inner, item) end
    end
  end
  for name in REFUSED:gmatch("%S+") do own[name] = refuse(name) end
  return setmetatable(own, getmetatable(tide))
end

local function not_found(name, tried, templates)
  local what = "not found:" .. tried .. closed_files.about(name, templates)
  if package.searchpath(name, package.cpath) then
    what = 'is refused under trust = "hardened", as it is a library in C'
  elseif package.loaded[name] then
    what = 'is refused under trust = "hardened"'
  end
  error(("module '%s' %s"):format(name, what), 3)
end

local function load_module(own, name)
  if name == "tidemill" then return facade(require(name), own.all) end
  local templates = tostring(own.package.path)
  local path, tried = package.searchpath(name, templates)
  if not path then not_found(name, tried, templates) end
  local problem = missing_libraries.problem_in(path)
  local chunk
  if not problem then chunk, problem = compile_file(path, own.globals) end
  if not chunk then error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, problem), 0) end
  if own.loading[name] then error(("loop or previous error loading module '%s'"):format(name), 0) end
  own.loading[name] = true
  local result = chunk(name)
  own.loading[name] = nil
  return result
end

local function requirer(own)
  return function(name)
    if type(name) ~= "string" then error("require takes the name of a module", 2) end
    local loaded = own.package.loaded
    if loaded[name] ~= nil then return loaded[name] end
    local value = load_module(own, name)
    if loaded[name] == nil then loaded[name] = value == nil and true or value end
    return loaded[name]
  end
end

local function collect(option)
  if option == nil or option == "collect" then return collectgarbage() end
  if option == "count" or option == "step" then return collectgarbage(option) end
  error(('collectgarbage takes "collect", "count" or "step" under trust = "hardened", got %s'):format(
    tostring(option)), 2)
end

--- The globals for one file of the pipeline in `folder`, and those of `base` (optional: the pipeline file's, which were
--- made here too).
function hardened.globals(folder, base)
  local globals = picked(_G, FUNCTIONS)
  for name, names in pairs(LIBRARIES) do globals[name] = picked(require(name), names) end
  local own = { globals = globals, loading = {}, all = base == nil }
  own.package = { loaded = {}, preload = {}, config = package.config,
    path = ("%s/?.lua;%s/?/init.lua;%s"):format(folder, folder, package.path) }
  for name in pairs(LIBRARIES) do own.package.loaded[name] = globals[name] end
  globals.os.getenv = function(name) return (os.getenv(name)) end
  globals.collectgarbage = collect
  add_tables(globals)
  add_metatables(globals)
  add_loaders(globals)
  for name, value in pairs(base or {}) do
    if globals[name] == nil then globals[name] = value end
  end
  own.package.loaded._G, own.package.loaded.package = globals, own.package
  globals._G, globals.package, globals.require = globals, own.package, requirer(own)
  return globals
end

--- Makes tables of what would be cdata in the user's hands, or cdata again, for this process. Returns what was before.
function hardened.switch(on)
  local before = json.harden(on)
  objects.harden(on)
  integer.harden(on)
  copies.harden(on)
  return before
end

--- Makes this process one in which only hardened code runs, before any of it is loaded.
function hardened.enter()
  hardened.switch(true)
  -- The methods of strings are those of one table for all code, ours too.
  getmetatable("").__index = picked(string, LIBRARIES.string)
end

return hardened
