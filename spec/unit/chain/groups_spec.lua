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

-- A group of these, whose members have given back their own hold.
local function group(...)
  local members = ffi.new("struct tide_origin[?]", select("#", ...), { ... })
  local origin = C.tide_offsets_group(offsets, members, select("#", ...))
  for i = 0, select("#", ...) - 1 do C.tide_offsets_unref(offsets, members[i], C.TIDE_OUTCOME_FILTERED) end
  return origin
end

local function done(origin, fate)
  C.tide_offsets_unref(offsets, origin, fate or C.TIDE_OUTCOME_PRODUCED)
end

local function position(partition)
  return tonumber(C.tide_offsets_position(offsets, partition))
end

local function counted(name)
  C.tide_offsets_totals(offsets, totals)
  return tonumber(totals[name])
end

describe("a group", function()
  before_each(function()
    offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
    C.tide_offsets_assign(offsets, 0)
    C.tide_offsets_assign(offsets, 1)
  end)

  it("lets the highest offset of each partition be committed once its last hold is given back", function()
    local origin = group(open(0, 5), open(1, 7), open(0, 6))
    C.tide_offsets_ref(offsets, origin)
    done(origin)
    assert.same({ 5, 7 }, { position(0), position(1) })
    done(origin)
    assert.same({ 7, 8 }, { position(0), position(1) })
    assert.same({ 3, 0 }, { counted "produced_from", counted "in_flight" })
  end)

  it("has the highest fate of its outputs, for all members", function()
    local origin = group(open(0, 0), open(0, 1))
    C.tide_offsets_ref(offsets, origin)
    done(origin, C.TIDE_OUTCOME_DEAD_LETTERED)
    done(origin, C.TIDE_OUTCOME_FILTERED)
    assert.equal(2, counted "dead_lettered")
  end)

  it("may be of groups", function()
    local inner = group(open(0, 0), open(0, 1))
    local outer = group(inner, open(1, 0))
    assert.equal(0, C.tide_offsets_partition(offsets, outer))
    assert.equal(0, position(0))
    done(outer)
    assert.same({ 2, 1 }, { position(0), position(1) })
  end)

  it("is current while one member is, and then commits only what is still ours", function()
    local origin = group(open(0, 0), open(1, 0))
    C.tide_offsets_revoke(offsets, 0)
    assert.is_true(C.tide_offsets_current(offsets, origin))
    C.tide_offsets_forget(offsets, 0)
    done(origin)
    assert.same({ 1, 1 }, { counted "late_reports", counted "produced_from" })
    assert.equal(1, position(1))
  end)

  it("that was dropped lets no member through", function()
    local origin = group(open(0, 0), open(0, 1))
    C.tide_offsets_ref(offsets, origin)
    C.tide_offsets_revoke(offsets, 0)
    assert.is_false(C.tide_offsets_current(offsets, origin))
    C.tide_offsets_drop(offsets, origin)
    done(origin)
    assert.equal(0, position(0))
    C.tide_offsets_forget(offsets, 0)
    assert.equal(2, counted "dropped")
  end)

  it("that was dropped closes the groups in it", function()
    local inner = group(open(0, 0), open(0, 1))
    local outer = group(inner, open(1, 0))
    assert.equal(2, counted "groups")
    C.tide_offsets_drop(offsets, outer)
    assert.equal(0, counted "groups")
    assert.equal(0, position(0))
  end)

  it("counts as released in each partition", function()
    local origin = group(open(0, 0), open(1, 0))
    C.tide_offsets_mark_sent(offsets, origin)
    assert.same({ 1, 1 }, { tonumber(C.tide_offsets_awaiting_report(offsets, 0)),
      tonumber(C.tide_offsets_awaiting_report(offsets, 1)) })
  end)

  it("uses its place again, under another epoch", function()
    local first = group(open(0, 0))
    done(first)
    local second = group(open(0, 1))
    assert.equal(first.sequence, second.sequence)
    assert.not_equal(first.epoch, second.epoch)
    done(second)
    assert.equal(2, position(0))
  end)

  -- What tide.many makes of a reduce: the work is that of the sum, not of the product.
  for _, mode in ipairs { "at least once", "exactly once" } do
    it("looks at each member a few times, however many its outputs are, " .. mode, function()
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
        done(origin)
      end
      assert.equal(1, position(1)) -- the group's own hold is left: nothing is through
      done(origin)
      assert.same({ count + 1, count }, { math.max(position(0), position(1)), counted "produced_from" })
      assert.is_true(counted "members_visited" <= 4 * count, counted "members_visited" .. " looks at members")
    end)
  end

  it("is counted again after each change of what is owned", function()
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
