-- SPDX-License-Identifier: MIT
local processes = require "tidemill.tuning.processes"

local BEFORE = "cpu  1000 0 500 8000 500 0 0 0 0 0\ncpu0 500 0 250 4000 250 0 0 0 0 0\n"
  .. "cpu1 500 0 250 4000 250 0 0 0 0 0\nintr 1\n"
local AFTER = "cpu  1080 10 520 8040 520 5 5 20 70 0\ncpu0 1 1 1 1 1 1 1 1 1 1\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 1\n"

describe("what is known of the machine's processors", function()
  it("tells what others used and what the host kept back", function()
    local before, after = processes.machine(BEFORE), processes.machine(AFTER)
    assert.same({ all = 10000, used = 1500, stolen = 0, count = 2 }, before)
    local others, stolen = processes.others(before, after, 0.5)
    assert.near(120 / 200 - 0.25, others, 1e-9)
    assert.near(20 / 200, stolen, 1e-9)
  end)

  it("is never below nothing, and nothing where no time has passed or the kernel does not say", function()
    local before, after = processes.machine(BEFORE), processes.machine(AFTER)
    assert.equal(0, (processes.others(before, after, 2)))
    assert.same({ 0, 0 }, { processes.others(before, before, 0) })
    assert.same({ 0, 0 }, { processes.others(processes.machine(""), processes.machine(""), 1) })
  end)

  it("reads this machine", function()
    local machine = processes.machine()
    assert.is_true(machine.count >= 1 and machine.all >= machine.used and machine.used > 0)
  end)
end)
