-- SPDX-License-Identifier: MIT
-- What the offset tracker promises about single messages: chain/offsets.h. Groups are in groups_spec.lua; random work
-- against a slow model is in offsets_property_spec.lua.
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

local function unref(origin, outcome)
  C.tide_offsets_unref(offsets, origin, outcome or C.TIDE_OUTCOME_PRODUCED)
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

describe("positions", function()
  before_each(new)

  it("the position is -1 until something was read", function()
    assert.equal(-1, position())
    assert.equal(-1, read_to())
    assert.equal(-1, position(99))
  end)

  it("the position is the lowest offset that is not complete, whatever the order", function()
    local a, b, c = open(0, 10), open(0, 11), open(0, 12)
    assert.equal(10, position())
    unref(c)
    unref(b)
    assert.equal(10, position())
    unref(a)
    assert.equal(13, position())
    assert.equal(13, read_to())
  end)

  it("the position passes over offsets that the log does not have", function()
    local a, b = open(0, 5), open(0, 100)
    unref(a)
    assert.equal(6, position())
    unref(b)
    assert.equal(101, position())
  end)

  it("the position is after the markers of transactions, once all messages before are complete", function()
    C.tide_offsets_skip(offsets, 0, 5) -- nothing was read, and there is nothing
    assert.same({ 5, 5 }, { position(), read_to() })
    local first, second = open(0, 5), open(0, 7)
    C.tide_offsets_skip(offsets, 0, 9)
    unref(second)
    assert.same({ 5, 9 }, { position(), read_to() })
    unref(first)
    assert.equal(9, position())
    C.tide_offsets_skip(offsets, 0, 8) -- never back
    assert.equal(9, position())
    local third = open(0, 9)
    C.tide_offsets_skip(offsets, 0, 12)
    local fourth = open(0, 12)
    unref(third)
    assert.equal(10, position()) -- 12 is not complete
    unref(fourth)
    assert.equal(13, position())
  end)

  it("the position forgets skipped offsets with the assignment", function()
    C.tide_offsets_skip(offsets, 0, 5)
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_skip(offsets, 0, 9)
    assert.equal(5, position())
    C.tide_offsets_forget(offsets, 0)
    C.tide_offsets_assign(offsets, 0)
    assert.equal(-1, position())
    open(0, 2)
  end)

  it("the position moves for markers of transactions too, so that it is committed", function()
    local before = totals().positions_moved
    C.tide_offsets_skip(offsets, 0, 5)
    assert.equal(before + 1, totals().positions_moved)
    assert.equal(0, totals().in_flight)
  end)

  it("the position stays while any reference is left", function()
    local a = open(0, 7)
    C.tide_offsets_ref(offsets, a)
    C.tide_offsets_ref(offsets, a)
    unref(a)
    unref(a)
    assert.equal(7, position())
    unref(a)
    assert.equal(8, position())
  end)

  it("the position goes back with a message that the first step did not take", function()
    C.tide_offsets_unopen(offsets, open(0, 50))
    assert.equal(-1, position())
    assert.equal(-1, read_to())
    unref(open(0, 5))
    C.tide_offsets_unopen(offsets, open(0, 50))
    assert.equal(6, position())
    assert.equal(6, read_to())
    local a = open(0, 50)
    C.tide_offsets_unopen(offsets, open(0, 60))
    assert.equal(51, read_to())
    unref(a)
    assert.equal(51, position())
  end)

  it("the position is right for many thousands of messages that complete backwards", function()
    local origins = {}
    for round = 0, 1 do
      for i = 1, 20000 do origins[i] = open(0, round * 20000 + i) end
      for i = 20000, 2, -1 do unref(origins[i]) end
      assert.equal(round * 20000 + 1, position())
      unref(origins[1])
      assert.equal(round * 20000 + 20001, position())
    end
    assert.equal(0, totals().in_flight)
  end)

  it("the position is right when the 32-bit sequence wraps around while the ring grows", function()
    local p = ffi.cast("struct tide_offsets *", offsets).partitions[0]
    p.head, p.tail = 2 ^ 32 - 700, 2 ^ 32 - 700 -- as after so many messages
    local origins = {}
    for i = 1, 3000 do origins[i] = open(0, i) end
    assert.is_true(origins[1].sequence > 2 ^ 31 and origins[3000].sequence == 2299)
    for i = 3000, 2, -1 do unref(origins[i]) end
    assert.equal(1, position())
    unref(origins[1])
    assert.equal(3001, position())
    C.tide_offsets_unopen(offsets, open(0, 9000))
    assert.equal(3001, position())
  end)
end)

