-- SPDX-License-Identifier: MIT
local files = require "spec.house.files"
local list = require "tidemill.metrics.list"

describe("the metric list", function()
  it("the metric list names every counter of the engine once", function()
    local constants, listed = {}, {}
    for constant in files.read("engine/shm/counters.h"):gmatch("(TIDE_M_[%u%d_]+),") do
      constants[#constants + 1] = constant
    end
    for i, metric in ipairs(list) do listed[i] = metric.counter end
    table.sort(constants)
    table.sort(listed)
    assert.same(constants, listed)
  end)

  it("the metric list has each name once, with kind, unit and help", function()
    local seen = {}
    for _, metric in ipairs(list) do
      local name = list.full_name(metric)
      assert.is_nil(seen[name], name)
      seen[name] = true
      assert.is_truthy(({ counter = true, gauge = true, histogram = true })[metric.kind], name)
      assert.is_string(metric.unit, name)
      assert.is_truthy(metric.help:find("%.$"), name)
    end
  end)

  it("the metric list has all that Arroyo names", function()
    local names = {}
    for _, metric in ipairs(list) do names[metric.name] = true end
    for _, name in ipairs { "batch.size.msg", "batch.size.bytes", "output_batch.size.msg", "output_batch.size.bytes",
      "batch.submit.time", "batch.backpressure", "batch.input.overflow", "batch.output.overflow", "batch.input.resize",
      "batch.output.resize", "batches_in_progress", "processes", "pool.create" } do
      assert.is_true(names["strategies.run_task_with_multiprocessing." .. name], name)
    end
  end)
end)
