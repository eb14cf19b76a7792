-- SPDX-License-Identifier: MIT
-- run/store.lua: the store of a pipeline's state (engine/store/store.h) as a Lua object, to look at it while no engine
-- has it. A function that fails returns nil, the reason and the status.
local ffi = require("ffi")
local library = require("tidemill.run.ffi")
local C = library.C

local store = {}
local Store = {}
Store.__index = Store

local function failure(status)
  return nil, library.error(), tonumber(status)
end

--- Opens the store to read it.
function store.look(dir, pipeline)
  local status = ffi.new "int[1]"
  local handle = C.tide_store_look(dir, pipeline, status)
  if handle == nil then return failure(status[0]) end
  return setmetatable({ handle = ffi.gc(handle, C.tide_store_close) }, Store)
end

--- Empties the store; true.
function store.empty(dir, pipeline)
  local self, reason, status = store.look(dir, pipeline) -- so that none is made
  if not self then return nil, reason, status end
  self:free()
  local handle = C.tide_store_open(dir, pipeline, 0)
  if handle == nil then return failure(C.TIDE_ECONFIG) end
  status = C.tide_store_empty(handle)
  reason = library.error()
  C.tide_store_close(handle)
  if status < 0 then return nil, reason, tonumber(status) end
  return true
end

--- Deletes a state (of Store:states), and how far `changelog` (nil: none) was read into it; true.
function store.drop(dir, pipeline, state, changelog)
  local status = ffi.new "int[1]"
  local handle = C.tide_store_change(dir, pipeline, status)
  if handle == nil then return failure(status[0]) end
  status = C.tide_store_drop(handle, state.number, changelog)
  local reason = library.error()
  C.tide_store_close(handle)
  if status < 0 then return nil, reason, tonumber(status) end
  return true
end

--- The states in the store: an array of { name, by, number }.
function Store:states()
  local list, state, after = {}, ffi.new "struct tide_store_state", -1
  while true do
    local found = C.tide_store_next_state(self.handle, after, state)
    if found < 0 then return failure(found) end
    if found == 0 then return list end
    local name, by = ffi.string(state.text, state.length):match("^(%S+), by (.*)$")
    list[#list + 1] = { name = name, by = by, number = state.number }
    after = state.number
  end
end

--- The partitions that have values of a state, in order.
function Store:partitions(state)
  local list, value, from = {}, ffi.new "struct tide_store_value", 0
  repeat
    local walk = ffi.new("struct tide_store_walk", { state = state.number, partition = from })
    local found = C.tide_store_next(self.handle, walk, value)
    if found < 0 then return failure(found) end
    if found == 0 then break end
    list[#list + 1], from = walk.key.partition, walk.key.partition + 1
  until from <= 0
  return list
end

--- Goes through a state (of Store:states), or one partition of it: calls each(partition, key, value) with struct
--- tide_store_value, until that returns false. True.
function Store:each(state, partition, each)
  local walk = ffi.new("struct tide_store_walk", { state = state.number, one = partition ~= nil,
    partition = partition or 0 })
  local value = ffi.new "struct tide_store_value"
  while true do
    local found = C.tide_store_next(self.handle, walk, value)
    if found < 0 then return failure(found) end
    if found == 0 then return true end
    if each(walk.key.partition, ffi.string(walk.bytes, walk.key.length), value) == false then return true end
  end
end

--- The value of a key as struct tide_store_value, which is good until the next call; false when there is none.
function Store:get(state, partition, key)
  local value = ffi.new "struct tide_store_value"
  local name = ffi.new("struct tide_store_key", { state.number, partition, key, #key })
  local found = C.tide_store_get(self.handle, name, value)
  if found < 0 then return failure(found) end
  return found == 1 and value or false
end

--- The offset before which everything of this partition of an input is in the store; -1 = nothing of it.
function Store:position(input, partition)
  local position = ffi.new "struct tide_store_position"
  local found = C.tide_store_get_position(self.handle, input, partition, position)
  if found < 0 then return failure(found) end
  return found == 1 and tonumber(position.offset) or -1
end

--- Bytes of its file.
function Store:bytes()
  return tonumber(C.tide_store_bytes(self.handle))
end

function Store:free()
  C.tide_store_close(ffi.gc(self.handle, nil))
end

return store
