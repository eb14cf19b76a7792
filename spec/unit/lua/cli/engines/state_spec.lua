-- SPDX-License-Identifier: MIT
-- What becomes of an engine, and of the others, when its process ends. Times are arguments: nothing waits.
local state = require "tidemill.cli.engines.state"

local KILLED, SEGV = 9, 11 -- statuses of waitpid

local function exited(code) return code * 256 end

local function running(at)
  local one = state.new(1)
  one:start()
  one:reads(at or 0)
  return one
end

describe("an engine of several", function()
  it("an engine of several starts again after half a second when it is killed, and the others go on", function()
    local one = running()
    assert.equal("again", (one:ended(KILLED, 10)))
    assert.same({ "BACKOFF", 1, KILLED, 137 }, { one.state, one.losses, one.signal, one.code })
    assert.is_false(one:is_due(10.4))
    assert.is_true(one:is_due(10.5))
    one:start()
    assert.same({ "STARTING", 2 }, { one.state, one.life })
  end)

  it("an engine of several waits twice as long before each further start, up to half a minute", function()
    local one, pauses, time = running(), {}, 0
    for i = 1, 9 do
      assert.equal("again", (one:ended(SEGV, time)))
      pauses[i] = one.due - time
      time = one.due
      one:start()
      one:reads(time)
      time = time + 1
    end
    assert.same({ 0.5, 1, 2, 4, 8, 16, 30, 30, 30 }, pauses)
  end)

  it("an engine of several that has read for ten seconds begins with the shortest pause", function()
    local one = running()
    one:ended(KILLED, 0)
    one:start()
    one:reads(100)
    one:ended(KILLED, 110)
    assert.equal(0.5, one.due - 110)
  end)

  it("an engine of several that gives up for now, or has a bug, starts again", function()
    for _, code in ipairs { 75, 70 } do
      local one = running()
      assert.equal("again", (one:ended(exited(code), 0)))
    end
  end)

  it("an engine of several ends all with its code where starting again would not help", function()
    for _, code in ipairs { 64, 65, 66, 76, 78 } do
      local one = running()
      local outcome, of_all = one:ended(exited(code), 0)
      assert.same({ "all", code, "ENDED" }, { outcome, of_all, one.state })
    end
  end)

  it("an engine of several that does not reach the brokers ends all at its first start, and not later", function()
    local one = state.new(1)
    one:start()
    local outcome, code = one:ended(exited(69), 0)
    assert.same({ "all", 69 }, { outcome, code })
    one = running()
    one:ended(KILLED, 0)
    one:start()
    assert.equal("again", (one:ended(exited(69), 1)))
  end)

  it("an engine of several that five times in a row does not come to read ends all", function()
    local one = state.new(1)
    for _ = 1, state.MOST - 1 do
      one:start()
      assert.equal("again", (one:ended(exited(70), 0)))
    end
    one:start()
    local outcome, code = one:ended(exited(70), 0)
    assert.same({ "all", 70, "ENDED" }, { outcome, code, one.state })
    one = state.new(1)
    for _ = 1, state.MOST do
      one:start()
      outcome, code = one:ended(KILLED, 0)
    end
    assert.same({ "all", 75 }, { outcome, code })
  end)

  it("an engine of several whose input has ended is not started again", function()
    local one = running()
    assert.equal("done", (one:ended(exited(0), 0)))
    assert.equal("ENDED", one.state)
  end)

  it("an engine of several that is stopped is done however it ends", function()
    for _, status in ipairs { exited(0), exited(78), KILLED } do
      local one = running()
      assert.is_true(one:stop())
      assert.equal("STOPPING", one.state)
      assert.is_false(one:stop())
      assert.equal("done", (one:ended(status, 0)))
      assert.equal("ENDED", one.state)
    end
  end)

  it("an engine of several that ends for a renewed certificate starts again, and has done well when all end", function()
    local one = running()
    assert.equal("again", (one:ended(exited(state.RENEWED), 0)))
    assert.equal(75, one.code)
    for renewed, code in pairs { [state.RENEWED] = 0, [75] = 75 } do
      one = running()
      one:stop()
      assert.equal("done", (one:ended(exited(renewed), 0)))
      assert.same({ "ENDED", code }, { one.state, state.code_of_all { one } })
    end
  end)

  it("an engine of several that has no process is at its end at once when all are stopped", function()
    local one = state.new(1)
    assert.is_false(one:stop())
    assert.equal("ENDED", one.state)
    one = running()
    one:ended(KILLED, 0)
    assert.is_false(one:stop())
    assert.same({ "ENDED", 0 }, { one.state, state.code_of_all { one } })
  end)

  it("an engine of several that could not be forked is tried again", function()
    local one = running()
    assert.equal("again", (one:ended(nil, 0)))
    assert.equal(75, one.code)
  end)
end)

describe("the exit code of several engines", function()
  local function stopped(status)
    local one = running()
    one:stop()
    one:ended(status, 0)
    return one
  end

  it("the exit code of several engines is 0 when all end in order", function()
    assert.equal(0, state.code_of_all { stopped(exited(0)), stopped(exited(0)) })
  end)

  it("the exit code of several engines is that of the first that does not, 75 for one that is killed", function()
    assert.equal(65, state.code_of_all { stopped(exited(0)), stopped(exited(65)), stopped(exited(78)) })
    assert.equal(75, state.code_of_all { stopped(KILLED), stopped(exited(65)) })
  end)

  it("the exit code of several engines is that of the signal when none had begun to read", function()
    local one = state.new(1)
    one:start()
    one:stop()
    one:ended(exited(143), 0)
    assert.equal(143, state.code_of_all { one })
    assert.equal(0, state.code_of_all { stopped(exited(0)), one })
  end)
end)
