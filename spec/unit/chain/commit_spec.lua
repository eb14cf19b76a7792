-- SPDX-License-Identifier: MIT
-- When positions are committed at least once: chain/commit.h. Exactly once is in commit_transaction_spec.lua.
local ffi = require "ffi"
local chains = require "spec.support.chain"
local C = chains.C

jit.off(true, true) -- the library calls back into this file

local SECOND = 1e6
local chain, source, commit, began

local function new(options)
  began = tonumber(C.tide_clock_us())
  C.tide_clock_hold(began) -- so that nothing is late before the spec says so
  chain = chains.new(3)
  source = C.tide_memory_source_new(ffi.new("struct tide_source_plan", { partitions = 3 }), chain.topics)
  chain.c.source = source
  local plan = ffi.new("struct tide_commit_plan", { options.enabled ~= false, (options.min_time or 0) * SECOND,
    options.min_messages or 0 })
  commit = ffi.gc(C.tide_commit_new(plan, chain.c, nil), C.tide_commit_free)
end

local function stop()
  C.tide_clock_hold(0)
  source.ops.free(source)
end

-- seconds: since the commit was made.
local function poll(seconds)
  return C.tide_commit_poll(commit, began + (seconds or 0) * SECOND)
end

local function force(seconds)
  return C.tide_commit_force(commit, began + (seconds or 0) * SECOND)
end

local function state()
  return tonumber(C.tide_commit_state(commit))
end

-- The source's answer, as the engine hands it over.
local function answer(status, text)
  local event = ffi.new "struct tide_source_event"
  source.ops.event(source, event)
  assert.equal(C.TIDE_SOURCE_COMMITTED, event.kind)
  C.tide_commit_answered(commit, status or 0, text)
end

local function committed(partition)
  return tonumber(C.tide_memory_committed(source, partition or 0))
end

-- Reads `count` messages of the partition that are complete at once.
local function read_complete(count, partition)
  for _ = 1, count do chain:done(chain:read({}, partition)) end
end

describe("commit policies", function()
  after_each(stop)

  it("policy immediate commits complete messages as soon as the last commit is answered", function()
    new {}
    assert.equal(C.TIDE_OK, poll())
    assert.not_equal(C.TIDE_COMMIT_UNDER_WAY, state())
    read_complete(2)
    assert.equal(C.TIDE_OK, poll())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
    assert.equal(2, committed())
    read_complete(1)
    assert.equal(C.TIDE_BUSY, poll())
    assert.equal(2, committed())
    answer()
    assert.equal(C.TIDE_OK, poll())
    assert.equal(3, committed())
    assert.equal(1, chain:count(C.TIDE_M_COMMIT_OK))
  end)

  it("a policy with a time commits when it has passed since the last commit", function()
    new { min_time = 1 }
    read_complete(1)
    poll(0.5)
    assert.equal(-1, committed())
    poll(5)
    assert.equal(1, committed())
    answer()
    read_complete(1)
    assert.equal(began + 6 * SECOND, tonumber(C.tide_commit_deadline_us(commit)))
    poll(5.999)
    assert.equal(1, committed())
    poll(6)
    assert.equal(2, committed())
  end)

  it("a policy with a number commits when so many messages are complete since the last commit", function()
    new { min_messages = 3 }
    read_complete(2)
    poll()
    assert.equal(-1, committed())
    read_complete(1)
    poll()
    assert.equal(3, committed())
    answer()
    read_complete(2)
    poll(1e6)
    assert.equal(3, committed())
  end)

  it("a policy with both commits at the first of the two", function()
    new { min_time = 1, min_messages = 3 }
    read_complete(1)
    poll(10)
    answer()
    read_complete(3)
    poll(10)
    assert.equal(4, committed())
    answer()
    read_complete(1)
    poll(10)
    assert.equal(4, committed())
    poll(11)
    assert.equal(5, committed())
  end)

  it("committing that is off commits nothing and is always up to date", function()
    new { enabled = false }
    read_complete(1)
    assert.equal(C.TIDE_OK, force())
    assert.equal(-1, committed())
    assert.is_true(C.tide_commit_up_to_date(commit))
    assert.equal(2 ^ 63, tonumber(C.tide_commit_deadline_us(commit)))
  end)
end)

