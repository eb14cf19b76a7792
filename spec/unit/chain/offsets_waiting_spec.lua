-- SPDX-License-Identifier: MIT
-- What the offset tracker knows of what has come to waiting steps: chain/offsets.h.
local ffi = require "ffi"
local headers = require "spec.support.headers"
local child = require "spec.support.child"
local C = headers.declare("chain/offsets.h")

local SIGABRT = 6
local offsets

local function open(partition, offset)
  return C.tide_offsets_open(offsets, partition, offset)
end

local function position()
  return tonumber(C.tide_offsets_position(offsets, 0))
end

describe("waiting steps", function()
  local FILTERED = C.TIDE_OUTCOME_FILTERED

  -- Of three steps the second and the third wait.
  local function came() return tonumber(C.tide_offsets_came_to(offsets, 0, 0)),
    tonumber(C.tide_offsets_came_to(offsets, 0, 1)) end

  before_each(function()
    offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
    assert.equal(0, C.tide_offsets_add_waiting(offsets))
    assert.equal(1, C.tide_offsets_add_waiting(offsets))
    C.tide_offsets_assign(offsets, 0)
  end)

  it("messages have come to a waiting step once none of their references is before it", function()
    assert.same({ -1, -1 }, { came() })
    local first, second = open(0, 10), open(0, 12)
    assert.same({ 10, 10 }, { came() })
    C.tide_offsets_ref_before(offsets, second, 0) -- the first step has a result of it
    C.tide_offsets_came(offsets, second, 0)
    C.tide_offsets_unref_before(offsets, second, 0, FILTERED)
    assert.same({ 10, 10 }, { came() })
    C.tide_offsets_unref_before(offsets, first, 0, FILTERED) -- it has dropped that one
    assert.same({ 13, 12 }, { came() })
    C.tide_offsets_ref_before(offsets, second, 1) -- a timer of the second step
    C.tide_offsets_unref_before(offsets, second, 1, FILTERED)
    assert.same({ 13, 12 }, { came() })
    C.tide_offsets_came(offsets, second, 1)
    assert.same({ 13, 13 }, { came() })
    assert.equal(11, position())
    C.tide_offsets_unref_before(offsets, second, 2, FILTERED)
    assert.equal(13, position())
  end)

  it("what has come is known of any number of messages, and of an assignment alone", function()
    local origins = {}
    for i = 1, 5000 do origins[i] = open(0, i) end
    for i = 5000, 2, -1 do C.tide_offsets_came(offsets, origins[i], 0) end
    assert.same({ 1, 1 }, { came() })
    C.tide_offsets_came(offsets, origins[1], 0)
    assert.same({ 5001, 1 }, { came() })
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_unref_before(offsets, origins[1], 1, FILTERED)
    C.tide_offsets_forget(offsets, 0)
    C.tide_offsets_unref_before(offsets, origins[2], 1, FILTERED)
    C.tide_offsets_assign(offsets, 0)
    open(0, 7)
    assert.same({ 7, 7 }, { came() })
  end)

  it("a broken rule ends the process: a reference before a step to which the message has come", function()
    local origin = open(0, 1)
    C.tide_offsets_came(offsets, origin, 0)
    local _, signal, text = child.run(function() C.tide_offsets_ref_before(offsets, origin, 0) end)
    assert.equal(SIGABRT, signal)
    assert.truthy(text:find("broken rule", 1, true), text)
  end)
end)