describe("outcomes", function()
  before_each(new)

  it("the outcome is the highest of those given", function()
    local order = { filtered = { 0, 0 }, produced_from = { 1, 0 }, dead_lettered = { 2, 1 } }
    for name, outcomes in pairs(order) do
      local before = totals()[name]
      for turn = 1, 2 do
        local a = open(0, read_to() + 1)
        C.tide_offsets_ref(offsets, a)
        unref(a, outcomes[turn])
        unref(a, outcomes[3 - turn])
        assert.equal(before + turn, totals()[name])
      end
    end
  end)

  it("the outcome may be given with the origin of its dead letter", function()
    local a = open(0, 1)
    a.epoch = bit.bor(a.epoch, C.TIDE_ORIGIN_DEAD_LETTER)
    unref(a, C.TIDE_OUTCOME_DEAD_LETTERED)
    assert.equal(1, totals().dead_lettered)
    assert.equal(2, position())
  end)
end)

describe("looks", function()
  before_each(new)

  it("a look at an origin tells where its message is, and whether it is current", function()
    open(0, 3)
    local origin = open(0, 7)
    local info = C.tide_offsets_look_up(offsets, origin)
    assert.same({ true, 0, 7, 1, false },
      { info.current, info.partition, tonumber(info.offset), info.count, info.in_transaction })
    C.tide_offsets_revoke(offsets, 0)
    info = C.tide_offsets_look_up(offsets, origin)
    assert.same({ false, 0, 7 }, { info.current, info.partition, tonumber(info.offset) })
    C.tide_offsets_forget(offsets, 0)
    info = C.tide_offsets_look_up(offsets, origin)
    assert.same({ false, 0, -1 }, { info.current, info.partition, tonumber(info.offset) })
  end)

  it("a look at an origin tells that the transaction needs its message, when it or a later one was sent", function()
    local a, b, c = open(0, 1), open(0, 2), open(0, 3)
    C.tide_offsets_mark_sent(offsets, b)
    local function needed(origin) return C.tide_offsets_look_up(offsets, origin).in_transaction end
    assert.same({ true, true, false }, { needed(a), needed(b), needed(c) })
  end)

  it("a look at an origin tells the same of its dead letter's origin", function()
    local origin = open(0, 4)
    origin.epoch = bit.bor(origin.epoch, C.TIDE_ORIGIN_DEAD_LETTER)
    local info = C.tide_offsets_look_up(offsets, origin)
    assert.same({ true, 4 }, { info.current, tonumber(info.offset) })
  end)
end)

