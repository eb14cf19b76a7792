-- SPDX-License-Identifier: MIT
-- tuning/meter.lua: measures a running engine over a stretch of time: how many messages become complete a second, how
-- long each is on its way, and what the limit is. It looks at the totals every few milliseconds. The rate is the slope
-- of a straight line through what it saw: batches become complete in leaps, and where a leap falls at the beginning or
-- the end of a short stretch would decide it otherwise.
local advisor = require("tidemill.tuning.advisor")
local processes = require("tidemill.tuning.processes")
local snapshot = require("tidemill.metrics.snapshot")
local window = require("tidemill.tuning.window")
local C = require("tidemill.run.ffi").C

local meter = {}
local Meter = {}
Meter.__index = Meter

local TURN = 0.002 -- seconds between two looks
local TASK = "strategies.run_task_with_multiprocessing."

local function now()
  return tonumber(C.tide_clock_us()) / 1e6
end

--- `engine` is started, `plan` its plan.
function meter.new(engine, plan)
  return setmetatable({ engine = engine, plan = plan, looks = {}, setting = window.setting(plan) }, Meter)
end

--- Turns the engine once and looks. Returns the look { time, read, complete }; nil when the run has ended, and then
--- self.ended is the event.
function Meter:look()
  local event = self.engine:run(TURN)
  if event.kind == "done" or event.kind == "failed" or event.kind == "signal" then self.ended = event end
  local totals = self.engine:totals()
  local look = { time = now(), read = totals.read, complete = totals.read - totals.in_flight }
  self.looks[#self.looks + 1] = look
  return not self.ended and look or nil
end

--- Turns until done(look) or for so many seconds. Returns the last look, nil when the run has ended. The time begins
--- with the first look, so that a turn that takes long on a busy machine is not the only one.
function Meter:turn_until(done, seconds)
  local deadline
  while true do
    local look = self:look()
    deadline = deadline or look and look.time + seconds
    if not look or done(look) or look.time > deadline then return look end
  end
end

-- The slope of the line through the looks from `first` on, by least squares: messages a second.
local function slope(looks, first)
  local n, time, complete = #looks - first + 1, 0, 0
  for i = first, #looks do time, complete = time + looks[i].time / n, complete + looks[i].complete / n end
  local above, below = 0, 0
  for i = first, #looks do
    above = above + (looks[i].time - time) * (looks[i].complete - complete)
    below = below + (looks[i].time - time) ^ 2
  end
  return below > 0 and math.max(0, above / below) or 0 -- rounding may leave a little less than nothing
end

--- Returns, sorted, how long messages that were new at each look were on their way, in seconds: messages become
--- complete nearly in order, so one is complete when as many are as were read up to it.
function meter.latencies(looks)
  local times, at, read = {}, 1, 0
  for i, look in ipairs(looks) do
    at = math.max(at, i)
    while at <= #looks and looks[at].complete < look.read do at = at + 1 end
    if at > #looks then break end
    if look.read > read then times[#times + 1] = looks[at].time - look.time end
    read = look.read
  end
  table.sort(times)
  return times
end

local function quantile(sorted, share)
  return sorted[math.max(1, math.ceil(#sorted * share))]
end

-- What became of a metric between two snapshots, of one step where there are several.
local function grown(first, last, name, number, count)
  local full = TASK .. name .. (count > 1 and ("{step=%d}"):format(number) or "")
  local function sum(of) return of.metrics[full] and of.metrics[full].sum or 0 end
  return sum(last) - sum(first)
end

-- What the search wants to know of a step.
local function step_of(seen, first, last, number)
  local step, count = seen.steps[number], #seen.steps
  local messages = math.max(1, grown(first, last, "batch.size.msg", number, count))
  return {
    batch_messages = step.mean, closes = step.closes,
    input_bytes = grown(first, last, "batch.size.bytes", number, count) / messages,
    output_bytes = grown(first, last, "output_batch.size.bytes", number, count) / messages,
    overflow = { input = step.input_overflow, output = step.output_overflow },
    backpressure = step.blocked.next_step > 0.5, busy = step.busy,
  }
end

--- Begins the stretch that is measured; what was seen before only warmed the engine up.
function Meter:begin(pids)
  self.first_look, self.pids = #self.looks + 1, pids
  self.cpu, self.thread, self.machine = processes.cpu(pids), processes.thread(), processes.machine()
  self.first = snapshot.new(self.engine, self.plan, { pid = pids[1], started = 0, ready = true })
end

--- Ends it. Returns the measurement: rate, cpu (seconds of processor time for each message), cores (in use), memory
--- (bytes), p50, p99 (seconds), rejected (share), others, stolen (shares of the time of all processors that other
--- processes used and that the host kept back), limit, text, advice, steps (of each step that has workers).
function Meter:finish()
  local looks, first = self.looks, self.first_look
  local last = snapshot.new(self.engine, self.plan, { pid = self.pids[1], started = 0, ready = true })
  local begin, stop = looks[first] or looks[#looks], looks[#looks]
  local seconds, complete = stop.time - begin.time, stop.complete - begin.complete
  local cpu, rate = processes.cpu(self.pids) - self.cpu, slope(looks, first)
  local cores = seconds > 0 and cpu / seconds or 0
  local others, stolen = processes.others(self.machine, processes.machine(), cores)
  local seen = window.of(self.first, last, self.setting)
  -- The engine counts its own processor time once a second only, and this is its thread.
  if seconds > 0 then seen.engine.cpu = (processes.thread() - self.thread) / seconds end
  local verdict = advisor.judge(seen)
  local times = meter.latencies(looks)
  local waiting = rate > 0 and (stop.read - stop.complete) / rate or 0 -- by Little's law, when nothing came to its end
  local steps = {}
  for number in ipairs(seen.steps) do steps[number] = step_of(seen, self.first, last, number) end
  return {
    rate = rate, seconds = seconds, messages = complete, cpu = complete > 0 and cpu / complete or 0,
    cores = cores, others = others, stolen = stolen, memory = processes.memory(self.pids),
    p50 = quantile(times, 0.5) or waiting, p99 = quantile(times, 0.99) or waiting,
    rejected = last.totals.dead_lettered / math.max(1, last.totals.read),
    limit = verdict.limit, limit_step = verdict.step, text = verdict.text, advice = verdict.advice, steps = steps,
  }
end

return meter