describe("commits", function()
  after_each(stop)

  it("a commit never passes a message that is not complete", function()
    new {}
    local slow = chain:read()
    read_complete(5)
    force()
    assert.is_true(committed() <= 0)
    chain:done(slow)
    if state() == C.TIDE_COMMIT_UNDER_WAY then answer() end
    poll()
    assert.equal(6, committed())
  end)

  it("a commit is made now, whatever the policy says, when it is asked for", function()
    new { min_time = 3600 }
    force(1)
    read_complete(1)
    force(2)
    assert.equal(1, committed())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
  end)

  it("a commit takes all partitions that moved, and only those of partitions that may be committed", function()
    new {}
    read_complete(1, 0)
    read_complete(2, 1)
    read_complete(3, 2)
    C.tide_offsets_revoke(chain.offsets, 1)
    C.tide_offsets_revoke(chain.offsets, 2)
    C.tide_offsets_forget(chain.offsets, 2)
    poll()
    assert.same({ 1, 2, -1 }, { committed(0), committed(1), committed(2) })
  end)

  it("a commit is not begun when nothing moved", function()
    new {}
    read_complete(1)
    poll()
    answer()
    force()
    assert.not_equal(C.TIDE_COMMIT_UNDER_WAY, state())
    assert.equal(1, chain:count(C.TIDE_M_COMMIT_OK))
  end)

  it("a commit that failed is covered by the next one", function()
    new {}
    read_complete(1)
    poll()
    assert.is_false(C.tide_commit_up_to_date(commit))
    answer(C.TIDE_ETEMPORARY, "no coordinator")
    assert.is_false(C.tide_commit_up_to_date(commit))
    assert.equal(1, chain:count(C.TIDE_M_COMMIT_ERROR))
    assert.equal(C.TIDE_COMMIT_RESTING, state())
    poll(0.9) -- not at once: a broker that refuses quickly would be asked without end
    assert.not_equal(C.TIDE_COMMIT_UNDER_WAY, state())
    poll(1.1)
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
    answer()
    assert.is_true(C.tide_commit_up_to_date(commit))
  end)

  it("a commit that failed is repeated at once when the engine wants one, as in a revocation", function()
    new {}
    read_complete(1)
    poll()
    answer(C.TIDE_ETEMPORARY, "not now")
    assert.is_true(C.tide_commit_resting(commit, began))
    assert.equal(C.TIDE_OK, force())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
  end)

  it("a commit that failed is due a second later, whatever the policy's time is", function()
    new { min_time = 0.2 }
    read_complete(1)
    poll(0.2)
    answer(C.TIDE_ETEMPORARY, "not now")
    assert.equal(began + 1.2 * SECOND, tonumber(C.tide_commit_deadline_us(commit)))
  end)

  it("a commit that failed is asked for again although nothing moved meanwhile", function()
    new { min_messages = 1000 }
    force()
    read_complete(1)
    force()
    answer(C.TIDE_ETEMPORARY)
    assert.equal(C.TIDE_OK, force())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
  end)

  it("a commit brings everything up to date once it is answered", function()
    new { min_time = 1 }
    assert.is_true(C.tide_commit_up_to_date(commit))
    assert.equal(2 ^ 63, tonumber(C.tide_commit_deadline_us(commit)))
    read_complete(1)
    assert.is_false(C.tide_commit_up_to_date(commit))
    force()
    assert.is_false(C.tide_commit_up_to_date(commit))
    assert.equal(2 ^ 63, tonumber(C.tide_commit_deadline_us(commit)))
    answer()
    assert.is_true(C.tide_commit_up_to_date(commit))
  end)

  it("a commit begins anew with a partition that was assigned again", function()
    new {}
    read_complete(2)
    poll()
    answer()
    C.tide_offsets_revoke(chain.offsets, 0)
    C.tide_offsets_forget(chain.offsets, 0)
    C.tide_offsets_assign(chain.offsets, 0)
    C.tide_commit_assigned(commit, 0)
    chain:done(chain:read({ offset = 1 })) -- another had set it back; the same position is news again
    poll()
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
    assert.equal(2, committed())
  end)
end)

describe("busy sources", function()
  after_each(function() C.tide_clock_hold(0) end)

  it("a source that is busy is asked again in each turn, until it takes the commit", function()
    local status = C.TIDE_BUSY
    local ops = ffi.new("struct tide_source_ops", { commit = function() return status end })
    new {}
    source.ops.free(source)
    chain.c.source = ffi.new("struct tide_source", { ops = ops })
    read_complete(1)
    assert.equal(C.TIDE_BUSY, poll())
    assert.equal(C.TIDE_COMMIT_PREPARING, state())
    assert.is_false(C.tide_commit_barrier_blocked(commit)) -- there is no barrier at least once
    assert.is_false(C.tide_commit_up_to_date(commit))
    status = C.TIDE_OK
    assert.equal(C.TIDE_OK, poll())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
    ops.commit:free()
  end)
end)
