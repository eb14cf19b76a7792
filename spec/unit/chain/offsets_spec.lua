-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local bit = require "bit"
local headers = require "spec.support.headers"
local child = require "spec.support.child"
local C = headers.declare("chain/offsets.h", "chain/groups.h")
headers.declare_private("chain/offsets_inside.h", { "struct tide_tracked_message", "enum tide_tracked_state",
  "struct tide_tracked_partition", "struct tide_offsets" })

local SIGABRT = 6
local offsets

local function open(partition, offset)
  return C.tide_offsets_open(offsets, partition, offset)
end

local function done(origin, fate)
  C.tide_offsets_unref(offsets, origin, fate or C.TIDE_OUTCOME_PRODUCED)
end

local function position(partition)
  return tonumber(C.tide_offsets_position(offsets, partition or 0))
end

local function read_to(partition)
  return tonumber(C.tide_offsets_read_to(offsets, partition or 0))
end

local totals_of = ffi.new "struct tide_offsets_totals"
local names = { "read", "produced_from", "filtered", "dead_lettered", "dropped", "late_reports", "in_flight",
  "positions_moved" }

local function totals()
  C.tide_offsets_totals(offsets, totals_of)
  local all = {}
  for _, name in ipairs(names) do all[name] = tonumber(totals_of[name]) end
  return all
end

local function new()
  offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
  C.tide_offsets_assign(offsets, 0)
end

-- Asserts that `fn` breaks a rule between modules.
local function aborts(fn)
  local _, signal, text = child.run(fn)
  assert.equal(SIGABRT, signal)
  assert.truthy(text:find("broken rule", 1, true), text)
end

describe("a partition's position", function()
  before_each(new)

  it("is -1 until something was read", function()
    assert.equal(-1, position())
    assert.equal(-1, read_to())
    assert.equal(-1, position(99))
  end)

  it("is the lowest offset that is not through, whatever the order", function()
    local a, b, c = open(0, 10), open(0, 11), open(0, 12)
    assert.equal(10, position())
    done(c)
    done(b)
    assert.equal(10, position())
    done(a)
    assert.equal(13, position())
    assert.equal(13, read_to())
  end)

  it("goes over offsets that were never there", function()
    local a, b = open(0, 5), open(0, 100)
    done(a)
    assert.equal(6, position())
    done(b)
    assert.equal(101, position())
  end)

  it("is behind what is no message, once all before it is through", function()
    C.tide_offsets_skip(offsets, 0, 5) -- nothing was read, and nothing is there
    assert.same({ 5, 5 }, { position(), read_to() })
    local first, second = open(0, 5), open(0, 7)
    C.tide_offsets_skip(offsets, 0, 9)
    done(second)
    assert.same({ 5, 9 }, { position(), read_to() })
    done(first)
    assert.equal(9, position())
    C.tide_offsets_skip(offsets, 0, 8) -- never back
    assert.equal(9, position())
    local third = open(0, 9)
    C.tide_offsets_skip(offsets, 0, 12)
    local fourth = open(0, 12)
    done(third)
    assert.equal(10, position()) -- 12 is not through
    done(fourth)
    assert.equal(13, position())
  end)

  it("behind what is no message ends with the assignment", function()
    C.tide_offsets_skip(offsets, 0, 5)
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_skip(offsets, 0, 9)
    assert.equal(5, position())
    C.tide_offsets_forget(offsets, 0)
    C.tide_offsets_assign(offsets, 0)
    assert.equal(-1, position())
    open(0, 2)
  end)

  it("counts what is no message as reached: it is to be committed", function()
    local before = totals().positions_moved
    C.tide_offsets_skip(offsets, 0, 5)
    assert.equal(before + 1, totals().positions_moved)
    assert.equal(0, totals().in_flight)
  end)

  it("stays while any hold is left", function()
    local a = open(0, 7)
    C.tide_offsets_ref(offsets, a)
    C.tide_offsets_ref(offsets, a)
    done(a)
    done(a)
    assert.equal(7, position())
    done(a)
    assert.equal(8, position())
  end)

  it("is what it was before a message that was not taken after all", function()
    C.tide_offsets_unopen(offsets, open(0, 50))
    assert.equal(-1, position())
    assert.equal(-1, read_to())
    done(open(0, 5))
    C.tide_offsets_unopen(offsets, open(0, 50))
    assert.equal(6, position())
    assert.equal(6, read_to())
    local a = open(0, 50)
    C.tide_offsets_unopen(offsets, open(0, 60))
    assert.equal(51, read_to())
    done(a)
    assert.equal(51, position())
  end)

  it("comes through a window of many thousands that finishes backwards", function()
    local origins = {}
    for round = 0, 1 do
      for i = 1, 20000 do origins[i] = open(0, round * 20000 + i) end
      for i = 20000, 2, -1 do done(origins[i]) end
      assert.equal(round * 20000 + 1, position())
      done(origins[1])
      assert.equal(round * 20000 + 20001, position())
    end
    assert.equal(0, totals().in_flight)
  end)

  it("goes on when the 32-bit sequence comes round, growing meanwhile", function()
    local p = ffi.cast("struct tide_offsets *", offsets).partitions[0]
    p.head, p.tail = 2 ^ 32 - 700, 2 ^ 32 - 700 -- as after so many messages
    local origins = {}
    for i = 1, 3000 do origins[i] = open(0, i) end
    assert.is_true(origins[1].sequence > 2 ^ 31 and origins[3000].sequence == 2299)
    for i = 3000, 2, -1 do done(origins[i]) end
    assert.equal(1, position())
    done(origins[1])
    assert.equal(3001, position())
    C.tide_offsets_unopen(offsets, open(0, 9000))
    assert.equal(3001, position())
  end)
end)

