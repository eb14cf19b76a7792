-- SPDX-License-Identifier: MIT
-- run/environment.lua: the globals and the modules of a user's file. Each file has its own, so that a name in one file
-- is neither seen nor changed by another file or by this program. `require` looks into the pipeline's folder first, but
-- only for the user's files; what this program requires never comes from there.
local ffi = require("ffi")
local closed_files = require("tidemill.run.closed_files")
local hardened = require("tidemill.run.hardened")
local missing_libraries = require("tidemill.run.missing_libraries")

local environment = {}

-- Declarations for ffi.cdef by their text, and types with methods by the line that gave them. A module that two files
-- require is loaded for each of them, but C has only one space of names; a type then has the methods of the module that
-- was loaded first.
local declared, typed = {}, {}

-- Raises what a function of ffi says at the caller's line.
local function checked(succeeded, result, ...)
  if not succeeded then error(result, 3) end
  return result, ...
end

local function declare(text, ...)
  if select("#", ...) > 0 then return checked(pcall(ffi.cdef, text, ...)) end
  if declared[text] then return end
  checked(pcall(ffi.cdef, text))
  declared[text] = true
end

local function metatype(ctype, methods)
  local caller = debug.getinfo(2, "Sl")
  local place = ("%s:%d %s"):format(caller.source, caller.currentline, tostring(checked(pcall(ffi.typeof, ctype))))
  typed[place] = typed[place] or checked(pcall(ffi.metatype, ctype, methods))
  return typed[place]
end

local function copy_of(table, changes)
  local copy = {}
  for name, value in pairs(table) do copy[name] = value end
  for name, value in pairs(changes) do copy[name] = value end
  return copy
end

local function is_ours(name)
  return name == "tidemill" or name:sub(1, 9) == "tidemill."
end

-- The file of a module of the user, which lies in the folder or where the file's package.path points; or nil and the
-- names that were tried in the folder.
local function find(own, name)
  local path, tried = package.searchpath(name, own.search)
  if path then return path end
  path = package.searchpath(name, own.package.path)
  if path and path ~= package.searchpath(name, package.path) then return path end
  return nil, tried
end

local function run_module(own, name, path)
  local chunk, problem = loadfile(path, own.mode)
  if not chunk then error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, problem), 0) end
  problem = missing_libraries.problem_in(path)
  if problem then error(problem, 0) end
  if own.loading[name] then error(("loop or previous error loading module '%s'"):format(name), 0) end
  own.loading[name] = true
  local result = setfenv(chunk, own.globals)(name)
  own.loading[name] = nil
  return result
end

-- A library in C that the file's package.cpath finds and ours does not.
local function open_library(own, name)
  local path = package.searchpath(name, own.package.cpath)
  if not path or path == package.searchpath(name, package.cpath) then return nil end
  local open, problem = package.loadlib(path, "luaopen_" .. name:gsub("^.*%-", ""):gsub("%.", "_"))
  if not open then error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path, problem), 0) end
  return open
end

local function load_module(own, name)
  local preload = rawget(own.package.preload, name)
  if preload then return preload(name) end
  local path, tried = find(own, name)
  if path then return run_module(own, name, path) end
  local open = open_library(own, name)
  if open then return open(name) end
  local found, result = pcall(require, name)
  if found then return result end
  if type(result) == "string" and result:find("module '" .. name .. "' not found", 1, true) then
    result = result .. tried .. closed_files.about(name, table.concat({ own.search, own.package.path,
      own.package.cpath }, ";"))
  end
  error(result, 0)
end

local function requirer(own)
  return function(name)
    if type(name) ~= "string" then return require(name) end -- which says what is wrong
    if is_ours(name) then return require(name) end
    local loaded = own.package.loaded
    local value = rawget(loaded, name)
    if value ~= nil then return value end
    value = load_module(own, name)
    if rawget(loaded, name) == nil then loaded[name] = value == nil and (package.loaded[name] or true) or value end
    return rawget(loaded, name)
  end
end

-- The functions that compile text give it the same globals. `only`: "t" where no bytecode is loaded, which LuaJIT does
-- not verify; else nil.
local function add_loaders(globals, only)
  function globals.load(chunk, name, mode, env) return load(chunk, name, only or mode, env or globals) end
  globals.loadstring = globals.load
  function globals.loadfile(path, mode, env) return loadfile(path, only or mode, env or globals) end
  function globals.dofile(path)
    local chunk, problem = loadfile(path, only, globals)
    if not chunk then error(problem, 0) end
    return chunk()
  end
end

local function mode_of(trust)
  return trust ~= "full" and "t" or nil
end

--- The globals for one file of the pipeline in `folder`: those of Lua, and those of `base` (optional: the pipeline
--- file's, as they are now). They are copied and not inherited, so that reading a global is as fast as usual. `trust`:
--- the level; for "hardened" see run/hardened.lua.
function environment.new(folder, base, trust)
  if trust == "hardened" then return hardened.globals(folder, base) end
  local search = folder .. "/?.lua;" .. folder .. "/?/init.lua;"
  local parent = base and rawget(base, "package") or package
  local own = { search = search, loading = {}, mode = mode_of(trust), globals = copy_of(_G, base or {}) }
  own.package = setmetatable({
    path = parent == package and search .. package.path or parent.path,
    cpath = parent == package and folder .. "/?.so;" .. package.cpath or parent.cpath,
    loaded = setmetatable({ _G = own.globals, ffi = copy_of(ffi, { cdef = declare, metatype = metatype }) },
      { __index = package.loaded }),
    preload = setmetatable({}, { __index = package.preload }),
  }, { __index = package })
  own.package.loaded.package = own.package
  own.globals._G, own.globals.package, own.globals.require = own.globals, own.package, requirer(own)
  add_loaders(own.globals, own.mode)
  return own.globals
end

local function load_text(path, trust, globals)
  if trust == "hardened" then return globals.loadfile(path) end
  return loadfile(path, mode_of(trust), globals)
end

--- Compiles a file for globals of its own: the chunk, or nil and what is wrong with it or missing for it.
function environment.load_file(path, folder, base, trust)
  local problem = missing_libraries.problem_in(path)
  if problem then return nil, problem end
  local chunk, reason = load_text(path, trust, environment.new(folder, base, trust))
  if reason and reason:find("wrong mode", 1, true) then
    reason = path .. ': this is bytecode, which is not checked; it is loaded under trust = "full" alone'
  end
  return chunk, reason
end

return environment
