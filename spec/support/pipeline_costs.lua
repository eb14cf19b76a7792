-- SPDX-License-Identifier: MIT
-- A made-up pipeline for specs of the search: what it does with settings follows from what a message, a batch and a
-- further round cost its workers and its engine. Its measurements are noisy, from a seed.
local costs = {}
local Costs = {}
Costs.__index = Costs

--- what: message_us (of a worker, for each message), batch_us (of a worker, for each batch), engine_us (for each
--- message), engine_batch_us, round_us (a further round), cores, waits (true: workers wait and use no processor),
--- bytes, output_bytes (of a message), next_us (of the next step, for each message; 0 = none), large_us (for each
--- message and doubling of the batch above large_from, for at most large_doublings), crowded_us, crowded_batch_us (more
--- of a worker, for each message and batch, where the engine has no core of its own), noise (relative deviation),
--- halved (how often a run is half as fast for no reason that shows), bursts (how often something else begins to keep
--- the machine busy for a few runs), seed.
function costs.new(what)
  local self = setmetatable({ what = what, runs = 0, state = what.seed or 1 }, Costs)
  for name, value in pairs { message_us = 1, batch_us = 50, engine_us = 0.5, engine_batch_us = 20, round_us = 200,
    cores = 4, bytes = 100, output_bytes = 100, next_us = 0, large_us = 0, large_from = 4096, large_doublings = 99,
    crowded_us = 0, crowded_batch_us = 0, noise = 0, halved = 0, bursts = 0 } do
    if what[name] == nil then what[name] = value end
  end
  return self
end

-- The same numbers for the same seed on every machine.
local function random(self)
  self.state = (self.state * 16807) % 2147483647
  return self.state / 2147483647
end

local function gauss(self)
  return math.sqrt(-2 * math.log(random(self) + 1e-12)) * math.cos(2 * math.pi * random(self))
end

--- Returns the rate, and what bounds it, without noise.
function Costs:rate(settings)
  local what = self.what
  local input = settings.input_block_size == "auto" and math.huge or settings.input_block_size
  local output = settings.output_block_size == "auto" and math.huge or settings.output_block_size
  local batch = math.max(1, math.min(settings.max_batch_size, math.floor(input / what.bytes)))
  local rounds = math.max(1, math.ceil(batch * what.output_bytes / output))
  local doublings = math.log(batch / what.large_from) / math.log(2)
  local large = what.large_us * math.max(0, math.min(what.large_doublings, doublings))
  local crowded = not what.waits and settings.processes >= what.cores and 1 or 0
  local worker = what.message_us + large + crowded * what.crowded_us
    + (what.batch_us + crowded * what.crowded_batch_us + (rounds - 1) * what.round_us) / batch
  local engine = what.engine_us + (what.engine_batch_us + (rounds - 1) * what.round_us) / batch
  local idle = settings.prefetch_batches == 0 and 0.8 or 1
  local workers = settings.processes * idle / worker
  if not what.waits then workers = math.min(workers, what.cores / (worker + engine)) end
  local most = math.min(workers, 1 / engine, what.next_us > 0 and 1 / what.next_us or math.huge)
  return most * 1e6, { cpu = (worker + engine) * 1e-6, batch = batch,
    rounds = rounds, next_step = what.next_us > 0 and most == 1 / what.next_us }
end

-- Returns the share of the processors that something else takes in this run.
local function others(self)
  self.burst = (self.burst or 0) - 1
  if self.burst < 0 and random(self) < self.what.bursts then self.burst, self.taken = 3, 0.1 + 0.3 * random(self) end
  return self.burst >= 0 and self.taken or 0
end

--- Returns a function that measures settings, as search.run wants it.
function Costs:measure()
  return function(settings)
    self.runs = self.runs + 1
    local rate, about = self:rate(settings)
    local taken = self.what.bursts > 0 and others(self) or 0
    if not self.what.waits then rate = rate * (1 - taken) end
    if self.what.halved > 0 and random(self) < self.what.halved then rate = rate / 2 end
    local by_size = about.batch == settings.max_batch_size
    local function noisy(value, noise) return value * math.max(0.1, 1 + noise * gauss(self)) end
    return { rate = noisy(rate, self.what.noise), rejected = 0,
      cpu = not self.what.waits and noisy(about.cpu, self.what.noise / 3) or nil,
      batch_messages = about.batch, input_bytes = self.what.bytes, output_bytes = self.what.output_bytes,
      overflow = { input = by_size and 0 or 1, output = about.rounds - 1 },
      closes = { size = by_size and 1 or 0, block = by_size and 0 or 1, time = 0, idle = 0, run_time = 0 },
      backpressure = about.next_step }
  end
end

--- Returns the best rate, without noise, of all settings of a grid.
function Costs:best(limits)
  local best, runs = 0, 0
  for batch = 4, 16 do
    for processes = 1, limits.processes do
      for prefetch = 0, 2 do
        runs = runs + 1
        best = math.max(best, (self:rate { max_batch_size = 2 ^ batch, max_batch_time = 1e6, processes = processes,
          prefetch_batches = prefetch, input_block_size = 2 ^ 30, output_block_size = 2 ^ 30 }))
      end
    end
  end
  return best, runs
end

return costs
