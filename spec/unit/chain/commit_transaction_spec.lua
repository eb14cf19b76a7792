-- SPDX-License-Identifier: MIT
-- Commits in exactly_once: chain/commit.h. The sink is the spec's own; each test says what it answers.
local ffi = require "ffi"
local chains = require "spec.support.chain"
local C = require("spec.support.headers").declare("chain/bad_records.h")

jit.off(true, true) -- the library calls back into this file

local chain, commit

describe("commits in exactly_once", function()
  local sink, pending, status, sent, flushed

  local ops = ffi.new("struct tide_sink_ops", {
    pending = function() return pending end,
    commit = function(_, positions, count)
      for i = 0, tonumber(count) - 1 do sent[positions[i].partition] = tonumber(positions[i].offset) end
      return status
    end,
    flush = function() flushed = flushed + 1 end,
  })

  local function begin(options)
    chain = chains.new(2)
    sink = ffi.new("struct tide_sink", { ops = ops })
    pending, status, sent, flushed = 0, C.TIDE_OK, {}, 0
    C.tide_offsets_transactional(chain.offsets)
    local plan = ffi.new("struct tide_commit_plan", { true, 0, options.min_messages or 0 })
    commit = ffi.gc(C.tide_commit_new(plan, chain.c, sink), C.tide_commit_free)
  end

  local function poll()
    return C.tide_commit_poll(commit, C.tide_clock_us())
  end

  local function force()
    return C.tide_commit_force(commit, C.tide_clock_us())
  end

  local function state()
    return tonumber(C.tide_commit_state(commit))
  end

  -- Reads `count` messages of the partition that are complete at once.
  local function read_complete(count, partition)
    for _ = 1, count do chain:done(chain:read({}, partition)) end
  end

  local function send(message)
    C.tide_offsets_mark_sent(chain.offsets, message.origin)
    pending = pending + 1
  end

  local function acknowledge(message)
    chain:done(message, C.TIDE_OUTCOME_PRODUCED)
    pending = pending - 1
  end

  it("a commit waits for the delivery reports, and only what its transaction needs is sent meanwhile", function()
    begin {}
    local a, b = chain:read(), chain:read()
    send(a)
    send(b)
    acknowledge(a)
    assert.equal(C.TIDE_BUSY, poll())
    assert.equal(C.TIDE_COMMIT_PREPARING, state())
    assert.is_true(chain.c.send_only_needed)
    assert.same({}, sent)
    acknowledge(b)
    assert.equal(C.TIDE_OK, poll())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
    assert.is_false(chain.c.send_only_needed)
    assert.same({ [0] = 2 }, sent)
  end)

  it("a commit that has to wait for delivery reports flushes the sink, once", function()
    begin {}
    local a = chain:read()
    send(a)
    force()
    force()
    assert.equal(1, flushed)
    acknowledge(a)
    assert.equal(C.TIDE_OK, poll())
    C.tide_commit_answered(commit, C.TIDE_OK, nil)
    read_complete(1)
    assert.equal(C.TIDE_OK, force())
    assert.equal(1, flushed)
  end)

  it("a commit that is being prepared is made whatever the policy says", function()
    begin { min_messages = 1000 }
    local a = chain:read()
    send(a)
    assert.equal(C.TIDE_BUSY, force())
    acknowledge(a)
    assert.equal(C.TIDE_OK, poll())
    assert.same({ [0] = 1 }, sent)
  end)

  it("the steps run freely when a message is needed and no report is due, since it may be queued", function()
    begin {}
    local a, b = chain:read(), chain:read()
    send(b) -- so a, which is before it, is in the transaction
    assert.equal(C.TIDE_BUSY, force())
    assert.is_true(chain.c.send_only_needed)
    assert.is_false(C.tide_commit_barrier_blocked(commit))
    acknowledge(b)
    chain.c.progress = false
    assert.equal(C.TIDE_BUSY, poll())
    assert.is_false(chain.c.send_only_needed)
    assert.is_true(chain.c.progress) -- steps that held something back are polled before the loop waits
    assert.is_true(C.tide_commit_barrier_blocked(commit))
    send(a)
    assert.equal(C.TIDE_BUSY, poll())
    assert.is_true(chain.c.send_only_needed)
    acknowledge(a)
    assert.equal(C.TIDE_OK, poll())
    assert.same({ [0] = 2 }, sent)
  end)

  it("a commit takes the positions of all partitions at once", function()
    begin {}
    read_complete(1, 0)
    read_complete(3, 1)
    poll()
    assert.same({ [0] = 1, 3 }, sent)
  end)

  it("a commit that the sink is too busy for is asked for again", function()
    begin {}
    read_complete(1)
    status = C.TIDE_BUSY
    assert.equal(C.TIDE_BUSY, poll())
    assert.equal(C.TIDE_COMMIT_PREPARING, state())
    status = C.TIDE_OK
    assert.equal(C.TIDE_OK, poll())
    assert.equal(C.TIDE_COMMIT_UNDER_WAY, state())
  end)

  it("a commit that is answered makes outcomes final", function()
    begin {}
    local a, b = chain:read(), chain:read({}, 1)
    for _, message in ipairs { a, b } do
      send(message)
      acknowledge(message)
    end
    poll()
    assert.is_true(C.tide_offsets_uncommitted(chain.offsets, 0))
    C.tide_commit_answered(commit, C.TIDE_OK, nil)
    assert.equal(C.TIDE_COMMIT_OPEN, state())
    assert.is_false(C.tide_offsets_uncommitted(chain.offsets, 0))
    assert.is_true(C.tide_commit_up_to_date(commit))
    C.tide_offsets_revoke(chain.offsets, 0)
    C.tide_offsets_forget(chain.offsets, 0)
    assert.equal(2, tonumber(chain:totals().produced_from))
  end)

  it("a commit that is answered forgets the bad records of the messages before it", function()
    begin {}
    local list = ffi.gc(C.tide_bad_records_new(), C.tide_bad_records_free)
    chain.c.bad_records = list
    local a, b = chain:read(), chain:read()
    for _, message in ipairs { a, b } do
      C.tide_bad_records_refused(list, 0, message.offset, message, "no", false)
    end
    chain:done(a)
    poll()
    C.tide_commit_answered(commit, C.TIDE_OK, nil)
    assert.is_false(C.tide_bad_records_empty(list))
    chain:done(b)
    poll()
    C.tide_commit_answered(commit, C.TIDE_OK, nil)
    assert.is_true(C.tide_bad_records_empty(list))
  end)

  it("a transaction that is aborted counts as a failed commit only while its commit is under way", function()
    begin {}
    read_complete(1)
    C.tide_commit_aborted(commit)
    assert.equal(0, chain:count(C.TIDE_M_COMMIT_ERROR))
    poll()
    C.tide_commit_aborted(commit)
    assert.equal(1, chain:count(C.TIDE_M_COMMIT_ERROR))
    assert.equal(C.TIDE_COMMIT_OPEN, state())
    assert.is_false(C.tide_commit_up_to_date(commit))
  end)

  it("a transaction that is aborted ends what is being prepared, and its positions are asked for again", function()
    begin {}
    read_complete(1)
    poll()
    C.tide_commit_answered(commit, C.TIDE_OK, nil)
    local a = chain:read()
    send(a)
    force()
    assert.is_true(chain.c.send_only_needed)
    C.tide_commit_aborted(commit)
    assert.equal(C.TIDE_COMMIT_OPEN, state())
    assert.is_false(chain.c.send_only_needed)
    acknowledge(a)
    sent = {}
    poll()
    assert.same({ [0] = 2 }, sent)
  end)
end)
