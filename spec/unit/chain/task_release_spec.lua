-- SPDX-License-Identifier: MIT
-- The states of a batch (chain/batch.h) from its sealing on, without any process: the spec is the worker, and the next
-- step too. Each `it` looks at what one state becomes, and why.
local ffi = require "ffi"
local batches = require "spec.support.batch"
local chains = require "spec.support.chain"
local C = require("spec.support.headers").declare("base/loop.h", "shm/outputs.h", "proc/zygote.h", "proc/pool.h",
  "chain/dlq.h", "chain/task.h")

local SIGSEGV = 11
local ROOM = 16384
local PARTITION = 0

local chain, task, dlq, dlq_sink, pool, zygote, loop
local now_us, received, room

-- The next step: takes messages as long as there is `room`.
local submit = ffi.cast("ssize_t (*)(struct tide_step *, const struct tide_message *, size_t, int64_t)",
  function(_, messages, count)
    local taken = math.min(tonumber(count), room)
    for i = 0, taken - 1 do
      received[#received + 1] = batches.fields(messages[i]).value
      C.tide_offsets_unref(chain.offsets, messages[i].origin, C.TIDE_OUTCOME_PRODUCED)
    end
    room = room - taken
    return taken
  end)
local next_step = { ops = ffi.new("struct tide_step_ops", { submit = submit }) }
next_step.c = ffi.new("struct tide_step", { ops = next_step.ops })

local function new(options)
  options = options or {}
  chain = chains.new()
  chain.c.retry_timeout_us = options.retry_timeout_us or 0
  loop = C.tide_loop_new()
  zygote = C.tide_zygote_new(loop, 1)
  pool = C.tide_pool_new(zygote, loop, 0, 1, chain.counters)
  local status = ffi.new "int[1]"
  dlq = C.tide_dlq_new(ffi.new("struct tide_dlq_plan", { kind = C.TIDE_DLQ_TOPIC, target = "dead", max_buffered = 1,
    max_invalid_ratio = -1, max_consecutive_count = -1 }), chain.c, status)
  dlq_sink = C.tide_memory_sink_new(ffi.new("struct tide_sink_plan", { max_messages = 10 }))
  C.tide_dlq_sink(dlq, dlq_sink)
  chain.c.dlq = dlq
  local plan = ffi.new("struct tide_step_plan", { kind = options.kind or C.TIDE_STEP_TASK, stage = "task",
    max_batch_size = 100, max_batch_time_us = 1, input_block_size = ROOM, max_input_block_size = ROOM,
    output_block_size = ROOM, max_output_block_size = ROOM, prefetch_batches = 1,
    crash_retries = options.crash_retries or 1 })
  task = C.tide_task_new(chain.c, plan, pool, 1, 0, 0)
  task.step.next = next_step.c
  now_us, received, room = 1000000, {}, 1000
end

local function free()
  task.step.ops.terminate(task.step)
  C.tide_dlq_free(dlq)
  dlq_sink.ops.free(dlq_sink)
  C.tide_pool_free(pool)
  C.tide_zygote_free(zygote)
  C.tide_loop_free(loop)
end

-- Seals a batch of `count` messages with the values 0, 1, ...; answers the batch.
local function seal(count)
  for i = 0, count - 1 do
    local message = chain:read({ value = tostring(i) }, PARTITION)
    assert.equal(1, tonumber(task.step.ops.submit(task.step, message, 1, now_us)))
  end
  task.step.ops.close(task.step, now_us)
  local batch = task.order.list.stqh_first
  while batch.in_order.stqe_next ~= nil do batch = batch.in_order.stqe_next end
  return batch
end

local function result(index, value)
  return { index = index, value = value or tostring(index) }
end

-- The worker of the batch has run records up to `next` and left `results`. report: "done", "full", or a table of what
-- the pool knows of its death.
local function worker(batch, next, results, report)
  local work, parts = batch.work, {}
  assert.is_true(C.tide_pool_withdraw(pool, work), "the pool has the batch")
  work.output = C.tide_outputs_take(task.outputs, 0)
  work.job.output = work.output.output
  for i, fields in ipairs(results) do parts[i] = batches.result(fields) end
  batches.leave(batch, table.concat(parts), next)
  if type(report) == "table" then
    work.state, work.death = C.TIDE_WORK_WORKER_LOST, SIGSEGV
    for name, value in pairs(report) do work[name] = value end
  else
    work.state, work.status = C.TIDE_WORK_DONE, report == "full" and C.TIDE_JOB_FULL or C.TIDE_JOB_DONE
  end
end

local function release()
  assert.equal(C.TIDE_OK, C.tide_task_release(task, now_us))
end

jit.off(release) -- LuaJIT must not compile a call of C that calls back

local function state(batch)
  for _, name in ipairs { "EMPTY", "FILLING", "SEALED", "WITH_POOL", "RESULTS", "CRASHED", "PAUSED", "FORWARDED" } do
    if batch.state == C["TIDE_BATCH_" .. name] then return name end
  end
end

-- The records that the pool is to run: "first-end".
local function job(batch)
  return ("%d-%d"):format(batch.work.job.first, batch.work.job["end"])
end

local function dead_letters()
  local list = {}
  for i = 0, tonumber(C.tide_memory_count(dlq_sink)) - 1 do
    list[#list + 1] = batches.fields(C.tide_memory_get(dlq_sink, i)).value
  end
  return list
end

-- The sink acknowledges the dead letters that it has, so that the dlq takes another.
local function acknowledge()
  local reports = ffi.new "struct tide_report[10]"
  local count = tonumber(dlq_sink.ops.reports(dlq_sink, reports, 10))
  for i = 0, count - 1 do assert.equal(C.TIDE_OK, C.tide_dlq_reported(dlq, reports[i])) end
end

describe("tide_task_release, WITH_POOL:", function()
  before_each(function() new() end)
  after_each(free)

  it("a batch WITH_POOL stays there until its worker has reported", function()
    local batch = seal(2)
    release()
    assert.equal("WITH_POOL", state(batch))
  end)

  it("a batch WITH_POOL is forwarded and EMPTY when all its records were run", function()
    local batch = seal(3)
    worker(batch, 3, { result(0), result(2) }, "done")
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0", "2" }, received)
    assert.equal(1, chain:count(C.TIDE_M_FILTER_DROPPED_MESSAGES))
    assert.equal(3, chain:position(PARTITION))
  end)

  it("a batch WITH_POOL waits, though its worker has reported, while an older one is not forwarded", function()
    local first, second = seal(1), seal(1)
    worker(second, 1, { result(0, "second") }, "done")
    release()
    assert.same({ "WITH_POOL", "WITH_POOL" }, { state(first), state(second) })
    worker(first, 1, { result(0, "first") }, "done")
    release()
    assert.same({ "EMPTY", "EMPTY" }, { state(first), state(second) })
    assert.same({ "first", "second" }, received)
  end)

  it("a batch WITH_POOL goes there again with the records that are left, when the output block was full", function()
    local batch = seal(3)
    worker(batch, 2, { result(0), result(1) }, "full")
    release()
    assert.same({ "WITH_POOL", "2-3" }, { state(batch), job(batch) })
    assert.same({ "0", "1" }, received)
  end)

  it("a batch WITH_POOL goes there again with all that is left, when a loss is attributed to nothing", function()
    local batch = seal(3)
    worker(batch, 1, { result(0) }, {})
    release()
    assert.same({ "WITH_POOL", "1-3" }, { state(batch), job(batch) })
  end)
end)

describe("tide_task_release, RESULTS:", function()
  before_each(function() new() end)
  after_each(free)

  it("a batch of RESULTS stays there while the next step takes fewer, and goes on with the others", function()
    local batch = seal(3)
    worker(batch, 3, { result(0), result(1), result(2) }, "done")
    room = 1
    release()
    assert.same({ "RESULTS", 1 }, { state(batch), batch.release.released })
    assert.equal(1, chain:count(C.TIDE_M_BATCH_BACKPRESSURE))
    room = 10
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0", "1", "2" }, received)
  end)

  it("a batch of RESULTS stays there while the dlq has no room for a rejected record", function()
    local batch = seal(3)
    local function rejected(index) return { index = index, kind = C.TIDE_RESULT_REJECT, value = "error\0why\0" } end
    worker(batch, 3, { rejected(0), rejected(1), result(2) }, "done")
    release()
    assert.same({ "RESULTS", 1 }, { state(batch), batch.release.released })
    acknowledge()
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0", "1" }, dead_letters())
    assert.same({ "2" }, received)
  end)

  it("a batch of RESULTS forwards nothing of a partition that was revoked", function()
    local batch = seal(2)
    worker(batch, 2, { result(0), result(1) }, "done")
    C.tide_offsets_revoke(chain.offsets, PARTITION)
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({}, received)
  end)

  it("a batch of RESULTS keeps a record that is to be tried again, and those after it in its partition", function()
    local batch = seal(3)
    local retry = { index = 1, kind = C.TIDE_RESULT_RETRY, value = "retry\0down\0" }
    worker(batch, 3, { result(0), retry, result(2) }, "done")
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0" }, received)
    assert.equal(2, task.retry.waiting)
    assert.equal(1, chain:position(PARTITION))
  end)
end)

describe("tide_task_release, CRASHED:", function()
  after_each(free)

  it("a batch that CRASHED runs the record again alone, then the records after it", function()
    new()
    local batch = seal(4)
    worker(batch, 1, { result(0) }, { attributed = true })
    release()
    assert.same({ "WITH_POOL", "1-2", true }, { state(batch), job(batch), batch.work.fresh })
    assert.same({ "0" }, received)
    worker(batch, 2, { result(1) }, "done")
    release()
    assert.same({ "WITH_POOL", "2-4", false }, { state(batch), job(batch), batch.work.fresh })
  end)

  it("a batch that CRASHED rejects the record when a worker dies of it again", function()
    new()
    local batch = seal(3)
    worker(batch, 1, { result(0) }, { attributed = true })
    release()
    worker(batch, 1, {}, { attributed = true })
    release()
    assert.same({ "1" }, dead_letters())
    assert.same({ "WITH_POOL", "2-3" }, { state(batch), job(batch) })
  end)

  it("a batch that CRASHED stays there while the dlq has no room, and runs nothing again meanwhile", function()
    new { crash_retries = 0 }
    local batch = seal(3)
    worker(batch, 0, {}, { attributed = true })
    release()
    worker(batch, 1, {}, { attributed = true })
    release()
    release()
    assert.same({ "CRASHED", 1 }, { state(batch), batch.release.released })
    acknowledge()
    release()
    assert.same({ "WITH_POOL", "2-3" }, { state(batch), job(batch) })
    assert.same({ "0", "1" }, dead_letters())
  end)

  it("a batch that CRASHED rejects at once a record that took too long", function()
    new()
    local batch = seal(2)
    worker(batch, 0, {}, { attributed = true, timed_out = true })
    release()
    assert.same({ "0" }, dead_letters())
    assert.equal("1-2", job(batch))
  end)

  it("a batch that CRASHED runs records one by one when a function had several of them", function()
    new { crash_retries = 0 }
    local batch = seal(3)
    worker(batch, 0, {}, { attributed = true, several = true })
    release()
    assert.same({ "WITH_POOL", "0-3", 1 }, { state(batch), job(batch), batch.work.job.one_by_one })
    assert.same({}, dead_letters())
  end)

  it("a batch whose worker died after its last record has not CRASHED", function()
    new { crash_retries = 0 }
    local batch = seal(2)
    worker(batch, 2, { result(0), result(1) }, { attributed = true })
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ {}, { "0", "1" } }, { dead_letters(), received })
  end)
end)

