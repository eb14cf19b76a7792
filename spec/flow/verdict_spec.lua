-- SPDX-License-Identifier: MIT
-- Each limit is provoked alone, on real engines and workers, and the verdict on the whole run names it. Nothing here
-- is measured: what is provoked is far from the constants of the rules (tuning/terms.lua), so that it holds on a busy
-- machine too.
local advisor = require "tidemill.tuning.advisor"
local ffi = require "ffi"
local flow = require "spec.support.flow"
local metrics = require "tidemill.metrics"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local testing = require "tidemill.testing"
local tide = require "tidemill"
local wait = require "spec.support.wait"
local window = require "tidemill.tuning.window"

local C = testing.C
local KIB, MIB = 2 ^ 10, 2 ^ 20

local function identity(message) return message end

local function sleep(milliseconds) ffi.C.poll(nil, 0, milliseconds) end

local function compute(message)
  local sum = 0
  for i = 1, 10000 do sum = sum + math.sin(i) end
  message.value = tostring(sum)
  return message
end

local DEFAULTS = { max_batch_size = 1000, max_batch_time = 1, input_block_size = MIB, output_block_size = MIB,
  eager = true, auto = true }

-- What a plan would say of the options of flow.new.
local function setting_of(options)
  local steps = {}
  for i, given in ipairs(options.steps) do
    local step = {}
    for name, value in pairs(DEFAULTS) do
      if given[name] == nil then step[name] = value else step[name] = given[name] end
    end
    step.auto = {}
    step.processes, step.pool = (options.pools or { 1 })[(given.pool or 0) + 1], given.pool or 0
    steps[i] = step
  end
  return { cores = 2, source = options.source, output = "memory", dlq_topic = false, commit_interval = 0,
    steps = steps }
end

