-- SPDX-License-Identifier: MIT
-- plan/node.lua: one use of a step or setting in a pipeline file, before anything is checked.
local node = {}
local Node = {}

--- `spec`: its table from steps/; `arguments`: what it was called with; `where`: { file, line }.
function node.new(spec, arguments, where)
  return setmetatable({ spec = spec, arguments = arguments, file = where.file, line = where.line }, Node)
end

function node.is(value)
  return getmetatable(value) == Node
end

function Node:__tostring()
  return "tide." .. self.spec.name
end

--- File and line of the code that called a step or setting, `level` calls up from the caller of this function.
function node.where(level)
  local info = debug.getinfo(level + 1, "Sl")
  if not info then return { file = "?" } end
  local line = info.currentline
  return { file = (info.source:gsub("^@", "")), line = line > 0 and line or nil }
end

return node
