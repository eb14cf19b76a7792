-- SPDX-License-Identifier: MIT
-- lib/library.lua: system libraries that modules of lib/ need and that may be missing. They are opened when the module
-- is loaded, before any function of the user runs, so that a file that the user opens cannot take their file
-- descriptors. For a missing one the module's functions raise an error that names the Debian package, and
-- run/missing_libraries.lua reports it before the first message.
local ffi = require("ffi")
local missing_libraries = require("tidemill.run.missing_libraries")

local library = {}

local function problem_of(name, soname, package, text)
  local reason = tostring(text):gsub("\n.*", "")
  if reason:find("No such file or directory", 1, true) then
    return ("tide.%s needs %s: install the Debian package %s (%s)"):format(name, soname, package, reason)
  end
  return ("tide.%s cannot open %s of the Debian package %s: %s"):format(name, soname, package, reason)
end

--- Declares C functions and types. Types may be declared only once, and busted loads a module anew for each spec file:
--- when `first`, the first type, is known already, nothing is declared.
function library.declare(declarations, first)
  if not first or not pcall(ffi.typeof, first) then ffi.cdef(declarations) end
end

--- Opens a library by its soname, with these declarations. When it cannot be opened, the result is a table that raises
--- the reason for whatever is read from it.
function library.load(name, soname, package, declarations, first)
  library.declare(declarations, first)
  local found, loaded = pcall(ffi.load, soname)
  if found then return loaded end
  local problem = problem_of(name, soname, package, loaded)
  missing_libraries.add(name, problem)
  return setmetatable({}, { __index = function() error(problem, 3) end })
end

return library
