-- SPDX-License-Identifier: MIT
-- The rule for the number of processes, run against a model of an engine and its load. CONTROLLER_RUNS=100000 is the
-- long form. A run that fails prints its seed: TIDE_SEED=n.
local controller = require "tidemill.tuning.controller"
local seeds = require 'spec.support.seed'

local RUNS = tonumber(os.getenv "CONTROLLER_RUNS") or 60
local MINUTE, HOUR = 60, 3600

-- The model: a second of a pool whose workers run messages that take `seconds` each, of which the share `compute` on a
-- processor; `rate` arrive a second, and what is not run waits in the source. With more to compute than there are
-- processors, messages take longer: the workers wait for a processor, which counts as demand. `noise`: what is measured
-- is off by up to this part.
local function noisy(value, noise)
  return noise == 0 and value or value * (1 + noise * (2 * math.random() - 1))
end

local function model(load, cores)
  local backlog = 0
  return function(processes, at)
    local now = load(at)
    local by_workers = processes / now.seconds
    local by_processors = cores / (now.seconds * math.max(now.compute, 1e-6))
    local capacity = math.min(by_workers, by_processors)
    local wanted = now.rate + backlog
    local run = math.min(wanted, capacity)
    backlog = wanted - run
    local slower = by_workers > by_processors and wanted > capacity and by_workers / by_processors or 1
    local busy = math.min(processes, run * now.seconds * slower)
    local waits = busy * (1 - now.compute) / slower
    return { processes = processes, blocked = backlog > 0 and math.min(1, noisy(1, now.noise)) or 0,
      engine = now.engine or 0, busy = math.min(processes, noisy(busy, now.noise)),
      demand = noisy(busy - waits, now.noise) }, run
  end
end

