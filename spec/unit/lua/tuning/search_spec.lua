-- SPDX-License-Identifier: MIT
-- The search on made-up pipelines, whose best settings are known.
local costs = require "spec.support.pipeline_costs"
local search = require "tidemill.tuning.search"

local RUNS = 40
local LIMITS = { processes = 8, memory = 2 ^ 30 }

local PIPELINES = {
  ["tiny messages"] = { message_us = 0.3, engine_us = 0.4, bytes = 60, output_bytes = 60, cores = 2 },
  ["large messages"] = { message_us = 15, engine_us = 10, bytes = 50000, output_bytes = 50000, cores = 2, large_us = 1,
    large_from = 64 },
  ["expanding output"] = { message_us = 20, engine_us = 5, bytes = 300, output_bytes = 6000, cores = 2 },
  -- the output of 64 messages lies in a processor's cache; with several workers large batches save switches
  ["expanding output that a cache holds"] = { message_us = 6, engine_us = 3, bytes = 300, output_bytes = 12000,
    cores = 2, batch_us = 20, round_us = 20, large_us = 0.5, large_from = 64, crowded_us = 5, crowded_batch_us = 1000 },
  ["messages that wait"] = { message_us = 1060, waits = true },
  ["heavy functions"] = { message_us = 300, cores = 2 },
  ["a slow next step"] = { message_us = 2, next_us = 5 },
}

local function settings(changes)
  local made = { max_batch_size = 1000, max_batch_time = 1e6, input_block_size = "auto", output_block_size = "auto",
    processes = 2, prefetch_batches = 1 }
  for name, value in pairs(changes or {}) do made[name] = value end
  return made
end

local function with(what, changes)
  local made = {}
  for name, value in pairs(what) do made[name] = value end
  for name, value in pairs(changes) do made[name] = value end
  return costs.new(made)
end

-- What a pipeline measures that is as fast with all settings but for `rate_of`.
local function measured(rate_of)
  return function(of)
    return { rate = rate_of(of), rejected = 0, batch_messages = 100, input_bytes = 10, output_bytes = 10,
      overflow = { input = 0, output = 0 }, closes = {} }
  end
end

local function run(pipeline, begin, options)
  options = options or {}
  return search.run { settings = begin, measure = options.measure or pipeline:measure(),
    limits = options.limits or LIMITS, runs = options.runs or RUNS, say = options.say }
end

