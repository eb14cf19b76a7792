-- SPDX-License-Identifier: MIT
-- The calls of the offset tracker for several messages do what those for one do, in order: chain/offsets.h.
local ffi = require "ffi"
local C = require("spec.support.headers").declare "chain/offsets.h"
local seeds = require "spec.support.seed"

local PARTITIONS, MESSAGES, ROUNDS = 3, 40, 60

local function tracker()
  local offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
  for partition = 0, PARTITIONS - 1 do C.tide_offsets_assign(offsets, partition) end
  return offsets
end

-- What can be asked of a tracker, as text.
local function answers(offsets)
  local totals, list = ffi.new "struct tide_offsets_totals", {}
  C.tide_offsets_totals(offsets, totals)
  for _, name in ipairs { "read", "produced_from", "filtered", "dead_lettered", "late_reports", "in_flight", "groups",
    "members_visited", "positions_moved" } do
    list[#list + 1] = name .. " " .. tonumber(totals[name])
  end
  for partition = 0, PARTITIONS - 1 do
    list[#list + 1] = ("%d: %d %d %d"):format(partition, tonumber(C.tide_offsets_position(offsets, partition)),
      tonumber(C.tide_offsets_read_to(offsets, partition)),
      tonumber(C.tide_offsets_awaiting_report(offsets, partition)))
  end
  return table.concat(list, ", ")
end

local function origin_text(origin)
  return ("%d/%d/%d"):format(origin.partition, origin.epoch, origin.sequence)
end

describe("several messages at once", function()
  local one, many, messages, origins, singles, next_offset

  -- Messages of random partitions, in runs, opened in both trackers.
  local function open(count)
    local partition = math.random(0, PARTITIONS - 1)
    for i = 0, count - 1 do
      if math.random(4) == 1 then partition = math.random(0, PARTITIONS - 1) end
      next_offset[partition] = next_offset[partition] + math.random(3)
      messages[i].offset = next_offset[partition]
      messages[i].origin = { 12345, partition, 678 }
      singles[i] = C.tide_offsets_open(one, partition, messages[i].offset)
    end
    C.tide_offsets_open_many(many, messages, count)
    for i = 0, count - 1 do assert.equal(origin_text(singles[i]), origin_text(messages[i].origin)) end
  end

  -- One group in each tracker in place of the first messages; its members have only its reference then.
  local function group(count)
    local members = ffi.new("struct tide_origin[?]", count)
    for i = 0, count - 1 do members[i] = singles[i] end
    local of_one = C.tide_offsets_group(one, members, count)
    messages[0].origin = C.tide_offsets_group(many, members, count)
    for i = 0, count - 1 do
      C.tide_offsets_unref(one, members[i], C.TIDE_OUTCOME_FILTERED)
      C.tide_offsets_unref(many, members[i], C.TIDE_OUTCOME_FILTERED)
    end
    singles[0] = of_one
    return of_one
  end

  before_each(function()
    one, many = tracker(), tracker()
    messages = ffi.new("struct tide_message[?]", MESSAGES)
    origins = ffi.new("struct tide_origin[?]", MESSAGES)
    singles, next_offset = {}, { [0] = 0, 0, 0 }
  end)

  it("are opened, referred to, marked and given back as one after the other", function()
    local seed = seeds.draw()
    for _ = 1, ROUNDS do
      local count = math.random(MESSAGES)
      open(count)
      for i = 0, count - 1 do
        C.tide_offsets_ref(one, singles[i])
        C.tide_offsets_mark_sent(one, singles[i])
        origins[i] = messages[i].origin
      end
      C.tide_offsets_ref_many(many, messages, count)
      C.tide_offsets_mark_sent_many(many, messages, count)
      assert.equal(answers(one), answers(many), "seed " .. seed)
      for _, outcome in ipairs { C.TIDE_OUTCOME_FILTERED, C.TIDE_OUTCOME_PRODUCED } do
        for i = 0, count - 1 do C.tide_offsets_unref(one, singles[i], outcome) end
        C.tide_offsets_unref_many(many, origins, count, outcome)
        assert.equal(answers(one), answers(many), "seed " .. seed)
      end
    end
  end)

  it("may be groups among them", function()
    open(6)
    group(3)
    messages[1], messages[2] = messages[4], messages[5]
    for _, i in ipairs { 0, 4, 5 } do
      C.tide_offsets_ref(one, singles[i])
      C.tide_offsets_mark_sent(one, singles[i])
    end
    C.tide_offsets_ref_many(many, messages, 3)
    C.tide_offsets_mark_sent_many(many, messages, 3)
    assert.equal(answers(one), answers(many))
    for i = 0, 2 do origins[i] = messages[i].origin end
    for _ = 1, 2 do
      for _, i in ipairs { 0, 4, 5 } do C.tide_offsets_unref(one, singles[i], C.TIDE_OUTCOME_PRODUCED) end
      C.tide_offsets_unref_many(many, origins, 3, C.TIDE_OUTCOME_PRODUCED)
      assert.equal(answers(one), answers(many))
    end
  end)

  it("are current up to the first one whose partition is revoked", function()
    for i = 0, 5 do
      messages[i].offset = i
      messages[i].origin.partition = i < 4 and 0 or 1
    end
    C.tide_offsets_open_many(many, messages, 6)
    assert.equal(6, tonumber(C.tide_offsets_current_many(many, messages, 6)))
    C.tide_offsets_revoke(many, 1)
    assert.equal(4, tonumber(C.tide_offsets_current_many(many, messages, 6)))
    assert.equal(0, tonumber(C.tide_offsets_current_many(many, messages + 4, 2)))
    C.tide_offsets_revoke(many, 0)
    assert.equal(0, tonumber(C.tide_offsets_current_many(many, messages, 6)))
  end)
end)
