-- SPDX-License-Identifier: MIT
-- tuning/measured.lua: what the search for settings (tuning/search.lua, which tells what settings and measurements are)
-- has measured and learned of a step, and what may be measured: how many runs are left, and which settings stay below
-- the limits.
local race = require("tidemill.tuning.race")

local measured = {}
local Measured = {}
Measured.__index = Measured

local LEAST_BLOCK = 65536 -- bytes; smaller ones save nothing, since a block takes only the pages that are used
local ROOM = 1.3 -- how much larger than the mean batch a block is
local LARGEST_BATCH = 65536 -- messages
local LARGEST_BLOCK = 2 ^ 31
local LONGEST_BATCH = 10e6 -- microseconds
local REJECTED = 0.001 -- a share of dead letters that is so much above that of the file's settings is a fault
-- The relative deviation of one measurement, before any was repeated. Where it is too low, a candidate that had bad
-- luck once leaves the first race; where it is too high, a few runs are spent on what is clear.
local FIRST_NOISE = 0.06

measured.LEAST_BLOCK = LEAST_BLOCK

local NAMES = { "input_block_size", "max_batch_size", "max_batch_time", "output_block_size", "processes",
  "prefetch_batches" }
measured.names = NAMES -- in the order of the tuning procedure

--- Returns the settings with some of them changed.
function measured.copy(settings, changes)
  local new = {}
  for _, name in ipairs(NAMES) do new[name] = settings[name] end
  for name, value in pairs(changes or {}) do new[name] = value end
  return new
end

--- Returns a text that is the same for the same settings.
function measured.key_of(settings)
  local parts = {}
  for i, name in ipairs(NAMES) do parts[i] = tostring(settings[name]) end
  return table.concat(parts, " ")
end

--- Returns the least power of two that is not below the value.
function measured.power_of_two(value)
  return 2 ^ math.ceil(math.log(math.max(1, value)) / math.log(2) - 1e-9)
end

--- options: settings, measure, limits, runs, as search.run has them.
function measured.new(options)
  return setmetatable({ ask = options.measure, limits = options.limits, left = options.runs, count = 0, kept = 0,
    seen = {}, bytes = { input = 0, output = 0 }, room = { input = 1, output = 1 },
    settings = measured.copy(options.settings), start = measured.copy(options.settings), stage = "start" }, Measured)
end

-- Learns from a measurement what the sizes of blocks are computed from. The largest mean counts.
local function learn(self, result)
  for _, side in ipairs { "input", "output" } do
    self.bytes[side] = math.max(self.bytes[side], result[side .. "_bytes"] or 0)
  end
end

--- Measures settings once. Returns the measurement, or nil when no runs are left but those for the steps to come.
function Measured:measure(settings)
  if self.left <= self.kept then return nil end
  self.left, self.count = self.left - 1, self.count + 1
  local result = self.ask(settings, self.stage)
  self.rejected = self.rejected or result.rejected or 0
  local broken = (result.rejected or 0) > self.rejected + REJECTED
  local seen = { rate = broken and 0 or result.rate, cpu = result.cpu, result = result, settings = settings }
  learn(self, result)
  local key = measured.key_of(settings)
  local known = self.seen[key] or { rates = {}, settings = settings }
  self.seen[key] = known
  known.rates[#known.rates + 1], known.result = seen.rate, result
  return seen
end

--- Returns the relative deviation of one measurement, from all settings that were measured more than once.
function Measured:noise()
  local sum, count = FIRST_NOISE ^ 2 * 2, 2
  for _, known in pairs(self.seen) do
    local rates, mean = known.rates, 0
    for _, rate in ipairs(rates) do mean = mean + rate / #rates end
    for _, rate in ipairs(mean > 0 and #rates > 1 and rates or {}) do sum = sum + (rate / mean - 1) ^ 2 end
    if #rates > 1 then count = count + #rates - 1 end
  end
  return math.sqrt(sum / count)
end

--- Returns the last measurement of settings; nil when they were never measured.
function Measured:result_of(settings)
  local known = self.seen[measured.key_of(settings)]
  return known and known.result
end

--- Changes settings so that their blocks have room for the batches, as far as is known by now.
function Measured:fitted(settings)
  for _, side in ipairs { "input", "output" } do
    local need = self.bytes[side] * settings.max_batch_size * ROOM * self.room[side]
    if side == "output" and self.small_output then
      settings.output_block_size = self.small_output
    elseif need > 0 then
      settings[side .. "_block_size"] = math.min(LARGEST_BLOCK, math.max(LEAST_BLOCK, measured.power_of_two(need)))
    end
  end
  return settings
end

--- Returns the most bytes that the blocks of a step may take: those of all its batches, when they are full. by_key:
--- lanes are by key, of which each has a batch that is being filled.
function measured.memory(settings, by_key)
  local batches = settings.processes * (1 + settings.prefetch_batches) + (by_key and settings.processes or 1)
  local input, output = tonumber(settings.input_block_size) or 0, tonumber(settings.output_block_size) or 0
  return batches * (input + output)
end

--- Whether settings may be measured.
function Measured:possible(settings)
  return settings.max_batch_size >= 1 and settings.max_batch_size <= LARGEST_BATCH
    and settings.processes >= 1 and settings.processes <= self.limits.processes
    and settings.max_batch_time <= LONGEST_BATCH
    and measured.memory(settings, self.limits.by_key) <= self.limits.memory
end

--- Returns the settings of all that were measured whose median was the highest.
function Measured:fastest()
  local best
  for _, known in pairs(self.seen) do
    known.median = race.median(known.rates)
    local better = best and (known.median > best.median
      or known.median == best.median and measured.key_of(known.settings) < measured.key_of(best.settings))
    if not best or better then best = known end
  end
  return best.settings
end

--- Returns the median of what settings reached; 0 when they were never measured.
function Measured:median_of(settings)
  local known = self.seen[measured.key_of(settings)]
  return known and race.median(known.rates) or 0
end

--- Compares settings, the cheapest first, and makes the winner the present ones. `known`: what was just measured of
-- them.
function Measured:compare(list, rounds, known)
  local at = race.run(list, function(settings) return self:measure(settings) end,
    { noise = function() return self:noise() end, rounds = rounds, known = known })
  self.settings = at and list[at] or self.settings
end

return measured
