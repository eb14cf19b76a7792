-- SPDX-License-Identifier: MIT
-- cli/state/stores.lua: the stores that the engines of a pipeline have left in their folders (DIR, and DIR-1, DIR-2 of
-- several engines), as one. A partition may be in several of them, since it moves between engines: what counts is the
-- store that has come furthest in it. It has the methods of run/store.lua, and fails as that does.
local store = require("tidemill.run.store")

local stores = {}
local Stores = {}
Stores.__index = Stores

-- The folders that there are; the pipeline's own when there is none.
local function folders(dir)
  local function is_store(path)
    local file = io.open(path .. "/data.mdb", "rb")
    if file then file:close() end
    return file ~= nil
  end
  local list, number = {}, 1
  if is_store(dir) then list[1] = dir end
  while is_store(("%s-%d"):format(dir, number)) do
    list[#list + 1] = ("%s-%d"):format(dir, number)
    number = number + 1
  end
  return list[1] and list or { dir }
end

--- Opens them to read them. `topic`: what the pipeline reads, where that is a topic of Kafka; else there is one store.
function stores.look(dir, pipeline, topic)
  if not topic then return store.look(dir, pipeline) end
  local self = setmetatable({ list = {}, topic = topic, furthest = {} }, Stores)
  for _, folder in ipairs(folders(dir)) do
    local one, reason, status = store.look(folder, pipeline)
    if not one then
      self:free()
      return nil, reason, status
    end
    self.list[#self.list + 1] = one
  end
  return self.list[2] and self or self.list[1]
end

local Place = {}
Place.__index = Place

--- Deletes the state there, and how far `changelog` (nil: none) was read into it; true, or nil, reason and status.
function Place:drop(changelog)
  return store.drop(self.dir, self.pipeline, self.state, changelog)
end

--- Where each state is, by its name: arrays of places, which can be dropped. Nothing is open any more then.
function stores.find(dir, pipeline, topic)
  local found = {}
  for _, folder in ipairs(topic and folders(dir) or { dir }) do
    local one, reason, status = store.look(folder, pipeline)
    if not one then return nil, reason, status end
    local states
    states, reason, status = one:states()
    one:free()
    if not states then return nil, reason, status end
    for _, state in ipairs(states) do
      found[state.name] = found[state.name] or {}
      local place = { dir = folder, pipeline = pipeline, state = state }
      table.insert(found[state.name], setmetatable(place, Place))
    end
  end
  return found
end

--- Of each name once, with its numbers in the stores.
function Stores:states()
  local list, by_name = {}, {}
  for i, one in ipairs(self.list) do
    local states, reason, status = one:states()
    if not states then return nil, reason, status end
    for _, state in ipairs(states) do
      local known = by_name[state.name]
      if not known then
        known = { name = state.name, by = state.by, numbers = {} }
        by_name[state.name], list[#list + 1] = known, known
      end
      known.numbers[i] = state
    end
  end
  return list
end

-- The number of the store that counts for a partition.
function Stores:of(partition)
  local best, offset = self.furthest[partition], nil
  if best then return best end
  for i, one in ipairs(self.list) do
    local at, reason, status = one:position(self.topic, partition)
    if not at then return nil, reason, status end
    if not offset or at > offset then best, offset = i, at end
  end
  self.furthest[partition] = best
  return best
end

--- The partitions that have values of a state, in order.
function Stores:partitions(state)
  local list, seen = {}, {}
  for i, one in ipairs(self.list) do
    local found, reason, status = {}, nil, nil
    if state.numbers[i] then found, reason, status = one:partitions(state.numbers[i]) end
    if not found then return nil, reason, status end
    for _, partition in ipairs(found) do
      if not seen[partition] then list[#list + 1] = partition end
      seen[partition] = true
    end
  end
  table.sort(list)
  return list
end

function Stores:each(state, partition, each)
  local list, reason, status = { partition }, nil, nil
  if not partition then list, reason, status = self:partitions(state) end
  local go_on, done = true, list and true
  for _, number in ipairs(list or {}) do
    local i
    i, reason, status = self:of(number)
    done = i ~= nil
    if i and state.numbers[i] then
      done, reason, status = self.list[i]:each(state.numbers[i], number, function(...)
        go_on = each(...)
        return go_on
      end)
    end
    if not done or go_on == false then break end
  end
  return done, reason, status
end

function Stores:get(state, partition, key)
  local i, reason, status = self:of(partition)
  if not i then return nil, reason, status end
  return state.numbers[i] and self.list[i]:get(state.numbers[i], partition, key) or false
end

--- Bytes of their files.
function Stores:bytes()
  local sum = 0
  for _, one in ipairs(self.list) do sum = sum + one:bytes() end
  return sum
end

function Stores:free()
  for _, one in ipairs(self.list) do one:free() end
end

return stores
