-- SPDX-License-Identifier: MIT
-- run/shared_tables.lua: some tables are shared by all of the user's files: Lua's libraries, the metatable of strings,
-- the table of tidemill. What one file writes there holds for all others, so a second file that writes the same name
-- differently is refused, and so is any write to the table of tidemill. To find such writes, the tables are compared
-- before and after each file is run.
local message = require("tidemill.run.message")
local pack = require("tidemill.run.pack")
local answer = require("tidemill.run.answer")

local shared_tables = {}
shared_tables.__index = shared_tables

local LIBRARIES = { "string", "table", "math", "os", "io", "coroutine", "debug", "bit", "jit" }

local function copy_of(of)
  local copy = {}
  for name, value in pairs(of) do copy[name] = value end
  return copy
end

-- "string" -> the table itself. That of tidemill is there once somebody has required it.
local function tables()
  local all = { ['getmetatable("")'] = getmetatable("") }
  for _, name in ipairs(LIBRARIES) do all[name] = package.loaded[name] end
  return all
end

local function is_same(a, b)
  if rawequal(a, b) then return true end
  if type(a) ~= "function" or type(b) ~= "function" then return false end
  local one, other = debug.getinfo(a, "S"), debug.getinfo(b, "S")
  return one.what ~= "C" and one.source == other.source and one.linedefined == other.linedefined
    and one.lastlinedefined == other.lastlinedefined -- a module that both files require
end

local function place(value, path)
  local info = type(value) == "function" and debug.getinfo(value, "S")
  local at = info and info.what ~= "C" and ("%s:%d"):format(info.source:gsub("^@", ""), info.linedefined)
  if not at then return path end
  return at:sub(1, #path + 1) == path .. ":" and at or ("%s (%s)"):format(path, at)
end

--- For the files of one plan.
function shared_tables.new()
  return setmetatable({ writers = {} }, shared_tables)
end

--- Before a file is run.
function shared_tables:look()
  self.before = {}
  for of, content in pairs(tables()) do self.before[of] = copy_of(content) end
  self.tidemill = copy_of(package.loaded.tidemill or {})
end

-- A name that the file `path` has given a value.
function shared_tables:note(name, value, path)
  local writer = self.writers[name]
  if not writer or is_same(writer.value, value) then
    self.writers[name] = writer or { value = value, path = path }
    return nil
  end
  return ("%s is written by %s and, differently, by %s: all files have one such table, so the last holds for both. "
    .. "Use a local function, or two names"):format(name, place(writer.value, writer.path), place(value, path))
end

-- A name in the table of tidemill that has another value than before. What transforms use it fetches when it is read.
local function changed_in_tidemill(before)
  local now = package.loaded.tidemill or {}
  for name, value in pairs(before) do
    if not rawequal(value, rawget(now, name)) then return tostring(name) end
  end
  for name, value in pairs(now) do
    local was = before[name]
    if was == nil then was = answer[name] or message[name] or pack[name] end
    if next(before) ~= nil and not rawequal(value, was) then return tostring(name) end
  end
end

--- After the file `path` was run: what is wrong with what it wrote; nil if nothing is.
function shared_tables:problem_of(path)
  local changed = changed_in_tidemill(self.tidemill)
  if changed then
    return ("%s: tide.%s is written; the table of tidemill is not to be changed, all files have the same"):format(path,
      changed)
  end
  for of, content in pairs(tables()) do
    for name, value in pairs(content) do
      local problem = not rawequal(value, self.before[of][name])
        and self:note(("%s.%s"):format(of, tostring(name)), value, path)
      if problem then return problem end
    end
  end
end

return shared_tables
