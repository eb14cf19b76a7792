-- SPDX-License-Identifier: MIT
local metrics = require "tidemill.metrics"
local testing = require "tidemill.testing"
local tide = require "tidemill"

describe("the number of processes", function()
  after_each(testing.close)

  it("counts those that several steps share once", function()
    local pool = tide.pool { processes = 2 }
    local function step(options)
      options[1] = function(message) return message end
      return tide.run_task_with_multiprocessing(options)
    end
    local test = testing.steps { step { pool = pool }, step { pool = pool }, step { processes = 1 } }
    test:feed "one"
    assert.equal(3, metrics.processes(test.engine, test.plan))
    assert.equal(5, metrics.steps_gauge(test.engine, test.plan, "TIDE_M_PROCESSES"))
  end)
end)
