-- SPDX-License-Identifier: MIT
-- plan/declaration.lua: a step or setting as the pipeline file declares it, before anything is checked.
local declaration = {}
local Node = {}

--- `spec` is the table of the step or setting from steps/; `arguments` is what it was called with; `where`: {file,
--- line}; `written` (optional): the short name that stands there.
function declaration.new(spec, arguments, where, written)
  return setmetatable({ spec = spec, arguments = arguments, file = where.file, line = where.line,
    written = written or spec.name }, Node)
end

function declaration.is(value)
  return getmetatable(value) == Node
end

function Node:__tostring()
  return "tide." .. self.written
end

--- Returns file and line of the code that called a step or setting, `level` calls up from the caller of this function.
function declaration.where(level)
  local info = debug.getinfo(level + 1, "Sl")
  if not info then return { file = "?" } end
  local line = info.currentline
  return { file = (info.source:gsub("^@", "")), line = line > 0 and line or nil }
end

return declaration
