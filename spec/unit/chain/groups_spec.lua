-- SPDX-License-Identifier: MIT
-- Outputs that stand for several messages: chain/offsets.h, chain/groups.h.
local ffi = require "ffi"
local headers = require "spec.support.headers"
local C = headers.declare("chain/offsets.h")

local offsets
local totals = ffi.new "struct tide_offsets_totals"

local function open(partition, offset)
  return C.tide_offsets_open(offsets, partition, offset)
end

-- A group of these, whose members have given back their own reference.
local function group(...)
  local members = ffi.new("struct tide_origin[?]", select("#", ...), { ... })
  local origin = C.tide_offsets_group(offsets, members, select("#", ...))
  for i = 0, select("#", ...) - 1 do C.tide_offsets_unref(offsets, members[i], C.TIDE_OUTCOME_FILTERED) end
  return origin
end

local function unref(origin, outcome)
  C.tide_offsets_unref(offsets, origin, outcome or C.TIDE_OUTCOME_PRODUCED)
end

local function position(partition)
  return tonumber(C.tide_offsets_position(offsets, partition))
end

local function counted(name)
  C.tide_offsets_totals(offsets, totals)
  return tonumber(totals[name])
end

describe("groups", function()
  before_each(function()
    offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
    C.tide_offsets_assign(offsets, 0)
    C.tide_offsets_assign(offsets, 1)
  end)

  it("a group lets the highest offset of each partition be committed once its last reference is given back", function()
    local origin = group(open(0, 5), open(1, 7), open(0, 6))
    C.tide_offsets_ref(offsets, origin)
    unref(origin)
    assert.same({ 5, 7 }, { position(0), position(1) })
    unref(origin)
    assert.same({ 7, 8 }, { position(0), position(1) })
    assert.same({ 3, 0 }, { counted "produced_from", counted "in_flight" })
  end)

  it("a group gives all its members the highest outcome of its outputs", function()
    local origin = group(open(0, 0), open(0, 1))
    C.tide_offsets_ref(offsets, origin)
    unref(origin, C.TIDE_OUTCOME_DEAD_LETTERED)
    unref(origin, C.TIDE_OUTCOME_FILTERED)
    assert.equal(2, counted "dead_lettered")
  end)

  it("a group is looked up by its first member, with the number of its messages", function()
    local info = C.tide_offsets_look_up(offsets, group(open(1, 7), open(0, 5), open(0, 6)))
    assert.same({ true, 1, 7, 3, false },
      { info.current, info.partition, tonumber(info.offset), info.count, info.in_transaction })
  end)

  it("a group is needed by the transaction once a later message of any of its partitions was sent", function()
    local origin = group(open(0, 0), open(1, 0))
    C.tide_offsets_mark_sent(offsets, open(1, 1))
    assert.is_true(C.tide_offsets_look_up(offsets, origin).in_transaction)
  end)

  it("a group is looked up without an offset when its first member's partition is away", function()
    local origin = group(open(0, 5), open(1, 0))
    C.tide_offsets_revoke(offsets, 0)
    C.tide_offsets_forget(offsets, 0)
    local info = C.tide_offsets_look_up(offsets, origin)
    assert.same({ true, 0, -1, 2 }, { info.current, info.partition, tonumber(info.offset), info.count })
  end)

  it("a group may have groups as members", function()
    local inner = group(open(0, 0), open(0, 1))
    local outer = group(inner, open(1, 0))
    assert.equal(0, C.tide_offsets_partition(offsets, outer))
    assert.equal(0, position(0))
    unref(outer)
    assert.same({ 2, 1 }, { position(0), position(1) })
  end)

  it("a group is current while one member is, and moves only positions of owned partitions", function()
    local origin = group(open(0, 0), open(1, 0))
    C.tide_offsets_revoke(offsets, 0)
    assert.is_true(C.tide_offsets_current(offsets, origin))
    C.tide_offsets_forget(offsets, 0)
    unref(origin)
    assert.same({ 1, 1 }, { counted "late_reports", counted "produced_from" })
    assert.equal(1, position(1))
  end)

  it("a group that was dropped completes none of its members", function()
    local origin = group(open(0, 0), open(0, 1))
    C.tide_offsets_ref(offsets, origin)
    C.tide_offsets_revoke(offsets, 0)
    assert.is_false(C.tide_offsets_current(offsets, origin))
    C.tide_offsets_drop(offsets, origin)
    unref(origin)
    assert.equal(0, position(0))
    C.tide_offsets_forget(offsets, 0)
    assert.equal(2, counted "dropped")
  end)

  it("a group that was dropped closes the groups in it", function()
    local inner = group(open(0, 0), open(0, 1))
    local outer = group(inner, open(1, 0))
    assert.equal(2, counted "groups")
    C.tide_offsets_drop(offsets, outer)
    assert.equal(0, counted "groups")
    assert.equal(0, position(0))
  end)

  it("a group that was sent awaits a report in each of its partitions", function()
    local origin = group(open(0, 0), open(1, 0))
    C.tide_offsets_mark_sent(offsets, origin)
    assert.same({ 1, 1 }, { tonumber(C.tide_offsets_awaiting_report(offsets, 0)),
      tonumber(C.tide_offsets_awaiting_report(offsets, 1)) })
  end)

  it("a group gets the entry of an earlier one, under another epoch", function()
    local first = group(open(0, 0))
    unref(first)
    local second = group(open(0, 1))
    assert.equal(first.sequence, second.sequence)
    assert.not_equal(first.epoch, second.epoch)
    unref(second)
    assert.equal(2, position(0))
  end)

  -- tide.many in a reduce makes many results of many messages: the work must grow with their sum, not their product.
  for _, mode in ipairs { "at least once", "exactly once" } do
    it("a group looks at each member a few times, however many its outputs are, " .. mode, function()
      if mode == "exactly once" then C.tide_offsets_transactional(offsets) end
      local members, count, outputs = {}, 1000, 2000
      for i = 1, count do members[i] = open(i % 2, i) end
      local origin = group(unpack(members))
      for _ = 1, outputs do
        assert.is_true(C.tide_offsets_current(offsets, origin))
        C.tide_offsets_ref(offsets, origin)
        C.tide_offsets_mark_sent(offsets, origin)
        assert.is_true(C.tide_offsets_in_transaction(offsets, origin))
      end
      assert.is_false(C.tide_offsets_partially_revoked(offsets))
      for _ = 1, outputs do
        assert.is_true(C.tide_offsets_current(offsets, origin))
        unref(origin)
      end
      assert.equal(1, position(1)) -- the group's own reference is left: nothing is complete
      unref(origin)
      assert.same({ count + 1, count }, { math.max(position(0), position(1)), counted "produced_from" })
      assert.is_true(counted "members_visited" <= 4 * count, counted "members_visited" .. " looks at members")
    end)
  end

  it("a group counts its members again after each change of what is owned", function()
    local origin = group(open(0, 0), open(1, 0))
    assert.is_true(C.tide_offsets_current(offsets, origin))
    assert.is_false(C.tide_offsets_partially_revoked(offsets))
    C.tide_offsets_revoke(offsets, 1)
    assert.is_true(C.tide_offsets_current(offsets, origin))
    assert.is_true(C.tide_offsets_partially_revoked(offsets))
    C.tide_offsets_forget(offsets, 1)
    C.tide_offsets_assign(offsets, 1)
    assert.is_true(C.tide_offsets_partially_revoked(offsets))
    C.tide_offsets_abort(offsets)
    assert.is_false(C.tide_offsets_current(offsets, origin))
    assert.is_false(C.tide_offsets_partially_revoked(offsets))
  end)
end)
