-- SPDX-License-Identifier: MIT
-- lib/library.lua: system libraries that a word may do without. They are opened when the word is loaded, before any
-- function of the user runs, so that what it opens cannot take their file descriptors. One that is not there is told
-- with its package by the word that needs it, and by run/needs.lua before the first message.
local ffi = require("ffi")
local needs = require("tidemill.run.needs")

local library = {}

local function problem_of(word, soname, package, text)
  local reason = tostring(text):gsub("\n.*", "")
  if reason:find("No such file or directory", 1, true) then
    return ("tide.%s needs %s: install the Debian package %s (%s)"):format(word, soname, package, reason)
  end
  return ("tide.%s cannot open %s of the Debian package %s: %s"):format(word, soname, package, reason)
end

--- Declares C functions, and types once: a second load of the same file (busted forgets what a spec file required)
--- finds `first`, the first type, declared.
function library.declare(declarations, first)
  if not first or not pcall(ffi.typeof, first) then ffi.cdef(declarations) end
end

--- The library by its soname, with these declarations; of one that cannot be opened a table whose fields raise why.
function library.load(word, soname, package, declarations, first)
  library.declare(declarations, first)
  local found, loaded = pcall(ffi.load, soname)
  if found then return loaded end
  local problem = problem_of(word, soname, package, loaded)
  needs.missing(word, problem)
  return setmetatable({}, { __index = function() error(problem, 3) end })
end

return library