describe("epochs", function()
  before_each(new)

  it("an epoch ends with a revocation, but reports of what was sent before still count", function()
    local a, b = open(0, 1), open(0, 2)
    assert.is_true(C.tide_offsets_current(offsets, a))
    C.tide_offsets_revoke(offsets, 0)
    assert.is_false(C.tide_offsets_current(offsets, a))
    assert.is_true(C.tide_offsets_may_commit(offsets, 0))
    unref(a)
    assert.equal(2, position())
    C.tide_offsets_forget(offsets, 0)
    assert.is_false(C.tide_offsets_may_commit(offsets, 0))
    unref(b)
    local seen = totals()
    assert.same({ 1, 1, 1, 0 }, { seen.produced_from, seen.dropped, seen.late_reports, seen.in_flight })
  end)

  it("an epoch does not count the late reports of an older one as its own", function()
    local old = open(0, 1)
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_forget(offsets, 0)
    C.tide_offsets_assign(offsets, 0)
    assert.equal(-1, position())
    local new_one = open(0, 1)
    assert.equal(old.sequence, new_one.sequence)
    unref(old)
    C.tide_offsets_ref(offsets, old)
    C.tide_offsets_mark_sent(offsets, old)
    assert.is_false(C.tide_offsets_current(offsets, old))
    assert.equal(1, position())
    assert.equal(0, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    unref(new_one)
    assert.equal(2, position())
    assert.equal(1, totals().late_reports)
  end)

  it("an epoch wraps around after 32,767 assignments and is still told apart", function()
    local old
    for i = 1, 70000 do
      old = open(0, i)
      C.tide_offsets_revoke(offsets, 0)
      C.tide_offsets_forget(offsets, 0)
      C.tide_offsets_assign(offsets, 0)
    end
    assert.equal(0, bit.band(old.epoch, C.TIDE_ORIGIN_DEAD_LETTER))
    unref(open(0, 1))
    unref(old)
    assert.same({ 1, 70000, 1 }, { totals().produced_from, totals().dropped, totals().late_reports })
  end)
end)

describe("sent messages", function()
  before_each(new)

  it("a message that was sent is counted once as awaiting a report, until it is complete", function()
    local a, b = open(0, 1), open(0, 2)
    for _ = 1, 2 do C.tide_offsets_mark_sent(offsets, a) end
    C.tide_offsets_mark_sent(offsets, b)
    assert.equal(2, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    unref(b)
    assert.equal(1, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
    unref(a)
    assert.equal(0, tonumber(C.tide_offsets_awaiting_report(offsets, 0)))
  end)
end)

describe("broken rules", function()
  before_each(new)
  after_each(child.stop_all)

  it("a broken rule ends the process: an offset that does not rise", function()
    aborts(function() open(0, 5) open(0, 5) end)
    aborts(function() unref(open(0, 5)) open(0, 5) end)
  end)

  it("a broken rule ends the process: reading what is not owned", function()
    aborts(function() open(1, 5) end)
    aborts(function() C.tide_offsets_revoke(offsets, 0) open(0, 5) end)
  end)

  it("a broken rule ends the process: a reference given back twice", function()
    aborts(function() local a = open(0, 1) unref(a) unref(a) end)
    aborts(function() open(0, 1) local b = open(0, 2) unref(b) unref(b) end)
  end)

  it("a broken rule ends the process: a reference to a complete message", function()
    aborts(function() open(0, 1) local b = open(0, 2) unref(b) C.tide_offsets_ref(offsets, b) end)
  end)

  it("a broken rule ends the process: taking back a message that is not the newest, or has more references", function()
    aborts(function() local a = open(0, 1) open(0, 2) C.tide_offsets_unopen(offsets, a) end)
    aborts(function() local a = open(0, 1) C.tide_offsets_ref(offsets, a) C.tide_offsets_unopen(offsets, a) end)
    aborts(function() local a = open(0, 1) unref(a) C.tide_offsets_unopen(offsets, a) end)
  end)

  it("a broken rule ends the process: partitions that are assigned or revoked out of turn", function()
    aborts(function() C.tide_offsets_assign(offsets, 0) end)
    aborts(function() C.tide_offsets_forget(offsets, 0) end)
    aborts(function() C.tide_offsets_revoke(offsets, 0) C.tide_offsets_revoke(offsets, 0) end)
  end)

  it("the offset tracker counts the messages that it keeps: in flight, or complete behind one that is", function()
    local function kept() return tonumber(C.tide_offsets_kept(offsets)) end
    local first, second, third = open(0, 10), open(0, 11), open(0, 12)
    assert.equal(3, kept())
    unref(second)
    assert.equal(3, kept())
    unref(first)
    assert.equal(1, kept())
    C.tide_offsets_unopen(offsets, third)
    assert.equal(0, kept())
    C.tide_offsets_skip(offsets, 0, 20)
    assert.equal(0, kept())
    local late = open(0, 20)
    open(0, 21)
    C.tide_offsets_assign(offsets, 1)
    open(1, 0)
    C.tide_offsets_skip(offsets, 0, 30)
    C.tide_offsets_revoke(offsets, 0)
    assert.equal(3, kept())
    C.tide_offsets_forget(offsets, 0)
    assert.equal(1, kept())
    unref(late)
    assert.equal(1, kept())
  end)
end)
