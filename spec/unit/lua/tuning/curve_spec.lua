-- SPDX-License-Identifier: MIT
-- What a curve through rates says, on points whose curve is known.
local curve = require "tidemill.tuning.curve"
local seeds = require "spec.support.seed"

local SIZES = { 4, 16, 64, 256, 1024 }

local function rate_of(size, of_batch, of_size)
  return 1 / (1e-5 + of_batch / size + of_size * size)
end

local function points_of(of_batch, of_size, noise, sizes)
  local points = {}
  for i, size in ipairs(sizes or SIZES) do
    points[i] = { value = size, rate = rate_of(size, of_batch, of_size) * (noise and noise() or 1) }
  end
  return points
end

describe("a curve through the rates at several sizes of a batch", function()
  it("finds what was put into it", function()
    local fitted = curve.fit(points_of(2e-4, 5e-8))
    assert.near(1e-5, fitted.constant, 1e-9)
    assert.near(2e-4, fitted.of_batch, 1e-9)
    assert.near(5e-8, fitted.of_size, 1e-13)
    assert.near(math.sqrt(2e-4 / 5e-8), curve.best(points_of(2e-4, 5e-8)), 0.01)
  end)

  it("points to the largest size where size costs nothing, and to the least where batches cost nothing", function()
    assert.equal(1024, curve.best(points_of(2e-4, 0)))
    assert.equal(4, curve.best(points_of(0, 5e-8)))
  end)

  it("says nothing of fewer than three sizes, of sizes without a rate, or where all are as fast", function()
    assert.is_nil(curve.best { { value = 1, rate = 10 }, { value = 2, rate = 20 }, { value = 2, rate = 21 } })
    assert.is_nil(curve.best { { value = 1, rate = 10 }, { value = 2, rate = 20 }, { value = 3, rate = 0 } })
    assert.is_nil(curve.best {})
  end)

  it("is misled less by noise than the best of the points is", function()
    local seed = seeds.draw()
    local by_curve, by_points = 0, 0
    local function noise() return 1 + 0.4 * (math.random() + math.random() - 1) end
    for _ = 1, 300 do
      local points = points_of(2e-4, 5e-8, noise, { 8, 16, 32, 64, 128, 256, 512 })
      table.sort(points, function(a, b) return a.rate > b.rate end)
      by_curve = by_curve + rate_of(curve.best(points), 2e-4, 5e-8)
      by_points = by_points + rate_of(points[1].value, 2e-4, 5e-8)
    end
    assert(by_curve > by_points, ("curve %.0f, points %.0f, seed %d"):format(by_curve, by_points, seed))
  end)

  it("tells the size beyond which larger ones gain less than 1 %", function()
    assert.near(2e-4 / 1e-5 / 0.01, curve.knee(points_of(2e-4, 0)), 1)
    assert.is_nil(curve.knee { { value = 1, rate = 10 } })
  end)
end)
