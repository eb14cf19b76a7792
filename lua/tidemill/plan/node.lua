-- SPDX-License-Identifier: MIT
-- plan/node.lua: one use of a word in a pipeline file, before anything is checked.
local node = {}
local Node = {}

--- `spec`: the word's table from steps/; `arguments`: what it was called with; `where`: {file, line}.
function node.new(spec, arguments, where)
  return setmetatable({ spec = spec, arguments = arguments, file = where.file, line = where.line }, Node)
end

function node.is(value)
  return getmetatable(value) == Node
end

function Node:__tostring()
  return "tide." .. self.spec.name
end

--- file and line of the code that called a word, `level` calls up from the caller of this function.
function node.where(level)
  local info = debug.getinfo(level + 1, "Sl")
  if not info then return { file = "?" } end
  local line = info.currentline
  return { file = (info.source:gsub("^@", "")), line = line > 0 and line or nil }
end

return node