-- Runs a controller for `seconds`: the list of { at, to }, and the number at the end.
local function simulate(load, cores, seconds, begin)
  local limits = { min = math.min(cores, 64), max = math.max(16, 4 * cores), cores = cores }
  local rule, step = controller.new(limits), model(load, cores)
  local processes, changes = begin or limits.min, {}
  for at = 1, seconds do
    local to, reason = rule:second((step(processes, at)))
    if to then
      assert.is_true(to >= limits.min and to <= limits.max and to ~= processes, reason)
      assert.is_string(reason)
      changes[#changes + 1] = { at = at, from = processes, to = to }
      processes = to
    end
  end
  return changes, processes, limits
end

local function steady(rate, seconds, compute, noise)
  local fixed = { rate = rate, seconds = seconds, compute = compute, noise = noise or 0 }
  return function() return fixed end
end

-- Changes on steady load: up to the largest number by doubling, or down from it by halving.
local function bound(limits)
  return math.ceil(math.log(limits.max / limits.min) / math.log(2)) + 3
end

describe('the controller of processes', function()
  local seed

  before_each(function() seed = seeds.draw() end)

  it('the controller leaves the number alone where the workers compute', function()
    assert.same({}, (simulate(steady(1e9, 0.001, 1), 4, HOUR)))
  end)

  it("the controller leaves the number alone where the engine's thread has no time left", function()
    local load = { rate = 1e9, seconds = 0.001, compute = 0, noise = 0, engine = 1 }
    assert.same({}, (simulate(function() return load end, 2, HOUR)))
    load.engine = 0.5
    assert.equal(3, #simulate(function() return load end, 2, HOUR))
  end)

  it('the controller doubles the number every two seconds while the workers sleep, up to the largest', function()
    local changes, processes = simulate(steady(1e9, 0.001, 0), 2, HOUR)
    assert.same({ { at = 2, from = 2, to = 4 }, { at = 4, from = 4, to = 8 }, { at = 6, from = 8, to = 16 } }, changes)
    assert.equal(16, processes)
  end)

  it('the controller fills the processors and goes no further', function()
    local _, processes = simulate(steady(1e9, 0.001, 0.5), 4, HOUR)
    assert.equal(8, processes)
  end)

  it('the controller leaves the number alone where the workers keep up', function()
    assert.same({}, (simulate(steady(1500, 0.001, 0), 2, HOUR)))
  end)

  it('the controller halves the number after a minute in which a quarter was enough, down to the least', function()
    local changes = simulate(steady(100, 0.001, 0), 2, HOUR, 16)
    assert.same({ { at = 61, from = 16, to = 8 }, { at = 122, from = 8, to = 4 }, { at = 183, from = 4, to = 2 } },
      changes)
  end)

  it('one second of more work begins the minute anew', function()
    local changes = simulate(function(at)
      return { rate = at % 50 == 0 and 8000 or 100, seconds = 0.001, compute = 0, noise = 0 }
    end, 2, HOUR, 16)
    assert.same({}, changes)
  end)

  it('on steady load the number settles within 30 s and does not oscillate, whatever the load; what is measured with'
    .. ' noise may add one late change, never one back (property)', function()
    for run = 1, RUNS do
      math.randomseed(seed + run)
      local cores = 2 ^ math.random(0, 6)
      local per_message, compute = 10 ^ (-5 * math.random()), math.random(4) == 1 and 1 or math.random()
      local rate = cores / per_message * 10 ^ (3 * math.random() - 2)
      local noise = run % 2 == 0 and 0.1 * math.random() or 0
      local changes, _, limits = simulate(steady(rate, per_message, compute, noise), cores, HOUR)
      local what = ('TIDE_SEED=%d (run %d): %d cores, %g s, compute %g, %g/s'):format(seed + run - 1, run, cores,
        per_message, compute, rate)
      assert.is_true(#changes <= bound(limits), what .. ': ' .. #changes .. ' changes')
      local late = 0
      for _, change in ipairs(changes) do
        late = late + (change.at > 30 and 1 or 0)
        assert.is_true(change.to > change.from, what .. ': back to ' .. change.to)
      end
      assert.is_true(late <= (noise > 0 and 1 or 0), what .. ': changes after 30 s')
    end
  end)

  it('a step of 100 times in rate or in the size of messages, up or down, settles within 30 s; what is too much goes'
    .. ' within minutes (property)', function()
    for run = 1, RUNS do
      math.randomseed(seed + run)
      local cores, compute, step = 2 ^ math.random(0, 6), math.random(), 10 * MINUTE
      local rate, per_message = 10 ^ (4 * math.random()), 10 ^ (-4 * math.random() - 1)
      local factor = math.random(2) == 1 and 100 or 0.01
      local in_rate = math.random(2) == 1
      local function load(at)
        local after = at > step and factor or 1
        return { rate = in_rate and rate * after or rate, seconds = in_rate and per_message or per_message * after,
          compute = compute, noise = 0 }
      end
      local changes, _, limits = simulate(load, cores, HOUR)
      local what = ('TIDE_SEED=%d (run %d)'):format(seed + run - 1, run)
      assert.is_true(#changes <= 3 * bound(limits), what .. ': ' .. #changes .. ' changes')
      for _, change in ipairs(changes) do
        local since = change.at > step and change.at - step or change.at
        local limit = change.to > change.from and 30 or math.huge
        -- A backlog from before the step may bind the workers for as long as it lasts.
        if factor == 100 then assert.is_true(since <= limit, what .. ': grown after ' .. since .. ' s') end
      end
    end
  end)

  it('under random load there are at most 60 halvings an hour, and for each of them a few steps up'
    .. ' (property)', function()
    for run = 1, RUNS do
      math.randomseed(seed + run)
      local cores, current = 2 ^ math.random(0, 4), nil
      local changes, _, limits = simulate(function(at)
        if not current or at % 37 == 0 then
          current = { rate = 10 ^ (6 * math.random()), seconds = 10 ^ (-4 * math.random()), compute = math.random(),
            noise = 0.2 }
        end
        return current
      end, cores, HOUR)
      local halved = 0
      for _, change in ipairs(changes) do halved = halved + (change.to < change.from and 1 or 0) end
      assert.is_true(halved <= HOUR / controller.QUIET)
      assert.is_true(#changes <= 4.2 * halved + 2 * bound(limits), ('TIDE_SEED=%d'):format(seed + run - 1))
    end
  end)

  it('asks for no more than it is limited to, and for no fewer than the minimum', function()
    local one = controller.new { min = 2, max = 16, cores = 8 }
    one:limit(3)
    local busy = { processes = 2, blocked = 1, engine = 0, busy = 2, demand = 0.1 }
    one:second(busy)
    assert.equal(3, (one:second(busy)))
    one:limit(1)
    assert.equal(2, one.max)
  end)
end)