describe("a message's fate", function()
  before_each(new)

  it("is the highest of those told", function()
    local order = { filtered = { 0, 0 }, produced_from = { 1, 0 }, dead_lettered = { 2, 1 } }
    for name, fates in pairs(order) do
      local before = totals()[name]
      for turn = 1, 2 do
        local a = open(0, read_to() + 1)
        C.tide_offsets_ref(offsets, a)
        done(a, fates[turn])
        done(a, fates[3 - turn])
        assert.equal(before + turn, totals()[name])
      end
    end
  end)

  it("is told by a dead letter's origin as by its own", function()
    local a = open(0, 1)
    a.epoch = bit.bor(a.epoch, C.TIDE_ORIGIN_DEAD_LETTER)
    done(a, C.TIDE_OUTCOME_DEAD_LETTERED)
    assert.equal(1, totals().dead_lettered)
    assert.equal(2, position())
  end)
end)

describe("an epoch", function()
  before_each(new)

  it("ends: what is revoked is not released, but what was is still counted", function()
    local a, b = open(0, 1), open(0, 2)
    assert.is_true(C.tide_offsets_current(offsets, a))
    C.tide_offsets_revoke(offsets, 0)
    assert.is_false(C.tide_offsets_current(offsets, a))
    assert.is_true(C.tide_offsets_may_commit(offsets, 0))
    done(a)
    assert.equal(2, position())
    C.tide_offsets_forget(offsets, 0)
    assert.is_false(C.tide_offsets_may_commit(offsets, 0))
    done(b)
    local seen = totals()
    assert.same({ 1, 1, 1, 0 }, { seen.produced_from, seen.dropped, seen.late_reports, seen.in_flight })
  end)

  it("does not take the late reports of an older one for its own", function()
    local old = open(0, 1)
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_forget(offsets, 0)
    C.tide_offsets_assign(offsets, 0)
    assert.equal(-1, position())
    local new_one = open(0, 1)
    assert.equal(old.sequence, new_one.sequence)
    done(old)
    C.tide_offsets_ref(offsets, old)
    C.tide_offsets_mark_sent(offsets, old)
    assert.is_false(C.tide_offsets_current(offsets, old))
    assert.equal(1, position())
    assert.equal(0, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    done(new_one)
    assert.equal(2, position())
    assert.equal(1, totals().late_reports)
  end)

  it("comes round after 32,767 assignments and is told apart still", function()
    local old
    for i = 1, 70000 do
      old = open(0, i)
      C.tide_offsets_revoke(offsets, 0)
      C.tide_offsets_forget(offsets, 0)
      C.tide_offsets_assign(offsets, 0)
    end
    assert.equal(0, bit.band(old.epoch, C.TIDE_ORIGIN_DEAD_LETTER))
    done(open(0, 1))
    done(old)
    assert.same({ 1, 70000, 1 }, { totals().produced_from, totals().dropped, totals().late_reports })
  end)
end)

describe("what has left the last step", function()
  before_each(new)

  it("is counted once a message, until it is through", function()
    local a, b = open(0, 1), open(0, 2)
    for _ = 1, 2 do C.tide_offsets_mark_sent(offsets, a) end
    C.tide_offsets_mark_sent(offsets, b)
    assert.equal(2, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    done(b)
    assert.equal(1, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    done(a)
    assert.equal(0, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
  end)
end)

describe("a broken rule", function()
  before_each(new)
  after_each(child.stop_all)

  it("ends the process: an offset that does not rise", function()
    aborts(function() open(0, 5) open(0, 5) end)
    aborts(function() done(open(0, 5)) open(0, 5) end)
  end)

  it("ends the process: reading what is not owned", function()
    aborts(function() open(1, 5) end)
    aborts(function() C.tide_offsets_revoke(offsets, 0) open(0, 5) end)
  end)

  it("ends the process: a hold given back twice", function()
    aborts(function() local a = open(0, 1) done(a) done(a) end)
    aborts(function() open(0, 1) local b = open(0, 2) done(b) done(b) end)
  end)

  it("ends the process: a hold on what is through", function()
    aborts(function() open(0, 1) local b = open(0, 2) done(b) C.tide_offsets_ref(offsets, b) end)
  end)

  it("ends the process: taking back another than the newest, or one that is held", function()
    aborts(function() local a = open(0, 1) open(0, 2) C.tide_offsets_unopen(offsets, a) end)
    aborts(function() local a = open(0, 1) C.tide_offsets_ref(offsets, a) C.tide_offsets_unopen(offsets, a) end)
    aborts(function() local a = open(0, 1) done(a) C.tide_offsets_unopen(offsets, a) end)
  end)

  it("ends the process: partitions that come or go out of turn", function()
    aborts(function() C.tide_offsets_assign(offsets, 0) end)
    aborts(function() C.tide_offsets_forget(offsets, 0) end)
    aborts(function() C.tide_offsets_revoke(offsets, 0) C.tide_offsets_revoke(offsets, 0) end)
  end)
end)
