-- SPDX-License-Identifier: MIT
-- A discrete-event model of one step with workers between a source and an output, on which the advisor is tried with
-- far more loads than real engines could run. It turns as engine.c does (reports, release of the oldest batch, closes,
-- intake, sleep), and derives the counters from what happens by the same meaning as the engine's: a verdict on the
-- model reads what a verdict on an engine reads. spec/sim/advisor_spec.lua compares it with real runs.
--
-- model.run(load) -> snapshot, setting, messages a second. A load, times in seconds:
--   seconds                 to simulate
--   rate, behind            messages a second that the source gives (nil = as many as are wanted); whether it has a lag
--   cores, processes, prefetch, max_batch_size, max_batch_time, eager, input_block_size, output_block_size
--   bytes, expansion        of a message, and how many times as large its result is
--   compute, wait           in the function for each message; slow, slow_share: some take so much longer
--   engine_message          of the engine for each message; a batch costs it 15 us, and a worker as much
--   output_rate, output_room, output_latency, output   what takes the results: "kafka", "file"
--   commit_interval, commit_time   of transactions (nil = none)
--   random                  a function as math.random
local model = {}

local ENGINE_BATCH, WORKER_BATCH, WAKE = 15e-6, 15e-6, 20e-6
local READ_AT_ONCE, ROUNDS = 256, 8
local FETCH = 0.002 -- seconds between two answers of the brokers
local HEADER = 64 -- bytes of a record beside its value
local CAUSES = { "next_step", "oldest", "workers" }

local Chain = {}
Chain.__index = Chain

local function new_step()
  return { batches = 0, messages = 0, bytes = 0, open_time = 0, input_overflow = 0, output_overflow = 0, filling = 0,
    busy = 0, run = 0, cpu = 0, delay = 0, slow = 0, closes = {}, blocked = { next_step = 0, oldest = 0, workers = 0 } }
end

local function new(load)
  local chain = setmetatable({ load = load, now = 0, charged = 0, read = 0, forwarded = 0, order = {}, free = {},
    workers = {}, waiting = {}, acks = {}, unacked = 0, acked_at = 0, idle_source = false,
    spent = { busy = 0, waiting_for_source = 0, waiting_for_steps = 0 }, blocked_time = 0, full = 0, hold = 0,
    lag = { count = 0, sum = 0 }, step = new_step() }, Chain)
  for i = 1, load.processes do chain.workers[i] = { given = {} } end
  for i = 1, load.processes * (1 + load.prefetch) + 1 do chain.free[i] = {} end
  return chain
end

-- The engine works: time passes for all.
function Chain:work(seconds)
  self.now = self.now + seconds
  self.spent.busy = self.spent.busy + seconds
end

-- ---- workers ----

-- How many of so many slow messages there are: each is drawn.
local function slow_ones(load, count)
  local expected = count * (load.slow_share or 0)
  local whole = math.floor(expected)
  return whole + (load.random() < expected - whole and 1 or 0)
end

-- Computing processes share the cores with the engine.
function Chain:slowdown()
  local load, computing = self.load, 0
  for _, worker in ipairs(self.workers) do
    if #worker.given > 0 then computing = computing + load.compute / (load.compute + load.wait + 1e-12) end
  end
  local engine = self.now > 0 and self.spent.busy / self.now or 0
  return math.max(1, (computing + engine) / load.cores)
end

-- The worker begins its first job at a time: when it ends and how it ends is known then.
function Chain:begin(worker, at)
  local load, batch = self.load, worker.given[1]
  local left = batch.count - batch.done
  local fit = math.max(1, math.floor(load.output_block_size / (load.bytes * load.expansion + HEADER)))
  local count = math.min(left, fit)
  local slow = slow_ones(load, count) * (load.slow or 0)
  local cpu = count * load.compute
  local delay = cpu * (self:slowdown() - 1)
  batch.run = { count = count, time = WORKER_BATCH / 2 + cpu + delay + count * load.wait + slow, cpu = cpu,
    delay = delay, slow = (load.slow or 0) > 0.1 and slow or 0, full = count < left }
  worker.ends = at + WORKER_BATCH / 2 + batch.run.time
end

