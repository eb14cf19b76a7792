-- SPDX-License-Identifier: MIT
-- tuning/search.lua: finds the settings of one run_task_with_multiprocessing step with which a pipeline is fastest, in
-- the order of Arroyo's page: input block, batch, output block, then processes or the next step. It is a pure function
-- of a measurement: it asks for settings to be measured and gets numbers, so specs run it on made-up pipelines.
--
-- Settings are { max_batch_size = messages, max_batch_time = microseconds, input_block_size, output_block_size (bytes,
-- or "auto"), processes, prefetch_batches }. A measurement has, besides what a table shows of it,
--   rate, cpu       messages a second, and seconds of processor time for each (or nil)
--   rejected        the share of the messages that became dead letters
--   batch_messages  messages of a batch, the mean
--   input_bytes, output_bytes   of the blocks, for each message, the mean
--   overflow        { input = share of the batches, output = further rounds for each batch }
--   closes          { size, time, block, idle, run_time = shares of the batches }
--   backpressure    true when the next step refuses results all the time
--
-- Runs are dear, so what is known of the cost of a batch is used: the bytes of a message say how large a block must be,
-- and the time of a message is a constant plus a part of what each batch costs, so that two sizes say where larger ones
-- gain nothing. What such a sum says is measured before it is believed. Start reading at search.run.
local curve = require("tidemill.tuning.curve")
local race = require("tidemill.tuning.race")

local search = {}
local Search = {}
Search.__index = Search

local LEAST_BLOCK = 65536 -- bytes; smaller ones save nothing, since a block takes only the pages that are used
local ROOM = 1.3 -- how much larger than the mean batch a block is
local LARGEST_BATCH = 65536 -- messages
local LARGEST_BLOCK = 2 ^ 31
local LONGEST_BATCH = 10e6 -- microseconds
local REJECTED = 0.001 -- a share of dead letters that is so much above that of the file's settings is a fault
local OFTEN = 0.1 -- a share of the batches above which a reason to close them counts
-- The shares of the runs that each step of the search leaves to those after it.
local KEPT = { start = 0, input_block = 0.6, batch = 0.55, output_block = 0.5, processes = 0.2, confirm = 0 }
local FIRST_NOISE = 0.03 -- the relative deviation of one measurement, before any was repeated

local NAMES = { "input_block_size", "max_batch_size", "max_batch_time", "output_block_size", "processes",
  "prefetch_batches" }
search.names = NAMES -- in the order of the tuning procedure

local function copy(settings, changes)
  local new = {}
  for _, name in ipairs(NAMES) do new[name] = settings[name] end
  for name, value in pairs(changes or {}) do new[name] = value end
  return new
end

local function key_of(settings)
  local parts = {}
  for i, name in ipairs(NAMES) do parts[i] = tostring(settings[name]) end
  return table.concat(parts, " ")
end

local function power_of_two(value)
  return 2 ^ math.ceil(math.log(math.max(1, value)) / math.log(2) - 1e-9)
end

-- Learns from a measurement what the sizes of blocks are computed from. The largest mean counts.
local function learn(self, result)
  for _, side in ipairs { "input", "output" } do
    self.bytes[side] = math.max(self.bytes[side], result[side .. "_bytes"] or 0)
  end
end

