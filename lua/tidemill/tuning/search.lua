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
local measured = require("tidemill.tuning.measured")
local race = require("tidemill.tuning.race")

local search = {}
local copy, key_of, power_of_two = measured.copy, measured.key_of, measured.power_of_two

local OFTEN = 0.1 -- a share of the batches above which a reason to close them counts
-- The shares of the runs that each step of the search leaves to those after it.
local KEPT = { start = 0, input_block = 0.6, batch = 0.55, output_block = 0.5, processes = 0.12, confirm = 0 }
local MUCH_SMALLER = 16 -- how many times smaller a batch is that is tried with one process

search.names, search.memory = measured.names, measured.memory

local function say(self, text, ...)
  self.say(self.stage, text:format(...))
end

-- Whether a point is a step forward: faster, or as fast as can be told and with less processor time for each message.
local function gains(self, point, before)
  if point.rate >= before.rate * (1 + race.TIE) then return true end
  return point.cpu and before.cpu and point.cpu < before.cpu * 0.95 and point.rate >= before.rate * (1 - self:noise())
end

-- Measures the setting `name` at the values around the present one, then further into the direction that gains, in
-- steps of `factor`. Returns the points measured, by rising value: { value, rate, settings }.
local function climb(self, name, factor, least)
  local points, present = {}, self.settings[name]
  local function visit(value)
    value = math.floor(value + 0.5)
    local settings = self:fitted(copy(self.settings, { [name] = value }))
    if value < least or not self:possible(settings) then return nil end
    for _, point in ipairs(points) do
      if point.value == value then return nil end
    end
    local seen = self:measure(settings)
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
  while below and points[2] and below.rate >= points[2].rate * (1 - self:noise()) do
    below = visit(below.value / factor)
  end
  return points
end

local function compare_points(self, points, rounds)
  local list = {}
  for i, point in ipairs(points) do list[i] = point.settings end
  if #list > 0 then self:compare(list, rounds, points) end
end

