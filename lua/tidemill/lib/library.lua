-- SPDX-License-Identifier: MIT
-- lib/library.lua: system libraries and Lua modules that a word may do without: when one is missing, that word says
-- which package has it.
local ffi = require("ffi")

local library = {}

local function missing(word, what, package, problem)
  error(("tide.%s needs %s: install the Debian package %s (%s)"):format(word, what, package, problem), 0)
end

--- The library by its soname, with these declarations.
function library.load(word, soname, package, declarations)
  local found, loaded = pcall(ffi.load, soname)
  if not found then missing(word, soname, package, (tostring(loaded):gsub("\n.*", ""))) end
  ffi.cdef(declarations)
  return loaded
end

--- A Lua module.
function library.require(word, name, package)
  local found, module = pcall(require, name)
  if not found then missing(word, "the Lua module " .. name, package, (tostring(module):gsub("\n.*", ""))) end
  return module
end

--- Raises in the line of the caller's caller unless `value` is a string.
function library.check_text(value, what)
  if type(value) ~= "string" then error(what .. " takes a string, got " .. type(value), 3) end
end

return library
