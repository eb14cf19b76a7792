-- SPDX-License-Identifier: MIT
-- Timers that are due (chain/states.h, chain/timers.h), without a step: from a change to the end of their record.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("shm/layout.h", "store/store.h", "io/source.h", "chain/states.h",
  "chain/timers.h")

describe("a timer of a state", function()
  local states, line

  local function entry(key) return C.tide_states_find(states, 0, 0, key, #key) end

  -- A change of message `offset`; without a time the value has no timer.
  local function change(key, offset, at)
    local bytes = (at and ffi.string(ffi.new("int64_t[1]", at), 8) or "") .. "x"
    local kind = C.TIDE_STATE_STRING + (at and C.TIDE_STATE_TIMED or 0)
    C.tide_states_change(states, entry(key), 0, offset, ffi.new("struct tide_store_value", { 0, kind, #bytes, bytes }))
  end

  local function rise(offset, time)
    local rises = C.tide_states_rises(states, 0, 0, nil, 0)
    C.tide_timers_rise(rises, offset, time)
    line = rises.line
  end

  local function commit(offset)
    local position = ffi.new("struct tide_position", { 0, offset })
    assert.equal(0, C.tide_states_begin(states, position, 1))
    assert.equal(0, C.tide_states_store(states))
  end

  -- The keys and times of all that is due; each is taken.
  local function take()
    local list, due = {}, ffi.new "struct tide_due"
    while C.tide_states_due(states, line, C.tide_timers_watermark(line), due) == 1 do
      list[#list + 1] = ffi.string(due.entry.key, due.entry.key_length) .. " " .. tonumber(due.at)
      C.tide_states_due_taken(states, line, due, 0)
    end
    return list
  end

  before_each(function()
    states = C.tide_states_new(nil, "p")
    C.tide_states_add(states, "s", "key")
    C.tide_states_add_timers(states, 0, 0)
    assert.equal(0, C.tide_states_open(states))
    rise(0, 1)
  end)
  after_each(function() C.tide_states_free(states) end)

  it("is taken once, whether it is stored before or after", function()
    change("a", 1, 10)
    change("b", 2, 20)
    commit(2) -- a is in the store
    rise(3, 30)
    assert.same({ "a 10", "b 20" }, take())
    commit(3) -- b, too, while its record is in flight
    assert.same({}, take())
    rise(4, 40)
    assert.same({}, take())
  end)

  it("is over with its record, and then the key may have one of the same time", function()
    change("a", 1, 10)
    rise(2, 30)
    assert.same({ "a 10" }, take())
    commit(2)
    C.tide_states_end_timer(states, entry "a", 0, 2, 10)
    assert.equal(0, tonumber(C.tide_state_timer(entry("a").value)))
    assert.same({}, take())
    change("a", 3, 10)
    assert.same({ "a 10" }, take())
  end)

  it("of another time is taken beside the one that is in flight; the same one again is not", function()
    change("a", 1, 10)
    rise(2, 30)
    assert.same({ "a 10" }, take())
    change("a", 3, 20)
    assert.same({ "a 20" }, take())
    change("a", 4, 10)
    assert.same({}, take()) -- the record in flight will find it
    C.tide_states_end_timer(states, entry "a", 0, 2, 10)
    C.tide_states_end_timer(states, entry "a", 0, 3, 20) -- out of date
    assert.same({}, take())
    assert.equal(0, entry("a").pins)
  end)

  it("is taken again when its partition is taken away and comes back", function()
    change("a", 1, 10)
    change("b", 2, 11)
    change("c", 3, 99)
    commit(2)
    rise(4, 30)
    assert.same({ "a 10", "b 11" }, take())
    C.tide_states_forget(states, 0)
    for _, key in ipairs { "a", "b", "c" } do assert.equal(0, entry(key).pins, key) end -- none stays in memory
    rise(3, 30)
    assert.same({ "a 10" }, take()) -- b was not stored
  end)
end)
