-- SPDX-License-Identifier: MIT
local race = require "tidemill.tuning.race"

-- Runs a race over fixed rates; returns the winner and the order in which candidates were measured.
local function run(rates, options)
  local order, list = {}, {}
  for i in ipairs(rates) do list[i] = i end
  local winner = race.run(list, function(i)
    if options and options.most and #order == options.most then return nil end
    order[#order + 1] = i
    return { rate = type(rates[i]) == "function" and rates[i](#order) or rates[i],
      cpu = options and options.cpus and options.cpus[i] }
  end, options)
  return winner, table.concat(order, " ")
end

describe("a race of settings", function()
  it("measures all in turn, in an order that is reversed from round to round", function()
    assert.same({ 2, "1 2 3 3 2 1 2 3" }, { run { 100, 103, 102 } })
  end)

  it("leaves out those that are clearly slower", function()
    assert.same({ 1, "1 2 3" }, { run { 100, 50, 60 } })
  end)

  it("gives equal ones to the first, which is the cheapest", function()
    assert.equal(1, (run { 100, 100.5, 100.9 }))
    assert.equal(2, (run { 100, 102.5, 102.6 }))
  end)

  it("is not misled by a machine that becomes slower meanwhile", function()
    local function falling(rate) return function(count) return rate * 0.93 ^ count end end
    assert.equal(2, (run({ falling(100), falling(108) }, { rounds = 4 })))
  end)

  it("compares by processor time what the noise hides", function()
    assert.equal(3, (run({ 100, 100, 100 }, { noise = function() return 0.3 end, cpus = { 3, 2.5, 2 } })))
    assert.equal(1, (run({ 100, 100, 100 }, { noise = function() return 0.02 end, cpus = { 3, 2.5, 2 } })))
  end)

  it("takes rates that are known as its first round", function()
    assert.same({ 2, "2 1 1 2" }, { run({ 100, 103 }, { known = { { rate = 100 }, { rate = 103 } } }) })
  end)

  it("ends with what is known when there are no more measurements, or without a winner", function()
    assert.equal(2, (run({ 100, 103 }, { most = 3 })))
    assert.is_nil((run({ 100, 103 }, { most = 1 })))
  end)
end)
