-- SPDX-License-Identifier: MIT
-- Coverage of Lua for libFuzzer: each module that a target requires is loaded with a call of fuzz_mark(number) of
-- scripts/fuzz/lua.c before each statement, and in the right side of each `and` and `or`. That shows more than a hook
-- that is called for each line, and costs less: it is a call of C in compiled code too, while with such a hook LuaJIT
-- compiles nothing and leaves its interpreter at each instruction. Lines stay where they are.
-- Called with what takes the place of fuzz_mark (nil: nothing does); returns a function that loads a file so.
local parser = require "luacheck.parser" -- of Debian's lua-check, as `make lint` has it
local decoder = require "luacheck.decoder"

local NAME = "fuzz_mark" -- also a local of each file, which becomes an upvalue of its functions

local marks = 0

local function next_mark()
  marks = marks + 1
  return marks
end

-- Which children of a statement are blocks; of any other node none is.
local BLOCKS = {
  While = function(node) return { node[2] } end,
  Repeat = function(node) return { node[1] } end,
  Fornum = function(node) return { node[#node] } end,
  Forin = function(node) return { node[3] } end,
  Function = function(node) return { node[2] } end,
  If = function(node)
    local blocks = {}
    for i = 2, #node, 2 do blocks[#blocks + 1] = node[i] end
    if #node % 2 == 1 then blocks[#blocks + 1] = node[#node] end
    return blocks
  end,
  Do = function(node) return { node } end,
}

local visit

local function visit_block(block, pieces)
  for _, statement in ipairs(block) do
    pieces[#pieces + 1] = { statement.offset, ("%s(%d);"):format(NAME, next_mark()) }
    visit(statement, pieces)
  end
end

function visit(node, pieces)
  local is_block = {}
  for _, block in ipairs(BLOCKS[node.tag] and BLOCKS[node.tag](node) or {}) do
    is_block[block] = true
    visit_block(block, pieces)
  end
  if is_block[node] then return end
  for i, child in ipairs(node) do
    if type(child) == "table" and not is_block[child] then
      local is_right = node.tag == "Op" and i == 3 and (node[1] == "and" or node[1] == "or")
      if is_right then pieces[#pieces + 1] = { child.offset, ("(%s(%d)or("):format(NAME, next_mark()) } end
      visit(child, pieces)
      if is_right then pieces[#pieces + 1] = { child.end_offset + 1, "))" } end
    end
  end
end

-- Returns the text with its marks. The parser counts letters, so any byte beyond ASCII is one for it.
local function marked(text)
  local tree = parser.parse(decoder.decode((text:gsub("^#[^\n]*", ""):gsub("[\128-\255]", "?"))), {}, {}, {}, {})
  local pieces, parts, at = {}, { ("local %s=%s "):format(NAME, NAME) }, 1
  visit_block(tree, pieces)
  for i, piece in ipairs(pieces) do piece[3] = i end
  table.sort(pieces, function(one, other)
    if one[1] ~= other[1] then return one[1] < other[1] end
    return one[3] < other[3]
  end)
  for _, piece in ipairs(pieces) do
    parts[#parts + 1] = text:sub(at, piece[1] - 1)
    parts[#parts + 1] = piece[2]
    at = piece[1]
  end
  parts[#parts + 1] = text:sub(at)
  return table.concat(parts)
end

local function load_marked(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return assert(loadstring(marked(text), "@" .. path))
end

local mark = ...
if not mark then
  local ffi = require "ffi"
  ffi.cdef "void fuzz_mark(uint32_t number);"
  mark = ffi.C.fuzz_mark
end
_G[NAME] = mark
table.insert(package.loaders, 2, function(name)
  local path = package.searchpath(name, package.path)
  return path and load_marked(path) or nil
end)

return load_marked