-- Measures settings once. Returns the measurement, or nil when no runs are left but those for the steps to come.
local function measure(self, settings)
  if self.left <= self.kept then return nil end
  self.left, self.count = self.left - 1, self.count + 1
  local result = self.ask(settings, self.stage)
  self.rejected = self.rejected or result.rejected or 0
  local broken = (result.rejected or 0) > self.rejected + REJECTED
  local seen = { rate = broken and 0 or result.rate, cpu = result.cpu, result = result, settings = settings }
  learn(self, result)
  local key = key_of(settings)
  local known = self.seen[key] or { rates = {}, settings = settings }
  self.seen[key] = known
  known.rates[#known.rates + 1], known.result = seen.rate, result
  return seen
end

-- The relative deviation of one measurement, from all settings that were measured more than once.
local function noise(self)
  local sum, count = FIRST_NOISE ^ 2 * 2, 2
  for _, known in pairs(self.seen) do
    local rates, mean = known.rates, 0
    for _, rate in ipairs(rates) do mean = mean + rate / #rates end
    for _, rate in ipairs(mean > 0 and #rates > 1 and rates or {}) do sum = sum + (rate / mean - 1) ^ 2 end
    if #rates > 1 then count = count + #rates - 1 end
  end
  return math.sqrt(sum / count)
end

local function result_of(self, settings)
  local known = self.seen[key_of(settings)]
  return known and known.result
end

-- Compares settings, the cheapest first, and makes the winner the present ones. `known`: what was just measured of
-- them.
local function compare(self, list, rounds, known)
  local at = race.run(list, function(settings) return measure(self, settings) end,
    { noise = function() return noise(self) end, rounds = rounds, known = known })
  self.settings = at and list[at] or self.settings
end

local function say(self, text, ...)
  self.say(self.stage, text:format(...))
end

-- Returns settings whose blocks have room for the batches, as far as is known by now.
local function fitted(self, settings)
  for _, side in ipairs { "input", "output" } do
    local need = self.bytes[side] * settings.max_batch_size * ROOM * self.room[side]
    if side == "output" and self.small_output then
      settings.output_block_size = self.small_output
    elseif need > 0 then
      settings[side .. "_block_size"] = math.min(LARGEST_BLOCK, math.max(LEAST_BLOCK, power_of_two(need)))
    end
  end
  return settings
end

--- Returns the most bytes that the blocks of a step may take: those of all its batches, when they are full.
function search.memory(settings)
  local batches = settings.processes * (1 + settings.prefetch_batches) + 1
  local input, output = tonumber(settings.input_block_size) or 0, tonumber(settings.output_block_size) or 0
  return batches * (input + output)
end

local function possible(self, settings)
  return settings.max_batch_size >= 1 and settings.max_batch_size <= LARGEST_BATCH
    and settings.processes >= 1 and settings.processes <= self.limits.processes
    and settings.max_batch_time <= LONGEST_BATCH
    and search.memory(settings) <= self.limits.memory
end

-- Whether a point is a step forward: faster, or as fast as can be told and with less processor time for each message.
local function gains(self, point, before)
  if point.rate >= before.rate * (1 + race.TIE) then return true end
  return point.cpu and before.cpu and point.cpu < before.cpu * 0.95 and point.rate >= before.rate * (1 - noise(self))
end

-- Measures the setting `name` at the values around the present one, then further into the direction that gains, in
-- steps of `factor`. Returns the points measured, by rising value: { value, rate, settings }.
local function climb(self, name, factor, least)
  local points, present = {}, self.settings[name]
  local function visit(value)
    value = math.floor(value + 0.5)
    local settings = fitted(self, copy(self.settings, { [name] = value }))
    if value < least or not possible(self, settings) then return nil end
    for _, point in ipairs(points) do
      if point.value == value then return nil end
    end
    local seen = measure(self, settings)
    if not seen then return nil end
    local point = { value = value, rate = seen.rate, cpu = seen.cpu, settings = settings }
    points[#points + 1] = point
    table.sort(points, function(a, b) return a.value < b.value end)
    return point
  end
  visit(present)
  local top, below = visit(present * factor), visit(present / factor)
  while top and points[#points - 1] and gains(self, top, points[#points - 1]) do
    local further = name == "max_batch_size" and curve.knee(points) or 0
    top = visit(math.max(top.value * factor, math.min(power_of_two(further), top.value * factor ^ 2)))
  end
  while below and points[2] and below.rate >= points[2].rate * (1 - noise(self)) do
    below = visit(below.value / factor)
  end
  return points
end

local function compare_points(self, points, rounds)
  local list = {}
  for i, point in ipairs(points) do list[i] = point.settings end
  if #list > 0 then compare(self, list, rounds, points) end
end

-- The values on both sides of the present one, a smaller step away.
local function refine(self, name, factor, least, rounds)
  local list, present = {}, self.settings[name]
  for _, value in ipairs { math.floor(present / factor), present, math.ceil(math.max(1, present * factor)) } do
    local settings = value == present and self.settings or fitted(self, copy(self.settings, { [name] = value }))
    local again = list[#list] and list[#list][name] == value
    if value >= least and possible(self, settings) and not again then list[#list + 1] = settings end
  end
  if #list > 1 then compare(self, list, rounds) end
end

-- Compares the size of a batch that all measurements with the same other settings point to with the present one.
local function refine_batch(self)
  local now, points = self.settings, {}
  for _, known in pairs(self.seen) do
    local one, same = known.settings, true
    for _, name in ipairs { "processes", "prefetch_batches", "max_batch_time" } do
      same = same and one[name] == now[name]
    end
    same = same and known.result.batch_messages > one.max_batch_size * 0.9
      and (known.result.overflow.output > 0) == (self.small_output ~= nil)
    for _, rate in ipairs(same and known.rates or {}) do
      points[#points + 1] = { value = one.max_batch_size, rate = rate }
    end
  end
  local size = curve.best(points)
  local settings = size and fitted(self, copy(now, { max_batch_size = math.floor(size + 0.5) }))
  if settings and possible(self, settings) and key_of(settings) ~= key_of(now) then compare(self, { now, settings }) end
end

local stages = {}

-- Doubles a block until batches fit. The first size comes from the bytes of the messages seen.
local function fit_block(self, side)
  local result = result_of(self, self.settings)
  while result and result.overflow[side] > 0 do
    local before = self.settings
    local now = fitted(self, copy(before))
    if now[side .. "_block_size"] == before[side .. "_block_size"] then
      self.room[side] = self.room[side] * 2
      now = fitted(self, copy(before))
    end
    if not possible(self, now) or key_of(now) == key_of(before) then
      say(self, "batches still overflow the %s block, and a larger one is not allowed", side)
      return
    end
    local seen = measure(self, now)
    if not seen or seen.rate == 0 then return end
    self.settings, result = now, seen.result
  end
end

-- Fits the blocks to the batches; when there is not enough memory for such blocks, the batches to the memory.
local function affordable(self, settings)
  local fixed = fitted(self, copy(settings))
  while not possible(self, fixed) and fixed.max_batch_size > 1 do
    fixed = fitted(self, copy(fixed, { max_batch_size = math.floor(fixed.max_batch_size / 2) }))
  end
  return possible(self, fixed) and fixed or settings
end

function stages.input_block(self)
  local result = result_of(self, self.settings)
  if result.overflow.input > 0 then
    say(self, "%.0f %% of the batches were closed by a full input block", result.overflow.input * 100)
  else
    say(self, "no batch was closed by a full input block")
  end
  fit_block(self, "input")
  self.settings = affordable(self, self.settings)
end

-- Compares the present settings, which stay when the others are as fast, with batches that are so many times as large.
-- Returns whether others were taken.
local function other_batches(self, mean, factors)
  local before, list = self.settings, { self.settings }
  for _, factor in ipairs(factors) do
    local settings = fitted(self, copy(before, { max_batch_size = math.floor(mean * factor) }))
    if settings.max_batch_size >= 1 and possible(self, settings) then list[#list + 1] = settings end
  end
  if #list > 1 then compare(self, list) end
  if self.settings == before then return false end
  refine_batch(self)
  return true
end

-- Batches are closed by the time that they take (eager), below max_batch_size, so that there are no larger ones.
local function below_run_time(self, result)
  local mean = power_of_two(result.batch_messages)
  say(self, "batches are closed when they keep a worker busy for 50 ms, at %.0f messages", result.batch_messages)
  if mean >= self.settings.max_batch_size then return end
  if not other_batches(self, mean, { 1 / 16, 1 / 4 }) then return say(self, "max_batch_size binds nothing") end
  say(self, "%d messages a batch are faster", self.settings.max_batch_size)
end

function stages.batch(self)
  local result = result_of(self, self.settings) or self.first
  local closes = result.closes
  if (closes.time or 0) > OFTEN and closes.time > (closes.size or 0) then
    say(self, "%.0f %% of the batches are closed by max_batch_time", closes.time * 100)
    compare_points(self, climb(self, "max_batch_time", 4, 1000), 2)
  end
  if (closes.run_time or 0) > 0.5 then return below_run_time(self, result) end
  compare_points(self, climb(self, "max_batch_size", 4, 1))
  refine_batch(self)
  say(self, "%d messages a batch", self.settings.max_batch_size)
end

-- A smaller block means further rounds, and these cost something; but results that lie in a processor's cache are read
-- faster, so that it may gain more than it costs. Where it does, larger batches may do so too.
local function smaller_output(self)
  local present = self.settings.output_block_size
  local list, last = { self.settings }, 0 -- the present one first, so that it stays when the others are as fast
  for _, size in ipairs { LEAST_BLOCK, present / 16, present / 4 } do
    if size >= LEAST_BLOCK and size < present and size > last then
      list[#list + 1], last = copy(self.settings, { output_block_size = size }), size
    end
  end
  if #list == 1 then return end
  compare(self, list)
  if self.settings.output_block_size == present then return end
  self.small_output = self.settings.output_block_size
  say(self, "with %d KiB, and further rounds, it is faster", self.small_output / 1024)
  local larger = fitted(self, copy(self.settings, { max_batch_size = self.settings.max_batch_size * 4 }))
  if possible(self, larger) then compare(self, { self.settings, larger }, 2) end
end

function stages.output_block(self)
  local seen = measure(self, self.settings)
  local result = seen and seen.result
  if result and result.overflow.output > 0 then
    say(self, "%.2f further rounds a batch, since the output block was full", result.overflow.output)
    fit_block(self, "output")
  else
    say(self, "no batch needs a further round")
  end
  if type(self.settings.output_block_size) == "number" then smaller_output(self) end
end

local function fewer_processes(self)
  local list = { self.settings }
  while list[1].processes > 1 and #list < 4 do
    table.insert(list, 1, copy(list[1], { processes = math.ceil(list[1].processes / 2) }))
  end
  if #list > 1 then compare(self, list, 2) end
end

function stages.processes(self)
  local before = self.settings.processes
  local result = result_of(self, self.settings)
  if result and result.backpressure then
    say(self, "the next step refuses results all the time: it is the limit, and fewer processes may do")
    return fewer_processes(self)
  end
  compare_points(self, climb(self, "processes", 2, 1))
  if self.settings.processes > 1 then refine(self, "processes", 1.5, 1, 2) end
  if self.settings.prefetch_batches == 0 then refine(self, "prefetch_batches", 2, 0, 2) end
  if self.settings.processes ~= before then
    other_batches(self, self.settings.max_batch_size, { 1 / 16, 1 / 4, 4 })
  end
  refine(self, "prefetch_batches", 2, math.min(1, self.settings.prefetch_batches), 2)
  say(self, "%d process%s", self.settings.processes, self.settings.processes == 1 and "" or "es")
end

-- The settings of all that were measured whose median was the highest.
local function fastest(self)
  local best
  for _, known in pairs(self.seen) do
    known.median = race.median(known.rates)
    local better = best and (known.median > best.median
      or known.median == best.median and key_of(known.settings) < key_of(best.settings))
    if not best or better then best = known end
  end
  return best.settings
end

-- Returns the median of what settings reached; 0 when they were never measured.
local function median_of(self, settings)
  local known = self.seen[key_of(settings)]
  return known and race.median(known.rates) or 0
end

-- The chosen settings against those of the file, and against those that looked fastest. When they are equally fast,
-- nothing is to be changed for nothing, but for processes that can be spared. Without runs for that, what is
-- known counts.
function stages.confirm(self)
  local list, have, first, second = {}, {}, self.start, self.settings
  if second.processes < first.processes then first, second = second, first end
  for _, settings in ipairs { first, second, fastest(self) } do
    if not have[key_of(settings)] then list[#list + 1] = settings end
    have[key_of(settings)] = true
  end
  local compared = #list > 1 and self.left >= #list
  if compared then return compare(self, list, math.min(8, math.floor(self.left / #list))) end
  self.settings = median_of(self, self.settings) > median_of(self, self.start) and self.settings or self.start
end

local ORDER = { "input_block", "batch", "output_block", "processes", "confirm" }

--- Searches. options: settings (to begin with: those of the file), measure(settings, stage) that returns a measurement,
--- limits = { processes, memory (bytes for all blocks of the step) }, runs (at most), say(stage, text) (optional).
--- Returns { settings, before, after (medians of the rates of the first settings and of these), runs (how many there
--- were), noise (the relative deviation of one measurement) }.
function search.run(options)
  local self = setmetatable({ ask = options.measure, limits = options.limits, left = options.runs, count = 0,
    kept = 0, say = options.say or function() end, seen = {},
    bytes = { input = 0, output = 0 }, room = { input = 1, output = 1 }, settings = copy(options.settings),
    start = copy(options.settings), stage = "start" }, Search)
  local seen = measure(self, self.settings)
  self.first = seen.result
  for _, stage in ipairs(ORDER) do
    self.stage, self.kept = stage, math.floor(options.runs * KEPT[stage])
    stages[stage](self)
  end
  return { settings = self.settings, before = median_of(self, self.start), after = median_of(self, self.settings),
    runs = self.count, noise = noise(self) }
end

return search
