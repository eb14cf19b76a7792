-- SPDX-License-Identifier: MIT
-- Random loads for spec/support/chain_model.lua whose limit is known by construction: a load that nothing slows down
-- is drawn and run, and then one thing is made to allow only a part of what it reached, 20 to 60 %. Everything else is
-- drawn anew for each load.
local model = require "spec.support.chain_model"

local load_mixes = {}

local function copy(load)
  local other = {}
  for name, value in pairs(load) do other[name] = value end
  return other
end

-- A function like math.random from a seed of its own (Park and Miller: every product is exact in a double).
local function random_of(seed)
  local modulus = 2 ^ 31 - 1
  local state = seed % (modulus - 1) + 1
  local function draw()
    state = state * 16807 % modulus
    return state / modulus
  end
  for _ = 1, 5 do draw() end
  return draw
end

local function between(random, low, high) return low + random() * (high - low) end
local function whole(random, low, high) return math.floor(between(random, low, high + 0.999)) end
-- Of several powers of ten each is as likely as the other.
local function spread(random, low, high) return low * (high / low) ^ random() end

local function healthy(random)
  local cores = whole(random, 2, 8)
  local bytes = math.floor(spread(random, 50, 5000))
  return { seconds = 1, random = random, cores = cores, processes = whole(random, 1, cores),
    prefetch = whole(random, 0, 2), max_batch_size = math.floor(spread(random, 500, 5000)),
    max_batch_time = between(random, 0.5, 2),
    eager = random() < 0.5, input_block_size = 64 * 2 ^ 20, output_block_size = 64 * 2 ^ 20, bytes = bytes,
    expansion = between(random, 0.2, 3), compute = spread(random, 2e-6, 1e-4), wait = 0,
    engine_message = spread(random, 5e-7, 2e-6), output_room = 100000, output_latency = between(random, 0, 0.02),
    output = random() < 0.5 and "kafka" or "file" }
end

-- What is in the chain while nothing gets on, in messages.
local function buffered(load)
  return (load.processes * (1 + load.prefetch) + 1) * load.max_batch_size
end

-- It is run for long enough to fill all that is before the output several times.
local function slow_output(load, kind, rate, least_room, most_room)
  load.output, load.output_rate = kind, rate
  load.output_room = math.floor(spread(load.random, least_room, most_room))
  load.seconds = math.max(1, 4 * (buffered(load) + load.output_room) / rate)
end

-- Each makes one thing the limit. reached: messages a second of the healthy load; share: what is to be left of it.
local MAKE = {
  none = function(load, reached, share) load.rate = reached * share end,
  source = function(load, reached, share)
    load.rate, load.behind = reached * share, true
  end,
  batch_size = function(load)
    load.max_batch_size, load.eager, load.seconds = whole(load.random, 1, 6), false, 0.3
    load.compute = spread(load.random, 1e-6, 3e-6)
  end,
  batch_time = function(load)
    load.rate, load.eager, load.seconds = spread(load.random, 20, 200), false, 12
    load.max_batch_time, load.max_batch_size = between(load.random, 0.4, 3), 5000
  end,
  input_block = function(load)
    load.input_block_size, load.eager = whole(load.random, 1, 6) * (load.bytes + 64) + 8, false
    load.compute, load.seconds = spread(load.random, 1e-6, 3e-6), 0.3
  end,
  output_block = function(load)
    load.processes = math.max(2, load.processes)
    load.output_block_size = math.floor(load.max_batch_size / whole(load.random, 20, 100))
      * (load.bytes * load.expansion + 64) + 8
    load.eager, load.compute = false, spread(load.random, 3e-6, 1e-4)
  end,
  workers = function(load, reached, share)
    load.seconds = math.max(1, 2 * buffered(load) / (reached * share))
    local waits = load.random() < 0.5
    local used = waits and load.processes or math.min(load.processes, load.cores)
    load[waits and "wait" or "compute"] = used / (reached * share)
  end,
  script = function(load, reached, share)
    load.slow, load.seconds = between(load.random, 0.15, 1), 15
    load.slow_share = load.processes / (reached * share) / load.slow
  end,
  next_step = function(load, reached, share) slow_output(load, "file", reached * share, 100, 10000) end,
  broker = function(load, reached, share) slow_output(load, "kafka", reached * share, 1000, 50000) end,
  commit = function(load, reached, share)
    -- What is in the chain hides an end of a transaction that is shorter than it takes to work it off.
    load.output = "kafka"
    load.commit_interval = buffered(load) / reached * between(load.random, 3, 10)
    load.seconds = 8 * load.commit_interval / share
    load.commit_time = load.commit_interval * (1 / share - 1)
  end,
  engine = function(load)
    load.engine_message, load.max_batch_size = spread(load.random, 3e-6, 2e-5), 5000
    load.compute = load.engine_message * load.processes * between(load.random, 0.05, 0.4)
    load.cores = load.processes + 2
  end,
}

--- The limits that can be made, in a fixed order.
load_mixes.limits = {}
for limit in pairs(MAKE) do load_mixes.limits[#load_mixes.limits + 1] = limit end
table.sort(load_mixes.limits)

--- A load whose limit is the given one.
function load_mixes.draw(seed, limit)
  local random = random_of(seed)
  local load = healthy(random)
  local probe = copy(load)
  probe.seconds = math.max(0.3, 2 * buffered(load) * load.compute / load.processes)
  local _, _, reached = model.run(probe)
  MAKE[limit](load, reached, between(random, 0.2, 0.6))
  load.random = random_of(seed + 1)
  return load
end

--- The same load after a change of the advisor.
function load_mixes.changed(load, change, seed)
  local other = copy(load)
  other[change.option] = change.to
  other.random = random_of(seed + 1)
  return other
end

return load_mixes