describe("the search for settings", function()
  for name, what in pairs(PIPELINES) do
    it("comes within 5 % of the best of " .. name .. ", also from bad settings, in the runs allowed", function()
      for _, begin in ipairs { settings(), settings { max_batch_size = 10, processes = 1 },
        settings { max_batch_size = 20000, input_block_size = 65536, output_block_size = 65536, processes = 8 } } do
        local pipeline = with(what, {})
        local found = run(pipeline, begin)
        local share = pipeline:rate(found.settings) / pipeline:best(LIMITS)
        assert.is_true(share >= 0.95, ("%.3f of the best"):format(share))
        assert.is_true(found.runs <= RUNS and pipeline.runs == found.runs)
      end
    end)

    it("is seldom misled about " .. name .. " by measurements that are 3 % off", function()
      local missed = {}
      for seed = 1, 60 do
        local pipeline = with(what, { noise = 0.03, seed = seed * 7919 })
        local share = pipeline:rate(run(pipeline, settings()).settings) / pipeline:best(LIMITS)
        if share < 0.95 then missed[#missed + 1] = ("seed %d: %.3f"):format(seed, share) end
      end
      assert.is_true(#missed <= 3, table.concat(missed, ", "))
    end)
  end

  for _, noise in ipairs { { noise = 0.1 }, { noise = 0.05, halved = 0.1 }, { noise = 0.07, bursts = 0.15 } } do
    local about = ("noise %.2f, halved %.2f, bursts %.2f"):format(noise.noise, noise.halved or 0, noise.bursts or 0)
    it("finds one process with small batches although each of both alone is slower, on a noisy machine: " .. about,
      function()
        for _, begin in ipairs { settings(), settings { max_batch_size = 20000, processes = 8 } } do
          local missed = {}
          for seed = 1, 60 do
            noise.seed = seed * 7919
            local pipeline = with(PIPELINES["expanding output that a cache holds"], noise)
            local share = pipeline:rate(run(pipeline, begin).settings) / pipeline:best(LIMITS)
            if share < 0.95 then missed[#missed + 1] = ("seed %d: %.3f"):format(seed, share) end
          end
          assert.is_true(#missed <= 20, table.concat(missed, ", ")) -- without the search's step for this it is 40 of 60
        end
      end)
  end

  it("raises the input block before anything else when it overflows", function()
    local pipeline, asked = with(PIPELINES["expanding output"], {}), {}
    local measure = pipeline:measure()
    run(pipeline, settings { input_block_size = 65536, output_block_size = 65536 }, { measure = function(one, stage)
      asked[#asked + 1] = { one = one, stage = stage }
      return measure(one)
    end })
    assert.equal("start", asked[1].stage)
    assert.equal("input_block", asked[2].stage)
    assert.is_true(asked[2].one.input_block_size > 65536)
    assert.equal(1000, asked[2].one.max_batch_size)
  end)

  it("goes through the steps of the page in their order", function()
    local pipeline, order = with(PIPELINES["tiny messages"], {}), {}
    local measure = pipeline:measure()
    run(pipeline, settings { input_block_size = 4096 }, { measure = function(one, stage)
      if order[#order] ~= stage then order[#order + 1] = stage end
      return measure(one)
    end })
    assert.same({ "start", "input_block", "batch", "output_block", "processes", "confirm" }, order)
  end)

  it("takes fewer processes when the next step is the limit", function()
    local pipeline = with(PIPELINES["a slow next step"], {})
    assert.is_true(run(pipeline, settings { processes = 8 }).settings.processes <= 2)
  end)

  it("looks at smaller batches although larger ones are faster too", function()
    local rates = { [1000] = 100, [4000] = 120, [16000] = 90, [250] = 200, [63] = 300, [16] = 100 }
    local found = run(nil, settings(), { measure = measured(function(of) return rates[of.max_batch_size] or 50 end) })
    assert.equal(63, found.settings.max_batch_size)
  end)

  it("looks at smaller batches again where another number of processes is faster", function()
    local found = run(nil, settings(), { measure = measured(function(of)
      if of.processes > 1 then return 100 + math.min(2, of.max_batch_size / 1000) end
      return 200 + 1000 / of.max_batch_size
    end) })
    assert.equal(1, found.settings.processes)
    assert.is_true(found.settings.max_batch_size < 1000)
  end)

  it("leaves max_batch_size alone when batches close before, unless smaller ones are faster", function()
    for _, case in ipairs { { rate = function() return 1000 end, found = 1000 },
      { rate = function(size) return size <= 16 and 1500 or 1000 end, found = 16 } } do
      local found = run(nil, settings(), { measure = function(one)
        return { rate = case.rate(one.max_batch_size), rejected = 0, batch_messages = math.min(50, one.max_batch_size),
          input_bytes = 100, output_bytes = 100, overflow = { input = 0, output = 0 },
          closes = one.max_batch_size > 50 and { run_time = 1 } or { size = 1 } }
      end })
      local size = found.settings.max_batch_size
      assert.is_true(case.found == 1000 and size == 1000 or case.found == 16 and size <= 16, tostring(size))
    end
  end)

  it("keeps the settings of the file when none is faster", function()
    local pipeline = with({ engine_us = 100, message_us = 1, engine_batch_us = 0 }, {})
    local begin = settings { processes = 1, max_batch_size = 64 }
    assert.same(begin, run(pipeline, begin).settings)
  end)

  it("stays below the limits of processes and memory", function()
    local pipeline = with(PIPELINES["messages that wait"], { bytes = 10000, output_bytes = 10000 })
    local limits = { processes = 6, memory = 2 ^ 28 }
    local measure = pipeline:measure()
    run(pipeline, settings(), { limits = limits, measure = function(one)
      assert.is_true(one.processes <= 6)
      assert.is_true(search.memory(one) <= 2 ^ 28)
      return measure(one)
    end })
    local one = { processes = 4, prefetch_batches = 1, input_block_size = 3, output_block_size = 2 }
    assert.same({ 9 * 5, 12 * 5 }, { search.memory(one), search.memory(one, true) }) -- each lane by key fills a batch
  end)

  it("does not take settings with which messages are rejected", function()
    local pipeline = with(PIPELINES["tiny messages"], {})
    local measure = pipeline:measure()
    local found = run(pipeline, settings(), { measure = function(one)
      local result = measure(one)
      if one.max_batch_size > 4000 then result.rejected, result.rate = 0.5, result.rate * 10 end
      return result
    end })
    assert.is_true(found.settings.max_batch_size <= 4000)
  end)

  it("ends with what is known when there are few runs", function()
    for runs = 1, 12 do
      local pipeline = with(PIPELINES["tiny messages"], {})
      local found = run(pipeline, settings { max_batch_size = 10 }, { runs = runs })
      assert.is_true(found.runs <= runs)
      assert.is_true(pipeline:rate(found.settings) >= pipeline:rate(settings { max_batch_size = 10 }))
    end
  end)

  it("keeps the settings of the file when no runs are left to compare others with them", function()
    local begin, runs = settings(), 0
    local found = search.run { settings = begin, limits = LIMITS, runs = 3, measure = function(of)
      runs = runs + 1
      return measured(function() return 1000 - runs end)(of)
    end }
    assert.same(begin, found.settings)
    assert.equal(999, found.after)
  end)

  it("tries a batch that waits for each process where the file has none", function()
    local found = search.run { settings = settings { prefetch_batches = 0, max_batch_size = 8 }, limits = LIMITS,
      runs = RUNS, measure = measured(function(of) return of.prefetch_batches > 0 and 2000 or 1000 end) }
    assert.equal(1, math.min(1, found.settings.prefetch_batches))
  end)
end)