-- The values on both sides of the present one, a smaller step away.
local function refine(self, name, factor, least, rounds)
  local list, present = {}, self.settings[name]
  for _, value in ipairs { math.floor(present / factor), present, math.ceil(math.max(1, present * factor)) } do
    local settings = value == present and self.settings or self:fitted(copy(self.settings, { [name] = value }))
    local again = list[#list] and list[#list][name] == value
    if value >= least and self:possible(settings) and not again then list[#list + 1] = settings end
  end
  if #list > 1 then self:compare(list, rounds) end
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
  local settings = size and self:fitted(copy(now, { max_batch_size = math.floor(size + 0.5) }))
  if settings and self:possible(settings) and key_of(settings) ~= key_of(now) then self:compare({ now, settings }) end
end

local stages = {}

-- Doubles a block until batches fit. The first size comes from the bytes of the messages seen.
local function fit_block(self, side)
  local result = self:result_of(self.settings)
  while result and result.overflow[side] > 0 do
    local before = self.settings
    local now = self:fitted(copy(before))
    if now[side .. "_block_size"] == before[side .. "_block_size"] then
      self.room[side] = self.room[side] * 2
      now = self:fitted(copy(before))
    end
    if not self:possible(now) or key_of(now) == key_of(before) then
      say(self, "batches still overflow the %s block, and a larger one is not allowed", side)
      return
    end
    local seen = self:measure(now)
    if not seen or seen.rate == 0 then return end
    self.settings, result = now, seen.result
  end
end

-- Fits the blocks to the batches; when there is not enough memory for such blocks, the batches to the memory.
local function affordable(self, settings)
  local fixed = self:fitted(copy(settings))
  while not self:possible(fixed) and fixed.max_batch_size > 1 do
    fixed = self:fitted(copy(fixed, { max_batch_size = math.floor(fixed.max_batch_size / 2) }))
  end
  return self:possible(fixed) and fixed or settings
end

function stages.input_block(self)
  local result = self:result_of(self.settings)
  if result.overflow.input > 0 then
    say(self, "%.0f %% of the batches were closed by a full input block", result.overflow.input * 100)
  else
    say(self, "no batch was closed by a full input block")
  end
  fit_block(self, "input")
  self.settings = affordable(self, self.settings)
end

local function by_run_time(result)
  return result and (result.closes.run_time or 0) > 0.5
end

-- Batches are closed by the time that they take (eager), below max_batch_size, so that there are no larger ones. The
-- present settings stay when smaller batches are as fast.
local function below_run_time(self, result)
  local before, list, mean = self.settings, { self.settings }, power_of_two(result.batch_messages)
  say(self, "batches are closed when they keep a worker busy for 50 ms, at %.0f messages", result.batch_messages)
  if mean >= before.max_batch_size then return end
  for _, size in ipairs { math.floor(mean / 16), math.floor(mean / 4) } do
    local settings = self:fitted(copy(before, { max_batch_size = size }))
    if self:possible(settings) then list[#list + 1] = settings end
  end
  if #list > 1 then self:compare(list) end
  if self.settings == before then return say(self, "max_batch_size limits nothing") end
  refine_batch(self)
  say(self, "%d messages a batch are faster", self.settings.max_batch_size)
end

function stages.batch(self)
  local result = self:result_of(self.settings) or self.first
  local closes = result.closes
  if (closes.time or 0) > OFTEN and closes.time > (closes.size or 0) then
    say(self, "%.0f %% of the batches are closed by max_batch_time", closes.time * 100)
    compare_points(self, climb(self, "max_batch_time", 4, 1000), 2)
  end
  if by_run_time(result) then return below_run_time(self, result) end
  compare_points(self, climb(self, "max_batch_size", 4, 1), 2)
  say(self, "%d messages a batch", self.settings.max_batch_size)
end

-- A smaller block means further rounds, and these cost something; but results that lie in a processor's cache are read
-- faster, so that it may gain more than it costs. Where it does, larger batches may do so too.
local function smaller_output(self)
  local present = self.settings.output_block_size
  local list, last = { self.settings }, 0 -- the present one first, so that it stays when the others are as fast
  for _, size in ipairs { measured.LEAST_BLOCK, present / 16, present / 4 } do
    if size >= measured.LEAST_BLOCK and size < present and size > last then
      list[#list + 1], last = copy(self.settings, { output_block_size = size }), size
    end
  end
  if #list == 1 then return end
  self:compare(list, 2)
  if self.settings.output_block_size == present then return end
  self.small_output = self.settings.output_block_size
  say(self, "with %d KiB, and further rounds, it is faster", self.small_output / 1024)
  local larger = self:fitted(copy(self.settings, { max_batch_size = self.settings.max_batch_size * 4 }))
  if self:possible(larger) then self:compare({ self.settings, larger }, 2) end
end

function stages.output_block(self)
  local seen = self:measure(self.settings)
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
  if #list > 1 then self:compare(list, 2) end
end

-- What the best batch is depends on the number of processes: where several workers share the processors with the
-- engine, large batches save changes from one to the other; a worker with a processor of its own is faster with batches
-- that stay in that processor's cache. With batches that suit many processes, few ones look slower than they are, and
-- the climb does not come down to them. So one process is tried with much smaller batches too; it comes last among the
-- points, so that it must be faster.
local function with_one_process(self, points)
  local few = points[1] and points[1].settings
  if not few then return points end
  local present = math.min(few.max_batch_size, math.ceil(self:result_of(few).batch_messages))
  local settings = self:fitted(copy(few, { processes = 1, max_batch_size = math.ceil(present / MUCH_SMALLER) }))
  local seen = settings.max_batch_size < present and self:measure(settings)
  if seen then points[#points + 1] = { rate = seen.rate, cpu = seen.cpu, settings = settings } end
  return points
end

function stages.processes(self)
  local before, result = self.settings, self:result_of(self.settings)
  if result and result.backpressure then
    say(self, "the next step refuses results all the time: it is the limit, and fewer processes may do")
    return fewer_processes(self)
  end
  compare_points(self, with_one_process(self, climb(self, "processes", 2, 1)), 2)
  if self.settings.processes > 1 then refine(self, "processes", 1.5, 1, 2) end
  refine(self, "prefetch_batches", 2, math.min(1, self.settings.prefetch_batches), 2)
  result = self:result_of(self.settings)
  -- The best batch with these processes; the curve through all its sizes is asked only now, when nothing else changes.
  if by_run_time(result) then
    if self.settings.processes ~= before.processes then below_run_time(self, result) end
  else
    compare_points(self, climb(self, "max_batch_size", 4, 1), 2)
    refine_batch(self)
  end
  say(self, "%d process%s, %d messages a batch", self.settings.processes, self.settings.processes == 1 and "" or "es",
    self.settings.max_batch_size)
end

-- The chosen settings against those of the file, and against those that looked fastest. When they are equally fast,
-- nothing is to be changed for nothing, but for processes that can be spared. Without runs for that, what is
-- known counts.
function stages.confirm(self)
  local list, have, first, second = {}, {}, self.start, self.settings
  if second.processes < first.processes then first, second = second, first end
  for _, settings in ipairs { first, second, self:fastest() } do
    if not have[key_of(settings)] then list[#list + 1] = settings end
    have[key_of(settings)] = true
  end
  local compared = #list > 1 and self.left >= #list
  if compared then return self:compare(list, math.min(8, math.floor(self.left / #list))) end
  self.settings = self:median_of(self.settings) > self:median_of(self.start) and self.settings or self.start
end

local ORDER = { "input_block", "batch", "output_block", "processes", "confirm" }

--- Searches. options: settings (to begin with: those of the file), measure(settings, stage) that returns a measurement,
--- limits = { processes, memory (bytes for all blocks of the step), by_key (its order is "key") }, runs (at most),
--- say(stage, text) (optional).
--- Returns { settings, before, after (medians of the rates of the first settings and of these), runs (how many there
--- were), noise (the relative deviation of one measurement) }.
function search.run(options)
  local self = measured.new(options)
  self.say = options.say or function() end
  local seen = self:measure(self.settings)
  self.first = seen.result
  for _, stage in ipairs(ORDER) do
    self.stage, self.kept = stage, math.floor(options.runs * KEPT[stage])
    stages[stage](self)
  end
  return { settings = self.settings, before = self:median_of(self.start), after = self:median_of(self.settings),
    runs = self.count, noise = self:noise() }
end

return search