describe("tide_task_release, where a step reduces:", function()
  local RETRY = { index = 0, kind = C.TIDE_RESULT_RETRY, value = "retry\0down\0" }

  after_each(free)

  it("a reduced batch is complete with its result, and all at once", function()
    new { kind = C.TIDE_STEP_REDUCE }
    local batch = seal(3)
    worker(batch, 3, { result(2, "sum") }, "done")
    room = 0
    release()
    assert.same({ "RESULTS", 0 }, { state(batch), chain:position(PARTITION) })
    room = 1
    release()
    assert.same({ "EMPTY", 3 }, { state(batch), chain:position(PARTITION) })
    assert.same({ "sum" }, received)
  end)

  it("a reduced batch is run again from its start after a crash, then without the culprit", function()
    new { kind = C.TIDE_STEP_REDUCE }
    local batch = seal(3)
    for _ = 1, 2 do
      worker(batch, 1, {}, { attributed = true })
      release()
      assert.same({ "WITH_POOL", "0-3" }, { state(batch), job(batch) })
    end
    assert.same({ "1" }, dead_letters())
    local left_out = {}
    for i = 0, 2 do left_out[i + 1] = C.tide_batch_record(batch, i).flags == C.TIDE_RECORD_LEFT_OUT end
    assert.same({ false, true, false }, left_out)
  end)

  it("a reduced batch rejects all its records when a worker dies of the result", function()
    new { kind = C.TIDE_STEP_REDUCE, crash_retries = 0 }
    local batch = seal(2)
    worker(batch, 2, {}, { attributed = true })
    release()
    assert.same({ "CRASHED", 1 }, { state(batch), batch.release.released })
    acknowledge()
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0", "1" }, dead_letters())
  end)

  it("a reduced batch is run again without records that were revoked meanwhile", function()
    new { kind = C.TIDE_STEP_REDUCE }
    local batch = seal(2)
    worker(batch, 2, { result(1, "sum") }, "done")
    C.tide_offsets_revoke(chain.offsets, PARTITION)
    release()
    assert.same({ "WITH_POOL", "0-2" }, { state(batch), job(batch) })
    assert.same({}, received)
  end)

  it("a reduced batch is PAUSED when it is to be tried again, until the pause is over", function()
    new { kind = C.TIDE_STEP_REDUCE }
    local batch = seal(2)
    worker(batch, 2, { RETRY }, "done")
    release()
    assert.equal("PAUSED", state(batch))
    local due_us = C.tide_retry_deadline(task)
    now_us = tonumber(due_us) - 1
    release()
    assert.equal("PAUSED", state(batch))
    now_us = tonumber(due_us)
    release()
    assert.same({ "WITH_POOL", "0-2" }, { state(batch), job(batch) })
  end)

  it("a reduced batch rejects all its records when retry_timeout has passed", function()
    new { kind = C.TIDE_STEP_REDUCE, retry_timeout_us = 50000 }
    local batch = seal(1)
    worker(batch, 1, { RETRY }, "done")
    release()
    assert.equal("PAUSED", state(batch))
    now_us = now_us + 50000
    release()
    assert.equal("EMPTY", state(batch))
    assert.same({ "0" }, dead_letters())
  end)
end)
