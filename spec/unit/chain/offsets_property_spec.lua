-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local bit = require "bit"
local model = require "spec.support.offsets_model"
local C = require("spec.support.headers").declare("chain/offsets.h")
local seeds = require "spec.support.seed"

local offsets
local totals_of = ffi.new "struct tide_offsets_totals"
local names = { "read", "produced_from", "filtered", "dead_lettered", "dropped", "late_reports", "in_flight",
  "positions_moved" }

local function totals()
  C.tide_offsets_totals(offsets, totals_of)
  local all = {}
  for _, name in ipairs(names) do all[name] = tonumber(totals_of[name]) end
  return all
end

-- Does random work on the tracker and on the model; after each operation both must give the same answers.
describe("work on the offset tracker", function()
  local PARTITIONS, OPERATIONS = 5, 100000
  local slow, origins, alive, over, filling

  local function random_alive()
    return #alive > 0 and alive[math.random(#alive)] or nil
  end

  -- Now and then the same origin as a dead letter has it.
  local function origin_of(message)
    local origin = ffi.new("struct tide_origin", origins[message])
    if math.random(8) == 1 then origin.epoch = bit.bor(origin.epoch, C.TIDE_ORIGIN_DEAD_LETTER) end
    return origin
  end

  local function sort_out(keep)
    local rest = {}
    for _, message in ipairs(alive) do
      if keep(message) then
        rest[#rest + 1] = message
      elseif message.references > 0 then
        over[#over + 1] = message
      end
    end
    alive = rest
  end

  local work = {}

  function work.open(partition)
    if slow.partitions[partition].state ~= "owned" then return end
    local _, next_offset = slow:answers(partition)
    local offset = math.max(next_offset, 0) + math.random(0, 3) * math.random(0, 1)
    local message = slow:open(partition, offset)
    origins[message] = ffi.new("struct tide_origin", C.tide_offsets_open(offsets, partition, offset))
    alive[#alive + 1] = message
  end

  function work.unopen(partition)
    local p = slow.partitions[partition]
    local newest = p.list[#p.list]
    if p.state ~= "owned" or not newest or newest.references ~= 1 or newest.sent or newest.touched then return end
    C.tide_offsets_unopen(offsets, origins[newest])
    slow:unopen(partition)
    sort_out(function(message) return message ~= newest end)
    over[#over] = nil
  end

  function work.ref()
    local message = random_alive()
    if not message then return end
    message.touched = true
    C.tide_offsets_ref(offsets, origin_of(message))
    slow:ref(message)
  end

  function work.mark_sent()
    local message = random_alive()
    if not message then return end
    C.tide_offsets_mark_sent(offsets, origin_of(message))
    slow:mark_sent(message)
  end

  function work.unref()
    local index = #alive > 0 and math.random(#alive)
    local message, outcome = alive[index], math.random(0, 2)
    if not message or filling and math.random(4) > 1 then return end
    message.touched = true
    C.tide_offsets_unref(offsets, origin_of(message), outcome)
    slow:unref(message, outcome)
    if message.references == 0 then table.remove(alive, index) end
  end

  function work.late_report()
    local message = #over > 0 and over[math.random(#over)]
    if not message then return end
    C.tide_offsets_ref(offsets, origin_of(message))
    C.tide_offsets_mark_sent(offsets, origin_of(message))
    C.tide_offsets_unref(offsets, origin_of(message), 1)
    slow:unref(message, 1)
  end

  function work.change(partition)
    local p = slow.partitions[partition]
    if p.state == "away" then
      C.tide_offsets_assign(offsets, partition)
      slow:assign(partition)
    elseif p.state == "owned" and math.random(10) == 1 then
      C.tide_offsets_revoke(offsets, partition)
      slow:revoke(partition)
    elseif p.state == "leaving" then
      C.tide_offsets_forget(offsets, partition)
      slow:forget(partition)
      sort_out(function(message) return message.partition ~= partition end)
    end
  end

  local function compare(partition)
    local want, got = slow.totals, totals()
    for _, name in ipairs(names) do
      if want[name] ~= got[name] then error(("%s: %d, not %d"):format(name, got[name], want[name])) end
    end
    assert(got.read == got.produced_from + got.filtered + got.dead_lettered + got.dropped + got.in_flight)
    local p = slow.partitions[partition]
    assert(C.tide_offsets_may_commit(offsets, partition) == (p.state ~= "away"))
    if p.state == "away" then return end
    local at, to, awaiting = slow:answers(partition)
    local position = tonumber(C.tide_offsets_position(offsets, partition))
    local read_to = tonumber(C.tide_offsets_read_to(offsets, partition))
    if at ~= position then error(("position %d, not %d"):format(position, at)) end
    if to ~= read_to then error(("read to %d, not %d"):format(read_to, to)) end
    assert(awaiting == tonumber(C.tide_offsets_awaiting_report(offsets, partition)))
    local message = random_alive() or over[1]
    if not message then return end
    assert(C.tide_offsets_current(offsets, origins[message]) == slow:current(message))
    local info = C.tide_offsets_look_up(offsets, origin_of(message))
    assert(info.current == slow:current(message) and info.partition == message.partition and info.count == 1)
    assert(tonumber(info.offset) == (slow:known(message) and message.offset or -1))
  end

  local weights = { "open", "open", "open", "open", "unopen", "ref", "mark_sent", "unref", "unref", "unref", "unref",
    "unref", "unref", "late_report", "change" }

  local function run(seed)
    math.randomseed(seed)
    offsets = ffi.gc(C.tide_offsets_new(), C.tide_offsets_free)
    slow, origins, alive, over = model.new(PARTITIONS), setmetatable({}, { __mode = "k" }), {}, {}
    for i = 0, PARTITIONS - 1 do
      C.tide_offsets_assign(offsets, i)
      slow:assign(i)
    end
    for i = 1, OPERATIONS do
      filling = i % 1000 < 500
      local partition = math.random(0, PARTITIONS - 1)
      work[weights[math.random(#weights)]](partition)
      compare(partition)
    end
    return slow.totals
  end

  it("in any order gives the same answers as a list that is searched", function()
    local seed = seeds.draw()
    local ok, seen = pcall(run, seed)
    assert(ok, ("TIDE_SEED=%d: %s"):format(seed, tostring(seen)))
    for _, name in ipairs { "produced_from", "filtered", "dead_lettered", "dropped", "late_reports",
      "positions_moved" } do
      assert.is_true(seen[name] > 500, ("only %d %s"):format(seen[name], name))
    end
  end)
end)
