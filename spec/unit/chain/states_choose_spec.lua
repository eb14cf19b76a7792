-- SPDX-License-Identifier: MIT
-- At which positions there is a state to be stored: tide_states_choose of engine/chain/states.h, against a model.
local ffi = require "ffi"
local _, arm = require("spec.support.faults").use()
local C = require("spec.support.headers").declare("chain/offsets.h", "store/store.h", "chain/states.h", "io/source.h")
local seed = require "spec.support.seed"

describe("positions of state", function()
  local states, offsets, state

  before_each(function()
    states = ffi.gc(C.tide_states_new(nil, "spec"), C.tide_states_free)
    state = C.tide_states_add(states, "s", "key")
    assert.equal(0, C.tide_states_open(states))
    offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
    for index = 0, 2 do C.tide_offsets_assign(offsets, index) end
  end)

  local function change(key, index, offset)
    local value = ffi.new("struct tide_store_value", { 0, C.TIDE_STATE_STRING, 1, "x" })
    C.tide_states_change(states, C.tide_states_find(states, state, 0, key, #key), index, offset, value)
  end

  local function limits()
    C.tide_states_choose(states, offsets)
    local list = {}
    for index = 0, 2 do list[index] = tonumber(C.tide_states_limit(states, index)) end
    return list
  end

  local function complete(origin)
    C.tide_offsets_unref(offsets, origin, C.TIDE_OUTCOME_FILTERED)
  end

  after_each(function() arm "" end)

  it("are not beyond a change that stands behind one of another topic which is not complete", function()
    C.tide_offsets_open(offsets, 1, 0)
    local of_first = C.tide_offsets_open(offsets, 0, 0)
    change("k", 1, 0)
    change("k", 0, 0)
    complete(of_first)
    assert.same({ [0] = 0, 0, -1 }, limits())
    arm "bug.state_crossed=1:bug"
    assert.same({ [0] = 1, 0, -1 }, limits())
  end)

  -- The model takes all away that may not be covered until nothing more has to be.
  local function expected(changes, positions)
    local again = true
    while again do
      again = false
      for i, later in ipairs(changes) do
        for j = 1, i - 1 do
          local earlier = changes[j]
          if earlier.key == later.key and earlier.offset >= positions[earlier.index]
            and later.offset < positions[later.index] then
            positions[later.index], again = later.offset, true
          end
        end
      end
    end
    return positions
  end

  it("are the largest at which of each key the first changes are covered, and stay so when they are stored", function()
    local drawn = seed.draw()
    local random = math.random
    local keys, changes, origins, ends, lowered = { "a", "b", "c", "d" }, {}, {}, { [0] = 0, 0, 0 }, 0
    local function read()
      local index = random(0, 2)
      local offset = ends[index]
      ends[index] = offset + 1
      origins[#origins + 1] = { origin = C.tide_offsets_open(offsets, index, offset), index = index, offset = offset }
    end
    local function accept(at)
      local message = table.remove(origins, at)
      if random() < 0.8 then
        changes[#changes + 1] = { key = keys[random(#keys)], index = message.index, offset = message.offset }
        change(changes[#changes].key, message.index, message.offset)
      end
      return message
    end
    local waiting = {}
    for step = 1, 4000 do
      local kind = random()
      if kind < 0.45 then
        read()
      elseif kind < 0.75 and #origins > 0 then
        waiting[#waiting + 1] = accept(random(math.min(#origins, 6)))
      elseif kind < 0.97 and #waiting > 0 then
        complete(table.remove(waiting, random(math.min(#waiting, 6))).origin)
      elseif kind >= 0.97 then
        local positions, given = {}, {}
        for index = 0, 2 do positions[index] = tonumber(C.tide_offsets_position(offsets, index)) end
        for index = 0, 2 do given[index] = positions[index] end
        local found = limits()
        assert.same(expected(changes, positions), found, ("step %d, %s"):format(step, drawn))
        local list = ffi.new("struct tide_position[3]")
        for index = 0, 2 do
          lowered = lowered + (found[index] < given[index] and 1 or 0)
          list[index].partition, list[index].offset = index, math.max(found[index], 0)
        end
        assert.equal(0, C.tide_states_begin(states, list, 3))
        assert.equal(0, C.tide_states_store(states))
        for i = #changes, 1, -1 do
          if changes[i].offset < found[changes[i].index] then table.remove(changes, i) end
        end
      end
    end
    assert.is_true(lowered > 10)
  end)

  it("want a commit and then all room when changes that are not stored take much memory", function()
    local bytes = ("x"):rep(2 ^ 20)
    local function large(offset)
      local key = "k" .. offset
      C.tide_states_change(states, C.tide_states_find(states, state, 0, key, #key), 0, offset,
        ffi.new("struct tide_store_value", { 0, C.TIDE_STATE_STRING, #bytes, bytes }))
      return tonumber(C.tide_states_room(states))
    end
    local rooms, from = { [0] = 0, 0, 0 }, 0
    for _ = 1, 2 do -- what is stored gives the room back
      for offset = from, from + 99 do
        local room = large(offset)
        rooms[room] = rooms[room] + 1
      end
      from = from + 100
      assert.equal(tonumber(C.TIDE_STATES_FULL), tonumber(C.tide_states_room(states)))
      assert.equal(0, C.tide_states_begin(states, ffi.new("struct tide_position[1]", { { 0, from } }), 1))
      assert.equal(0, C.tide_states_store(states))
      assert.equal(tonumber(C.TIDE_STATES_HAVE_ROOM), tonumber(C.tide_states_room(states)))
    end
    assert.same({ [0] = 126, 64, 10 }, rooms)
    large(from)
    C.tide_states_forget(states, 0)
    assert.equal(tonumber(C.TIDE_STATES_HAVE_ROOM), tonumber(C.tide_states_room(states)))
  end)
end)
