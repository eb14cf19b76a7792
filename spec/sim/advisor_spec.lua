-- SPDX-License-Identifier: MIT
-- The advisor on random loads of a model (spec/support/chain_model.lua), whose limits are known by construction. The
-- long form: TIDE_ADVISOR_LOADS=5000. The model itself is compared with real runs of functions that sleep, since their
-- times hardly depend on what else the machine does.
local advisor = require "tidemill.tuning.advisor"
local ffi = require "ffi"
local flow = require "spec.support.flow"
local load_mixes = require "spec.support.load_mixes"
local metrics = require "tidemill.metrics"
local model = require "spec.support.chain_model"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"
local window = require "tidemill.tuning.window"

local C = testing.C

local LOADS = tonumber(os.getenv "TIDE_ADVISOR_LOADS" or 204) -- 17 of each limit
local RUNS = 5 -- that nothing disturbs
local PATIENCE = 60 -- seconds until these are there
local DISTURBED = 0.05 -- of the time
local SEED = require("spec.support.seed").draw() % 100000

local function judged(load)
  local snapshot, setting, rate = model.run(load)
  return advisor.judge(window.of(nil, snapshot, setting)), rate
end

-- The verdicts on all loads: how many are right, the others in words, and the advice that made a load slower.
local function judge_all()
  local right, wrong, slower = 0, {}, {}
  for i = 1, LOADS do
    local limit, seed = load_mixes.limits[(i - 1) % #load_mixes.limits + 1], SEED * 100000 + i
    local load = load_mixes.draw(seed, limit)
    local verdict, rate = judged(load)
    if verdict.limit == limit then right = right + 1 else
      wrong[#wrong + 1] = ("%d: %s is taken for %s"):format(seed, limit, verdict.limit)
    end
    if verdict.change then
      local _, changed = judged(load_mixes.changed(load, verdict.change, seed))
      if changed < 0.95 * rate then
        slower[#slower + 1] = ("%d: %s from %s to %s: %.0f/s becomes %.0f/s"):format(seed, verdict.change.option,
          tostring(verdict.change.from), tostring(verdict.change.to), rate, changed)
      end
    end
  end
  return right, wrong, slower
end

describe("the advisor", function()
  local fixture = flow.fixture()

  it("the advisor names the limit of at least 95 % of random loads, and its changes make none slower by 5 %", function()
    local right, wrong, slower = judge_all()
    print(("advisor: %d of %d loads right"):format(right, LOADS))
    -- 98 % were right in 12,000 loads; three standard deviations are left to the chance of a draw of so few.
    local least = 0.95 * LOADS - 3 * math.sqrt(0.05 * 0.95 * LOADS)
    assert.is_true(right >= least, ("seed %d: %s"):format(SEED, table.concat(wrong, "\n")))
    assert.same({}, slower)
  end)

  -- Seconds for which this process, and with it the engine, was ready to run and had no core.
  local function delay_of_engine()
    local file = assert(io.open "/proc/self/schedstat")
    local _, delay_ns = file:read("*n", "*n")
    file:close()
    return delay_ns / 1e9
  end

  local function real(options, step, count)
    local run = fixture.new(options)
    for _ = 1, 100 do run:push "x" end
    C.tide_memory_repeat(run.source, count)
    assert.equal("done", run:finish().kind)
    local values = metrics.collect(run.engine, { tables = { steps = { { kind = "TIDE_STEP_TASK" } } } })
    local setting = { cores = 2, source = "memory", output = "memory", commit_interval = 0, steps = { step } }
    local result = window.of(nil, { metrics = values, totals = run.engine:totals() }, setting)
    run:free()
    fixture.run = nil
    return result
  end

  -- A load with the options of a step of flow.new.
  local function load_of(step, seconds, more)
    local load = { seconds = seconds, random = math.random, cores = 2, prefetch = 1, bytes = 1, expansion = 1,
      compute = 0, wait = 0, engine_message = 1e-6, output_room = 1e6, output_latency = 0, output = "file" }
    for name, value in pairs(step) do load[name] = value end
    for name, value in pairs(more) do load[name] = value end
    return load
  end

  -- The shares in which a real run is far from the model: "NAME: MODEL, RUN", ...
  local function differences(modelled, engine)
    local list = {}
    local function compare(expected, actual, name)
      if math.abs(expected - actual) >= 0.2 then
        list[#list + 1] = ("%s: %.2f, %.2f"):format(name, expected, actual)
      end
    end
    for _, name in ipairs { "busy", "run" } do compare(modelled.steps[1][name], engine.steps[1][name], name) end
    for _, name in ipairs { "oldest", "workers", "next_step" } do
      compare(modelled.steps[1].blocked[name], engine.steps[1].blocked[name], name)
    end
    compare(modelled.engine.source, engine.engine.source, "source")
    local limits = { advisor.judge(modelled).limit, advisor.judge(engine).limit }
    if limits[1] ~= limits[2] then list[#list + 1] = "limit: " .. table.concat(limits, ", ") end
    return table.concat(list, "; ")
  end

  -- A run, and whether other processes have kept the engine or the workers from a core, which moves shares.
  local function measured(fn, step, count, processes)
    local before = delay_of_engine()
    local engine = real({ pools = { processes }, steps = { { fn, max_batch_size = 10, eager = false } } }, step, count)
    local delay = (delay_of_engine() - before) / engine.seconds
    return engine, delay > DISTURBED or engine.steps[1].delay > DISTURBED
  end

  -- Of the runs that nothing disturbs one of five has to be near the model; other runs say nothing. Only where all are
  -- disturbed, for a minute, it is enough that one of them is near.
  local function compare(fn, more, count, processes)
    local step = { processes = processes, max_batch_size = 10, max_batch_time = 1, eager = false, auto = {},
      input_block_size = 2 ^ 20, output_block_size = 2 ^ 20 }
    local far, quiet, near, deadline = {}, 0, false, wait.now() + PATIENCE
    repeat
      local engine, disturbed = measured(fn, step, count, processes)
      local snapshot, setting = model.run(load_of(step, engine.seconds, more))
      local found = differences(window.of(nil, snapshot, setting), engine)
      if found == "" and not disturbed then return end
      quiet, near = quiet + (disturbed and 0 or 1), near or found == ""
      far[#far + 1] = (disturbed and "disturbed: " or "") .. found
    until quiet == RUNS or wait.now() > deadline
    if quiet == 0 and near then return end
    error("no run is near the model (its share, that of the run): " .. table.concat(far, " | "))
  end

  it("the model has the shares of a real run whose functions wait", function()
    compare(function(message)
      ffi.C.poll(nil, 0, 3)
      return message
    end, { wait = 0.0031 }, 600, 2)
  end)

  it("the model has the shares of a real run whose functions wait, by one worker", function()
    compare(function(message)
      ffi.C.poll(nil, 0, 2)
      return message
    end, { wait = 0.0021 }, 300, 1)
  end)
end)
