-- SPDX-License-Identifier: MIT
local settings = require "tidemill.tuning.settings"

local function step(values, pool)
  values.pool = pool and { values = pool, declaration = { line = 2 } } or nil
  return { name = "run_task_with_multiprocessing", given = {}, spec = { role = "multiprocessing" }, values = values,
    declaration = { file = "p.lua", line = 4 } }
end

local function values(changes)
  local made = { max_batch_size = 10, max_batch_time = 5e5, input_block_size = 65536, output_block_size = "auto",
    max_input_block_size = 2 ^ 20, max_output_block_size = 2 ^ 20, processes = 3, prefetch_batches = 2 }
  for name, value in pairs(changes or {}) do made[name] = value end
  return made
end

describe("the settings of a step", function()
  it("are those of the file, and numbers to begin with where these are automatic", function()
    assert.same({ max_batch_size = 10, max_batch_time = 5e5, input_block_size = 65536, output_block_size = "auto",
      processes = 3, prefetch_batches = 2 }, settings.of(step(values())))
    local begin = settings.of(step(values { max_batch_size = "auto", max_batch_time = { max = 1000 },
      processes = "auto" }))
    assert.same({ 1000, 1000 }, { begin.max_batch_size, begin.max_batch_time })
    assert.is_true(begin.processes >= 1)
    assert.equal(6, settings.of(step(values { processes = false }, { processes = 6 })).processes)
  end)

  it("begin within the range of automatic processes, and the search stays below its maximum", function()
    local ranged = step(values { processes = { min = 40, max = 50 } })
    assert.same({ 40, 50 }, { settings.of(ranged).processes, settings.most_processes(ranged) })
    assert.equal(1, settings.most_processes(step(values { processes = { max = 1 } })))
    assert.equal(300, settings.most_processes(step(values { processes = false }, { processes = 300 })))
  end)

  it("have the processes of a shared pool in common", function()
    local pool = { processes = 2 }
    local steps = { step(values { processes = false }, pool), step(values()), step(values { processes = false }, pool) }
    steps[3].values.pool = steps[1].values.pool
    local list = {}
    for i, one in ipairs(steps) do list[i] = settings.of(one) end
    local before = list[3]
    settings.put(list, steps, 1, { processes = 7, max_batch_size = 99 })
    assert.same({ 7, 3, 7, 10 }, { list[1].processes, list[2].processes, list[3].processes, list[3].max_batch_size })
    assert.equal(2, before.processes)
  end)

  it("are put into the step, or into its pool, and raise the maximum of a block", function()
    local wanted = { max_batch_size = 20, max_batch_time = 1e6, input_block_size = 2 ^ 21, output_block_size = "auto",
      processes = 5, prefetch_batches = 0 }
    local one = step(values())
    settings.apply(one, wanted)
    assert.same({ 20, 2 ^ 21, 2 ^ 21, 2 ^ 20, 5 }, { one.values.max_batch_size, one.values.input_block_size,
      one.values.max_input_block_size, one.values.max_output_block_size, one.values.processes })
    local shared = step(values(), { processes = 1 })
    settings.apply(shared, wanted)
    assert.equal(5, shared.values.pool.values.processes)
  end)

  it("are written as a pipeline file has them", function()
    local wanted = { max_batch_size = 20, max_batch_time = 5e5, input_block_size = 2 ^ 21, output_block_size = "auto",
      processes = 5, prefetch_batches = 0 }
    assert.same({ "-- p.lua:4, tide.run_task_with_multiprocessing { ... }", 'input_block_size = "2MiB",',
      "max_batch_size = 20,", 'max_batch_time = "500ms",', 'output_block_size = "auto",', "processes = 5,",
      "prefetch_batches = 0," }, settings.lines(step(values()), wanted))
    assert.equal("-- and in line 2, tide.pool { ... }: processes = 5",
      settings.lines(step(values(), { processes = 1 }), wanted)[6])
  end)
end)
