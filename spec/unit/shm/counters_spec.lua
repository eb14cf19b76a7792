-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local child = require "spec.support.child"
local C = require("tidemill.run.ffi").C

local counters

local function get(metric, row)
  return C.tide_counters_get(counters, row or 0, metric)
end

local function quantile(share)
  return C.tide_counter_quantile(get(C.TIDE_M_LATENCY), share)
end

local function observe(value)
  C.tide_observe(counters, 0, C.TIDE_M_LATENCY, value)
end

-- The sample of which `share` lies below, by sorting.
local function exact(values, share)
  local index = math.floor(share * #values)
  return values[math.min(index, #values - 1) + 1]
end

describe("counters", function()
  before_each(function() counters = ffi.gc(C.tide_counters_new(3), C.tide_counters_free) end)
  after_each(child.stop_all)

  it("counters have the rows asked for, all at nothing", function()
    assert.equal(3, C.tide_counters_rows(counters))
    for row = 0, 2 do
      for metric = 0, C.TIDE_M_COUNT - 1 do assert.equal(0, tonumber(get(metric, row).count)) end
    end
    assert.equal(0, quantile(0.5))
  end)

  it("counters count by row and metric", function()
    C.tide_count(counters, 1, C.TIDE_M_POOL_CREATE, 2)
    C.tide_count(counters, 1, C.TIDE_M_POOL_CREATE, 3)
    assert.equal(5, tonumber(get(C.TIDE_M_POOL_CREATE, 1).count))
    assert.equal(0, tonumber(get(C.TIDE_M_POOL_CREATE, 0).count))
    assert.equal(0, tonumber(get(C.TIDE_M_PROCESSES, 1).count))
  end)

  it("counters keep count, sum, least, most and last of what is observed", function()
    for _, value in ipairs { 4, -2, 9, 1 } do observe(value) end
    local seen = get(C.TIDE_M_LATENCY)
    assert.same({ 4, 12, -2, 9, 1 }, { tonumber(seen.count), seen.sum, seen.min, seen.max, seen.last })
  end)

  it("counters take one value many times in one call, and none in none", function()
    C.tide_observe_many(counters, 0, C.TIDE_M_LATENCY, 99, 0)
    C.tide_observe_many(counters, 0, C.TIDE_M_LATENCY, 2, 1000)
    local seen = get(C.TIDE_M_LATENCY)
    assert.same({ 1000, 2000, 2, 2 }, { tonumber(seen.count), seen.sum, seen.min, seen.max })
    assert.equal(2, quantile(0.5))
  end)

  it("counters are seen by another process while they grow", function()
    local code = child.run(function()
      C.tide_count(counters, 2, C.TIDE_M_RUN_COUNT, 7)
    end)
    assert.equal(0, code)
    assert.equal(7, tonumber(get(C.TIDE_M_RUN_COUNT, 2).count))
  end)

  it("counters end the process on a row or a metric that is not there", function()
    assert.is_nil((child.run(function() C.tide_count(counters, 3, C.TIDE_M_POOL_CREATE, 1) end)))
    assert.is_nil((child.run(function() C.tide_count(counters, 0, C.TIDE_M_COUNT, 1) end)))
  end)
end)

describe("a quantile", function()
  before_each(function() counters = ffi.gc(C.tide_counters_new(1), C.tide_counters_free) end)

  local spreads = {
    ["uniform seconds"] = function() return math.random() end,
    ["exponential microseconds"] = function() return -math.log(1 - math.random()) * 50e-6 end,
    ["sizes over nine powers of ten"] = function() return 10 ^ (math.random() * 9) end,
    ["batches of up to 1,000"] = function() return math.random(1, 1000) end,
  }
  for name, draw in pairs(spreads) do
    it("a quantile is good to 19 % for " .. name, function()
      math.randomseed(7)
      local values = {}
      for i = 1, 5000 do
        values[i] = draw()
        observe(values[i])
      end
      table.sort(values)
      for _, share in ipairs { 0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1 } do
        local want, got = exact(values, share), quantile(share)
        -- below a microsecond there is one bucket
        assert.is_true(math.abs(got - want) <= math.max(0.19 * want, 1.1e-6),
          ("%g: %g for %g"):format(share, got, want))
      end
    end)
  end

  it("a quantile stays between the least and the most that was seen", function()
    observe(5)
    for _, share in ipairs { 0, 0.5, 1 } do assert.equal(5, quantile(share)) end
    observe(0)
    assert.is_true(quantile(0) >= 0 and quantile(0) < 1.1e-6)
    observe(1e30)
    assert.is_true(quantile(1) <= 1e30 and quantile(1) > 5)
  end)

  it("a quantile stays right beyond four thousand million of a kind", function()
    C.tide_observe_many(counters, 0, C.TIDE_M_LATENCY, 1, 2 ^ 32)
    C.tide_observe_many(counters, 0, C.TIDE_M_LATENCY, 1000, 1000)
    assert.is_true(quantile(0.5) < 1.2)
  end)
end)