describe("the limit of a whole run", function()
  local fixture = flow.fixture()

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function judge(run, options)
    local steps = {}
    for i = 1, #options.steps do steps[i] = { kind = "TIDE_STEP_TASK" } end
    local values = metrics.collect(run.engine, { tables = { steps = steps } })
    local last = { metrics = values, totals = run.engine:totals(), steps = {} }
    for i = 1, #options.steps do last.steps[i] = { retry = run.waits } end
    return advisor.judge(window.of(nil, last, setting_of(options)))
  end

  local function assert_limit(limit, step, verdict)
    assert.same({ limit, step }, { verdict.limit, verdict.step }, verdict.text)
    assert.is_truthy(verdict.text:find "%d")
    assert.is_truthy(next(verdict.evidence))
    return verdict
  end

  -- A run whose workers are there: nothing is read before, so none of the time that is judged is that of their start.
  local function ready(options)
    local run = fixture.new(options):start()
    run:turn_until(function()
      for pool, processes in ipairs(options.pools or { 1 }) do
        for index = 0, processes - 1 do
          if not run.engine:worker_pid(pool - 1, index) then return false end
        end
      end
      return true
    end, "all workers")
    return run
  end

  -- Reads `count` messages as fast as the pipeline takes them.
  local function backlog(options, value, count)
    local run = ready(options)
    C.tide_memory_discard(run.sink)
    C.tide_memory_repeat(run.source, count)
    for _ = 1, 100 do run:push(value) end
    run.turn = 0.05
    assert.equal("done", run:finish().kind)
    return judge(run, options)
  end

  -- Messages come at a rate, for `seconds`. first, last: called with the run before and after that.
  local function live(options, rate, seconds, first, last)
    local run = ready(options)
    local pushed, since = 0, wait.now()
    if first then first(run) end
    while wait.now() < since + seconds do
      local due = math.floor((wait.now() - since) * rate)
      for _ = pushed + 1, due do run:push "x" end
      pushed = due
      run.engine:run(0.005)
    end
    if last then last(run) end
    run:finish()
    return judge(run, options)
  end

  it("is batch_size where each batch is one message", function()
    local verdict = backlog({ steps = { { identity, max_batch_size = 1, eager = false } } }, "x", 10000)
    assert_limit("batch_size", 1, verdict)
    assert.same({ step = 1, option = "max_batch_size", from = 1, to = 2 }, verdict.change)
    assert.equal("now", verdict.procedure[2].state)
  end)

  it("is batch_time where messages wait for their batch to close, and no worker has one", function()
    local options = { steps = { { identity, max_batch_time = 0.4, eager = false } } }
    assert.equal("eager", assert_limit("batch_time", 1, live(options, 200, 1)).change.option)
  end)

  it("is input_block where two messages fill it, and is mended before the batch and the output block", function()
    local verdict = backlog({ steps = { { identity, eager = false, auto = false, input_block_size = 64 * KIB } } },
      ("x"):rep(30000), 10000)
    assert_limit("input_block", 1, verdict)
    assert.same({ "now", "later", "later", "later" }, { verdict.procedure[1].state, verdict.procedure[2].state,
      verdict.procedure[3].state, verdict.procedure[4].state })
  end)

  it("is output_block where two results fill it", function()
    local expand = function(message) return message.value:rep(10) end
    local options = { pools = { 2 }, steps = { { expand, max_batch_size = 50, eager = false, auto = false,
      input_block_size = 4 * MIB, output_block_size = 64 * KIB } } }
    assert_limit("output_block", 1, backlog(options, ("x"):rep(3000), 2000))
  end)

  it("is workers where the functions compute, and there are as many as cores", function()
    local options = { pools = { 2 }, steps = { { compute, max_batch_size = 20, eager = false } } }
    local verdict = assert_limit("workers", 1, backlog(options, "x", 300))
    assert.is_truthy(verdict.text:find("compute", 1, true), verdict.text)
    assert.is_nil(verdict.change)
  end)

  it("is workers where the functions wait, and more processes than cores are advised", function()
    local options = { pools = { 2 }, steps = { { function(message)
      sleep(50) -- far longer than it waits for a core of a busy machine behind that
      return message
    end, max_batch_size = 4, eager = false } } }
    local verdict = assert_limit("workers", 1, backlog(options, "x", 40))
    assert.is_truthy(verdict.text:find("wait", 1, true), verdict.text)
    assert.same({ step = 1, option = "processes", from = 2, to = 4 }, verdict.change)
  end)

  it("is workers of the second step, where the first one waits for it", function()
    local options = { pools = { 1, 1 }, steps = { { identity, max_batch_size = 10, eager = false, pool = 0 },
      { compute, max_batch_size = 10, eager = false, pool = 1 } } }
    assert_limit("workers", 2, backlog(options, "x", 200))
  end)

  -- 150 messages in each of three batches: a lag of 3 s, of which 1.4 s are in batches at once, is gone long before the
  -- end. Its mean is below half a second of reading.
  it("is workers where a backlog of 3 s was read into batches long before it was run", function()
    local options = { source = "kafka", steps = { { function(message)
      sleep(3)
      return message
    end, max_batch_size = 150, eager = false } } }
    assert_limit("workers", 1, backlog(options, "x", 1000))
  end)

  it("is workers of the step that has them most, where two steps share them", function()
    local options = { pools = { 2 }, steps = { { identity, max_batch_size = 10, eager = false },
      { compute, max_batch_size = 10, eager = false } } }
    local verdict = assert_limit("workers", 2, backlog(options, "x", 200))
    assert.is_truthy(verdict.text:find("2 processes of a pool (steps 1, 2; step 2 has them", 1, true), verdict.text)
  end)

  it("is script where one partition waits for tide.retry, while the others keep up; it is named", function()
    local mended = os.tmpname()
    os.remove(mended)
    finally(function() os.remove(mended) end)
    local options = { partitions = 2, source = "kafka", steps = { { function(message)
      return message.value == "down" and not io.open(mended) and tide.retry "down" or message
    end } } }
    local verdict = live(options, 200, 1, function(run)
      run:push { value = "down", partition = 1 }
    end, function(run)
      run.waits = run.engine:retry_wait(1)
      assert(io.open(mended, "w")):close()
    end)
    assert_limit("script", 1, verdict)
    assert.is_truthy(verdict.text:find("(tide.retry): in/1, at offset 0, for ", 1, true), verdict.text)
  end)

  it("is script where one message in a hundred is slow", function()
    local seen = 0
    local options = { pools = { 2 }, steps = { { function(message)
      seen = seen + 1
      if seen % 100 == 0 then sleep(250) end
      return message
    end, max_batch_size = 10, eager = false } } }
    assert_limit("script", 1, backlog(options, "x", 600))
  end)

  it("is next_step where the output takes nothing for most of the time, and fewer processes would do", function()
    local options = { pools = { 2 }, steps = { { identity, max_batch_size = 100, eager = false } } }
    local run = ready(options)
    C.tide_memory_discard(run.sink)
    C.tide_memory_repeat(run.source, 10000)
    for _ = 1, 100 do run:push "x" end
    C.tide_memory_end(run.source)
    repeat
      local till = wait.now() + 0.05
      C.tide_memory_block(run.sink, true)
      while wait.now() < till do run.engine:run(0.01) end
      C.tide_memory_block(run.sink, false)
    until run.engine:run(0).kind == "done"
    local verdict = assert_limit("next_step", nil, judge(run, options))
    assert.same({ step = 1, option = "processes", from = 2, to = 1 }, verdict.change)
  end)

  it("is next_step where all is read, no step is full, and results wait for the output", function()
    local options = { pools = { 2 }, steps = { { identity, max_batch_size = 100, eager = false } } }
    local run = ready(options)
    C.tide_memory_block(run.sink, true)
    for _ = 1, 100 do run:push "x" end
    C.tide_memory_end(run.source)
    run:turn_until(function() return run.engine:counter(0, C.TIDE_M_PRODUCER_FULL_TIME).count > 0 end, "a full output")
    local till = wait.now() + 0.5
    while wait.now() < till do run.engine:run(0.01) end
    C.tide_memory_block(run.sink, false)
    run:finish()
    assert_limit("next_step", nil, judge(run, options))
  end)

  it("is engine where its thread has most of the work", function()
    local options = { steps = { { function() return nil end, max_batch_size = 10000, eager = false } } }
    assert_limit("engine", nil, backlog(options, ("x"):rep(100), 3000000))
  end)

  it("is source where the writer of a pipe is slow; the log ends with it, and doctor says it of the report", function()
    local path, folder = pipeline_file.write [[
      local tide = require "tidemill"
      return tide.pipeline "slow" { tide.file_source { path = "-" },
        tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
        tide.file_sink { path = "/dev/null" } }
    ]]
    local report = folder .. "/report.json"
    local code, _, err = process.run { "sh", "-c",
      ("for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.1; done | %s run %s --report %s"):format(program.path, path,
        report) }
    assert.equal(0, code)
    assert.is_truthy(err:find("the source is the limit: for %d+ %% of the time there was nothing to read[^\n]*\n$"),
      err)
    local _, out = process.run { program.path, "doctor", report }
    assert.is_truthy(out:find("^limit: source\n"), out)
  end)

  it("is none where it keeps up with what comes", function()
    local options = { pools = { 2 }, steps = { { identity } } }
    local verdict = assert_limit("none", nil, live(options, 200, 1))
    assert.is_nil(verdict.advice)
    for _, row in ipairs(verdict.procedure) do assert.equal("done", row.state, row.name) end
  end)
end)
