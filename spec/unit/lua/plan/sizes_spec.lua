-- SPDX-License-Identifier: MIT
local plan = require "tidemill.plan.plan"
local sizes = require "tidemill.plan.sizes"
local files = require "spec.support.pipeline_file"

local MIB = 2 ^ 20

-- A plan of steps (text), with settings (text).
local function planned(steps, settings)
  local path = files.write(('local tide = require "tidemill"\nreturn tide.pipeline "p" {\n'
    .. 'tide.file_source { path = "/dev/null" },\n%s, %s }\n'):format(steps, settings or ""))
  return plan.load(path, { memory = 1 })
end

local function task(options)
  return "tide.run_task_with_multiprocessing { print, " .. options .. " }"
end

-- What all blocks may take together, in whole pages.
local function memory_of(tables)
  local sum = 0
  for _, step in ipairs(tables.steps) do
    local batches = tables.pools[step.pool + 1] * (1 + step.prefetch_batches) + 1
    for _, side in ipairs { "input", "output" } do
      sum = sum + batches * math.ceil((step["max_" .. side .. "_block_size"] + 128) / 4096) * 4096
    end
  end
  return sum
end

describe("sizes of a plan", function()
  it("a number of processes is a range of one", function()
    assert.same({ auto = false, min = 3, max = 3, begin = 3 }, sizes.processes(3))
  end)

  it("automatic processes begin with the processors, and have room for four each, 16 at least", function()
    assert.same({ auto = true, min = 2, max = 16, begin = 2 }, sizes.processes("auto", 2))
    assert.same({ auto = true, min = 32, max = 128, begin = 32 }, sizes.processes("auto", 32))
    assert.same({ auto = true, min = 400, max = 512, begin = 400 }, sizes.processes("auto", 400))
  end)

  it("a table gives the range of automatic processes", function()
    assert.same({ auto = true, min = 2, max = 3, begin = 2 }, sizes.processes({ max = 3 }, 2))
    assert.same({ auto = true, min = 2, max = 2, begin = 2 }, sizes.processes({ max = 2 }, 8))
    assert.same({ auto = true, min = 20, max = 20, begin = 20 }, sizes.processes({ min = 20 }, 2))
    assert.same({ auto = true, min = 1, max = 9, begin = 4 }, sizes.processes({ min = 1, max = 9 }, 4))
  end)

  it("all sizes are automatic unless a pipeline gives them", function()
    local tables = planned("tide.run_task_with_multiprocessing { print }").tables
    assert.same({ max_batch_size = true, max_batch_time = true, input_block_size = true, output_block_size = true },
      tables.automatic[1])
    assert.same({ true, 1000, 1e6 }, { tables.steps[1].auto_batch, tables.steps[1].max_batch_size,
      tables.steps[1].max_batch_time_us })
    tables = planned(task "max_batch_size = 7, max_batch_time = '2s', processes = 3").tables
    assert.same({ max_batch_size = false, max_batch_time = false, input_block_size = true, output_block_size = true },
      tables.automatic[1])
    assert.same({ false, 7, 2e6, 3, 3 }, { tables.steps[1].auto_batch, tables.steps[1].max_batch_size,
      tables.steps[1].max_batch_time_us, tables.pools[1], tables.pools_begin[1] })
  end)

  it("a step that is not eager fills its batches to the largest automatic size", function()
    local step = planned(task "eager = false").tables.steps[1]
    assert.same({ false, 1000 }, { step.auto_batch, step.max_batch_size })
  end)

  it("each step with workers has an equal share of target_latency, a quarter of it to fill a batch", function()
    local steps = planned(task "processes = 1" .. "," .. task "max_batch_time = '3s'",
      "target_latency = '400ms'").tables.steps
    assert.same({ 2e5, 5e4 }, { steps[1].latency_us, steps[1].max_batch_time_us })
    assert.same({ 2e5, 3e6 }, { steps[2].latency_us, steps[2].max_batch_time_us })
  end)

  it("memory_limit holds for the largest sizes of all blocks together", function()
    for _, limit in ipairs { 2, 5, 64, 300 } do
      local made = assert(planned(task "processes = 2" .. ", tide.batch { max_batch_size = 10 },"
        .. task "processes = { min = 1, max = 40 }", ("memory_limit = '%dMiB'"):format(limit)))
      assert.is_true(memory_of(made.tables) <= limit * MIB, limit .. " MiB: " .. memory_of(made.tables))
      assert.is_true(memory_of(made.tables) > limit * MIB * 0.5)
    end
  end)

  it("an automatic number of processes is kept low enough for messages of 1 MB", function()
    local tables = planned(task "processes = { min = 1, max = 64 }", "memory_limit = '64MiB'").tables
    assert.is_true(tables.steps[1].max_input_block_size > MIB)
    assert.is_true(tables.pools[1] > 10 and tables.pools[1] < 20, tostring(tables.pools[1]))
  end)

  it("maxima of blocks that the pipeline gives stay, and the others share what is left", function()
    local step = planned(task "processes = 1, max_input_block_size = '8MiB'", "memory_limit = '32MiB'").tables.steps[1]
    assert.equal(8 * MIB, step.max_input_block_size)
    assert.is_true(step.max_output_block_size < 3 * MIB and step.max_output_block_size > 2 * MIB)
  end)

  it("blocks of a given size keep it as their maximum under a memory_limit", function()
    local step = planned(task "processes = 1, input_block_size = '1MiB', output_block_size = '2MiB'",
      "memory_limit = '10MiB'").tables.steps[1]
    assert.same({ MIB, MIB, 2 * MIB, 2 * MIB }, { step.input_block_size, step.max_input_block_size,
      step.output_block_size, step.max_output_block_size })
    local _, texts = planned(task "processes = 1, input_block_size = '1MiB', output_block_size = '2MiB'",
      "memory_limit = '8MiB'")
    assert.is_truthy(texts[1]:find("too small for the 6 blocks of its batches, which need 9240KiB", 1, true), texts[1])
  end)

  it("a memory_limit that is too small is refused with what is needed", function()
    local made, texts, status = planned(task "processes = 8, max_input_block_size = '8MiB'", "memory_limit = '32MiB'")
    assert.is_nil(made)
    assert.equal(78, status)
    assert.is_truthy(texts[1]:find('option "memory_limit" = 32MiB: too small for the 34 blocks of its batches, '
      .. 'which need', 1, true), texts[1])
  end)
end)