function Chain:give()
  while self.waiting[1] do
    local best
    for _, worker in ipairs(self.workers) do
      if #worker.given <= self.load.prefetch and (not best or #worker.given < #best.given) then best = worker end
    end
    if not best then return end
    local batch = table.remove(self.waiting, 1)
    best.given[#best.given + 1] = batch
    if #best.given == 1 then
      best.since = self.now
      self:begin(best, self.now + WAKE)
    end
  end
end

-- Reads the reports of all that have ended by now. A worker goes on with its next job without the engine.
function Chain:reports()
  local step, progress = self.step, false
  for _, worker in ipairs(self.workers) do
    while #worker.given > 0 and worker.ends <= self.now do
      local batch = table.remove(worker.given, 1)
      local run = batch.run
      batch.state, batch.ready, batch.full = "done", run.count, run.full
      step.run, step.cpu, step.delay = step.run + run.time, step.cpu + run.cpu, step.delay + run.delay
      step.slow = step.slow + run.slow
      if #worker.given > 0 then self:begin(worker, worker.ends) end
      self:work(ENGINE_BATCH / 3)
      progress = true
    end
  end
  self:give()
  return progress
end

function Chain:has_idle()
  if self.waiting[1] then return false end
  for _, worker in ipairs(self.workers) do
    if #worker.given == 0 then return true end
  end
  return false
end

-- ---- the output ----

function Chain:acknowledge()
  while self.acks[1] and self.acks[1].at <= self.now do
    self.unacked = self.unacked - table.remove(self.acks, 1).count
  end
end

-- In a transaction that is ending nothing is sent.
function Chain:holding()
  local load = self.load
  return load.commit_time and self.now % (load.commit_interval + load.commit_time) >= load.commit_interval
end

-- How many results are taken.
function Chain:send(count)
  local load = self.load
  local room = self:holding() and 0 or math.min(count, load.output_room - self.unacked)
  self.is_full = room < count
  if room <= 0 then return 0 end
  if load.output_rate or load.output_latency > 0 then
    self.acked_at = math.max(self.now + load.output_latency, self.acked_at + room / (load.output_rate or 1e12))
    self.acks[#self.acks + 1] = { at = self.acked_at, count = room }
    self.unacked = self.unacked + room
  end
  self.forwarded = self.forwarded + room
  return room
end

-- ---- batches ----

function Chain:submit(batch)
  batch.state = "pool"
  self.waiting[#self.waiting + 1] = batch
  self:give()
end

function Chain:seal(reason)
  local batch, step = self.open, self.step
  self.open = nil
  batch.done, batch.forwarded = 0, 0
  step.closes[reason] = (step.closes[reason] or 0) + 1
  step.batches, step.messages = step.batches + 1, step.messages + batch.count
  step.bytes = step.bytes + batch.count * (self.load.bytes + HEADER)
  step.open_time = step.open_time + self.now - batch.opened
  self.order[#self.order + 1] = batch
  self:work(ENGINE_BATCH / 3)
  self:submit(batch)
end

-- Forwards the results of the oldest batch. True when there was progress.
function Chain:release()
  local progress = false
  while self.order[1] and self.order[1].state ~= "pool" do
    local batch = self.order[1]
    batch.state = "results"
    local sent = batch.ready > 0 and self:send(batch.ready) or 0
    self:work(sent * self.load.engine_message / 2)
    batch.ready, batch.done = batch.ready - sent, batch.done + sent
    progress = progress or sent > 0
    if batch.ready > 0 then return progress end
    progress = true
    if batch.full then
      self.step.output_overflow = self.step.output_overflow + 1
      self:submit(batch)
      return progress
    end
    self:work(ENGINE_BATCH / 3)
    table.remove(self.order, 1)
    self.free[#self.free + 1] = batch
  end
  return progress
end

-- Takes at most `count` messages; returns how many.
function Chain:take(count)
  local load, taken = self.load, 0
  local most = math.min(load.max_batch_size, self.max_messages or 1e9)
  local fit = math.max(1, math.floor(load.input_block_size / (load.bytes + HEADER)))
  while taken < count do
    if self.open and self.open.count >= fit then
      self.step.input_overflow = self.step.input_overflow + 1
      self:seal "block"
    end
    if not self.open then
      self.open = table.remove(self.free)
      if not self.open then return taken end
      self.open.count, self.open.opened = 0, self.now
    end
    local n = math.min(count - taken, most - self.open.count, fit - self.open.count)
    self.open.count, taken = self.open.count + n, taken + n
    self:work(n * load.engine_message / 2)
    if self.open.count >= most then self:seal(most < load.max_batch_size and "run_time" or "size") end
  end
  return taken
end

-- Messages come by fetches.
function Chain:available()
  local load = self.load
  return load.rate and math.floor(load.rate * math.floor(self.now / FETCH + 1e-6) * FETCH) - self.read or math.huge
end

-- Reads as long as there is anything and it is taken. True when there was progress.
function Chain:intake()
  local progress = false
  for _ = 1, ROUNDS do
    local offered = math.min(READ_AT_ONCE, self:available())
    self.idle_source = offered <= 0
    if offered <= 0 then break end
    if self.refused then offered = 1 end
    local taken = self:take(offered)
    self.read, progress = self.read + taken, progress or taken > 0
    self.refused = taken < offered
    self.blocked = self.refused
    if self.refused then break end
  end
  return progress
end

-- Eager steps keep batches to 50 ms of work; here the mean time is known, not measured.
local function run_time_limit(load)
  local mean = load.compute + load.wait + (load.slow or 0) * (load.slow_share or 0)
  return load.eager and math.max(1, math.floor(0.05 / (mean + 1e-9))) or nil
end

-- ---- time ----

function Chain:cause()
  local oldest = self.order[1]
  if not oldest or oldest.state == "results" then return "next_step" end
  local with_pool = 0
  for _, batch in ipairs(self.order) do with_pool = with_pool + (batch.state == "pool" and 1 or 0) end
  return with_pool < #self.order and self:has_idle() and "oldest" or "workers"
end

-- Charges the time since the last turn to what was true at its end.
function Chain:charge()
  local passed, step = self.now - self.charged, self.step
  self.charged = self.now
  for _, worker in ipairs(self.workers) do
    if #worker.given > 0 then step.busy = step.busy + passed end
  end
  if self.refused and not self.idle_source then self.blocked_time = self.blocked_time + passed end
  if self.blocked then
    step.blocked[self.why] = step.blocked[self.why] + passed
  elseif self.open and #self.order == 0 then
    step.filling = step.filling + passed
  end
  if self.is_full then self.full = self.full + passed end
  if self.held then self.hold = self.hold + passed end
end

-- When something happens next by itself.
function Chain:next_event()
  local load = self.load
  local at = math.min(self.now + 0.1, load.seconds)
  for _, worker in ipairs(self.workers) do
    if #worker.given > 0 then at = math.min(at, worker.ends) end
  end
  if self.acks[1] then at = math.min(at, self.acks[1].at) end
  if self.open then at = math.min(at, self.open.opened + load.max_batch_time) end
  if load.rate and not (self.refused and self.blocked) then
    at = math.min(at, (math.floor(self.now / FETCH + 1e-6) + 1) * FETCH)
  end
  if load.commit_time then
    local cycle = load.commit_interval + load.commit_time
    local within = self.now % cycle
    at = math.min(at, self.now - within + (within < load.commit_interval and load.commit_interval or cycle))
  end
  return math.max(at, self.now + 1e-6)
end

function Chain:turn()
  self:charge()
  self:acknowledge()
  local progress = self:reports()
  progress = self:release() or progress
  if self.open or self.free[1] then self.blocked = false end
  local load = self.load
  if self.open and self.now - self.open.opened >= load.max_batch_time then
    self:seal "time"
  elseif self.open and load.eager and self.idle_source and self:has_idle() then
    self:seal "idle"
  end
  progress = self:intake() or progress
  self:work(2e-6)
  self.why, self.held = self.blocked and self:cause(), self:holding()
  if progress then return end
  local before = self.now
  self.now = self:next_event()
  local kind = self.refused and not self.idle_source and "waiting_for_steps" or "waiting_for_source"
  self.spent[kind] = self.spent[kind] + self.now - before
end

-- ---- what is seen of it ----

local function metrics_of(chain)
  local step, metrics = chain.step, {}
  local function put(name, seconds) metrics[name] = seconds * 1e6 end
  local function task(name) return "strategies.run_task_with_multiprocessing." .. name end
  for name, seconds in pairs(chain.spent) do
    put(("consumer.time{spent=%s}"):format(name), seconds)
  end
  put("consumer.blocked.time", chain.blocked_time)
  put("consumer.cpu.time", chain.spent.busy)
  put("producer.full.time", chain.full)
  put("producer.transaction.hold.time", chain.hold)
  metrics["consumer.lag"] = chain.lag
  for _, cause in ipairs(CAUSES) do put(task(("blocked.time{cause=%s}"):format(cause)), step.blocked[cause]) end
  for _, name in ipairs { "busy", "run", "cpu", "delay" } do put(task(("worker.%s.time"):format(name)), step[name]) end
  put(task "worker.slow_message.time", step.slow)
  put(task "batch.filling.time", step.filling)
  for reason, count in pairs(step.closes) do metrics[task(("batch.close{reason=%s}"):format(reason))] = count end
  metrics[task "batch.size.msg"] = { count = step.batches, sum = step.messages }
  metrics[task "batch.size.bytes"] = { count = step.batches, sum = step.bytes }
  metrics[task "batch.submit.time"] = { count = step.batches, sum = step.open_time }
  metrics[task "batch.input.overflow"] = step.input_overflow
  metrics[task "batch.output.overflow"] = step.output_overflow
  return metrics
end

local function setting_of(load)
  return { cores = load.cores, source = "kafka", output = load.output, dlq_topic = false,
    commit_interval = load.commit_interval or 0, steps = { { processes = load.processes,
      max_batch_size = load.max_batch_size, max_batch_time = load.max_batch_time, eager = load.eager,
      input_block_size = load.input_block_size, output_block_size = load.output_block_size, auto = {} } } }
end

--- Simulates a load; see above.
function model.run(load)
  local chain, second = new(load), 0
  chain.max_messages = run_time_limit(load)
  while chain.now < load.seconds do
    chain:turn()
    if chain.now >= second then
      second = second + 0.1
      local lag = load.behind and 1e9 or load.rate and math.max(0, chain:available()) or 1e9
      chain.lag.count, chain.lag.sum = chain.lag.count + 1, chain.lag.sum + lag
    end
  end
  return { metrics = metrics_of(chain), totals = { read = chain.read } }, setting_of(load), chain.forwarded / chain.now
end

return model
