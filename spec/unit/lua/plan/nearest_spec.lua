-- SPDX-License-Identifier: MIT
local nearest = require "tidemill.plan.nearest"

describe("the nearest name", function()
  local names = { "max_batch_size", "max_batch_time", "processes", "topic", "run_task_with_multiprocessing" }

  it("the nearest name allows for letters left out, put in, changed and swapped", function()
    for written, meant in pairs { max_bach_size = "max_batch_size", max_batch_tiem = "max_batch_time",
      proceses = "processes", topci = "topic", topics = "topic", Topic = "topic",
      run_task = "run_task_with_multiprocessing" } do
      assert.equal(meant, nearest.name(written, names), written)
    end
  end)

  it("the nearest name is none when nothing is near", function()
    assert.is_nil(nearest.name("colour", names))
    assert.is_nil(nearest.name("", names))
    assert.equal("", nearest.hint("colour", names))
    assert.equal('; did you mean "topic"?', nearest.hint("tpic", names))
  end)
end)
