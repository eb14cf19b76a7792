-- SPDX-License-Identifier: MIT
-- How the supervisor of several engines numbers their reloads.
local reloads = require "tidemill.cli.engines.reloads"

describe("the reloads of several engines", function()
  local all, one, other

  before_each(function()
    all, one, other = reloads.new(), {}, {}
    all:starts(one, 1000)
    all:starts(other, 1000)
  end)

  -- What an engine's snapshot tells of its own last reload comes to tell of that of all.
  local function take(engine, own, outcome)
    local seen = { reload = { state = "none", last = own and { number = own, outcome = outcome or "done" } } }
    all:take(engine, seen)
    return seen.reload.last
  end

  it("the reloads of several engines have the numbers of each engine's own count in its first life", function()
    assert.is_nil(take(one))
    all:order()
    assert.same({ number = 1, outcome = "failed" }, take(one, 1, "failed"))
    assert.is_nil(take(other))
    assert.same({ 1, 0, 1 }, { one.reloaded, other.reloaded, all.number })
  end)

  it("the reloads of several engines are done for one that starts behind them, and its count goes on there", function()
    all:order()
    take(one, 1)
    all:order()
    assert.equal(0, other.reloaded or 0) -- it was lost, and comes to them by its start
    all:starts(other, 2000)
    assert.same({ number = 2, outcome = "done", time = 2000 }, take(other))
    assert.equal(2, take(one, 2).number)
    all:order()
    assert.equal(2, take(other).number)
    assert.same({ 3, 3 }, { take(other, 1).number, take(one, 3).number })
  end)

  it("the reloads of several engines include those by which an engine that was not told has changed", function()
    take(one, 1, "unchanged")
    take(other, 1)
    all:starts(other, 2000)
    assert.equal(1, take(other).number)
    all:order()
    assert.same({ 2, 2 }, { take(one, 2).number, take(other, 1).number })
  end)

  it("the reloads of several engines are left alone in a snapshot that has none", function()
    all:take(one, {})
    assert.is_nil(one.reloaded)
  end)
end)
