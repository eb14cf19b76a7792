-- SPDX-License-Identifier: MIT
-- Whole chains on the memory source and sink, real workers included: what flow specs drive. No Kafka, no thread. A
-- chain is a test of tidemill.testing (push, values, committed, totals) whose plan and turns are the spec's own.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local engine = require 'tidemill.run.engine'
local testing = require 'tidemill.testing'
local wait = require 'spec.support.wait'

local Test = testing.Test
local flow = setmetatable({}, { __index = Test })
flow.__index = flow

local MIB = 1024 * 1024
local defaults = {
  max_batch_size = 1000, max_batch_time = 1, input_block_size = MIB, output_block_size = MIB,
  max_input_block_size = 64 * MIB, max_output_block_size = 64 * MIB, auto = true, auto_batch = false, eager = true,
  prefetch_batches = 1, crash_retries = 1, pool = 0,
}

local function fill_step(step, given)
  local function option(name)
    if given[name] ~= nil then return given[name] end
    return defaults[name]
  end
  step.kind, step.stage = given.reduce and C.TIDE_STEP_REDUCE or C.TIDE_STEP_TASK, 'run_task_with_multiprocessing'
  step.max_batch_time_us = option 'max_batch_time' * 1e6
  step.auto_input, step.auto_output = option 'auto', option 'auto'
  for _, name in ipairs { 'pool', 'max_batch_size', 'input_block_size', 'output_block_size', 'max_input_block_size',
    'max_output_block_size', 'auto_batch', 'eager', 'prefetch_batches', 'crash_retries' } do
    step[name] = option(name)
  end
  step.order, step.by = 'TIDE_ORDER_' .. (given.order or 'partition'):upper(), 'TIDE_BY_' .. (given.by or 'key'):upper()
  step.by_name = given.by_name
  local states = given.states or {}
  given.state_names = ffi.new('const char *[?]', #states + 1, states) -- `given` lives as long as the plan
  step.states, step.state_count, step.state_by = given.state_names, #states, 'key'
  step.state_ttl_ms = given.ttl_ms or 0
  if given.timed then step.time, step.time_unit_ms, step.max_ahead_ms = 'TIDE_TIME_OF_MESSAGE', 1, 1 end
end

-- given: trust (full), network, hosts, read, write, env. Returns what has to live as long as the plan.
local function set_sandbox(sandbox, given)
  local lists = {}
  sandbox.trust = C['TIDE_TRUST_' .. (given.trust or 'full'):upper()]
  sandbox.network = given.network or false
  for _, name in ipairs { 'hosts', 'read', 'write', 'env' } do
    local list = given[name] or {}
    lists[name] = ffi.new('const char *[?]', #list + 1, list)
    sandbox[name], sandbox[name:gsub('s$', '') .. '_count'] = lists[name], #list
  end
  return lists
end

--- options: steps = { { functions..., option = } ... } (by = "key", "header", "json" or "partition", by_name = of the
--- header or path, states = names of states by the key, timed = true: they have timers), pools = { processes },
--- partitions, topics (that results may name), dlq = path, max_invalid_ratio, max_consecutive_count, max_buffered,
--- commit = { min_time =, min_messages = }, max_messages (of the sink), join_timeout,
--- limits = the fields of struct tide_worker_limits, for each pool,
--- sandbox = { trust (full), network, hosts, read, write, env }.
function flow.new(options)
  local steps = ffi.new('struct tide_step_plan[?]', #options.steps)
  local functions = {}
  for i, given in ipairs(options.steps) do
    fill_step(steps[i - 1], given)
    functions[i] = given
  end
  local pools = options.pools or { 1 }
  local counts = ffi.new('uint32_t[?]', #pools, pools)
  local topics = ffi.new('const char *[1]', { 'in' })
  local plan = ffi.new 'struct tide_plan'
  plan.name = 'spec'
  plan.source.medium, plan.source.topics, plan.source.topic_count = C.TIDE_MEDIUM_MEMORY, topics, 1
  plan.source.partitions = options.partitions or 1
  plan.sink.medium, plan.sink.max_messages = C.TIDE_MEDIUM_MEMORY, options.max_messages or 100000
  local names = ffi.new('const char *[?]', #(options.topics or {}) + 1, options.topics or {})
  plan.sink.topics, plan.sink.topic_count = names, #(options.topics or {})
  plan.dlq.kind, plan.dlq.target = options.dlq and C.TIDE_DLQ_FILE or C.TIDE_DLQ_NONE, options.dlq or nil
  plan.dlq.max_invalid_ratio = options.max_invalid_ratio or -1
  plan.dlq.max_consecutive_count = options.max_consecutive_count or -1
  plan.dlq.max_buffered = options.max_buffered or 1000
  local commit = options.commit or {}
  plan.commit.enabled = options.commit ~= false
  plan.commit.min_time_us, plan.commit.min_messages = (commit.min_time or 0) * 1e6, commit.min_messages or 0
  plan.steps, plan.step_count, plan.pools, plan.pool_count = steps, #options.steps, counts, #pools
  plan.join_timeout_us, plan.message_timeout_us = (options.join_timeout or 25) * 1e6,
    (options.message_timeout or 30) * 1e6
  plan.retry_timeout_us = (options.retry_timeout or 300) * 1e6
  plan.worker_memory = options.worker_memory or 0
  plan.core_dumps = options.core_dumps or false
  local limits = ffi.new('struct tide_worker_limits[?]', #pools)
  for i = 0, #pools - 1 do
    for name, value in pairs(options.limits or {}) do limits[i][name] = value end
  end
  plan.limits = limits
  local lists = set_sandbox(plan.sandbox, options.sandbox or {})
  plan.stuck_detector_timeout_us = (options.stuck_detector_timeout or 0) * 1e6
  local made, problem, status = engine.new {
    c = plan, functions = functions, folder = options.folder or '.', file = 'spec', topics = options.topics or {},
    anchor = { steps, counts, topics, names, pools, limits, options, lists },
  }
  if not made then return nil, problem, status end
  local self = setmetatable({ engine = made, C = C, partitions = plan.source.partitions, fed = 0,
    message_timeout = options.message_timeout or 30 }, flow)
  self.source, self.sink = C.tide_engine_source(made.handle), C.tide_engine_sink(made.handle)
  return self
end

--- Values "1" .. "n" over the partitions in turn.
function flow:push_numbers(count, partitions, width)
  for i = 1, count do
    self:push { value = tostring(i) .. (' '):rep(width or 0), partition = (i - 1) % (partitions or 1) }
  end
end

function flow:start()
  assert(self.engine:start {})
  self.started = true
  return self
end

--- Turns the engine until `fn` returns true; fails after `seconds` (60).
function flow:turn_until(fn, seconds, what)
  self.events = self.events or {}
  return wait.until_true(function()
    local event = self.engine:run(self.turn or 0.01)
    if event.kind ~= 'nothing' and event.kind ~= 'second' then self.events[#self.events + 1] = event end
    self.last = event
    return fn(event)
  end, seconds or 60, what)
end

--- Turns until a worker stands at the message of partition 0 with that offset, and then until it is killed for that:
--- the engine's clock is moved meanwhile, so that message_timeout may be longer than anything else takes. The worker is
--- the first of the first pool.
function flow:outlast(offset)
  if not self.started then self:start() end
  self:turn_until(function()
    for _, slow in ipairs(self.engine:slow_messages()) do
      -- By its number it is killed, which may be known after its work.
      if slow.partition == 0 and slow.offset == offset and self.engine:worker_pid(0, 0) then return true end
    end
  end, ('a worker at offset %d'):format(offset))
  self:until_killed()
end

--- The second part of that, for a worker that stands where it cannot be seen: between two messages.
function flow:until_killed()
  local before, turn = self:metric(1, 'WORKER_LOST_SIGNAL').count, self.turn
  local passed, looks = 0, 0
  self.turn = 0.001
  self:turn_until(function()
    looks = looks + 1
    -- From one turn to the next no more than a second counts. Once the worker is late its last words are awaited, for
    -- which it needs time of the machine; what it was kept waiting for a processor is passed again.
    if passed <= self.message_timeout + 1 or looks % 40 == 0 then
      C.tide_clock_advance(9e5)
      passed = passed + 0.9
    else
      self.turn = 0.01
    end
    return self:metric(1, 'WORKER_LOST_SIGNAL').count > before
  end, 180, 'the end of the worker') -- some 70 turns, beside a worker that takes all it can get
  self.turn = turn
end

--- Nothing more is pushed: runs to the end and returns the last event ("done" or "failed").
function flow:finish(seconds)
  C.tide_memory_end(self.source)
  if not self.started then self:start() end
  self:turn_until(function(event) return event.kind == 'done' or event.kind == 'failed' end, seconds,
    function() return 'the end; in flight: ' .. self.engine:totals().in_flight end)
  return self.last
end

--- As of tidemill.testing, with `partition` and `offset` of the message that each came from; the partition that a
--- result names is its target_partition.
function flow:results()
  local list = Test.results(self)
  for i, result in ipairs(list) do
    local message = C.tide_memory_get(self.sink, i - 1)
    result.target_partition, result.partition, result.offset = result.partition, message.partition,
      tonumber(message.offset)
  end
  return list
end

--- A metric of step `row` (1 is the first): flow:metric(1, 'BATCH_SIZE_MSG').count
function flow:metric(row, name)
  return self.engine:counter(row, C['TIDE_M_' .. name])
end

function flow:free()
  self.engine:free()
end

--- The invariant of every run: nothing is unaccounted for.
function flow:balanced()
  local t = self.engine:totals()
  return t.read == t.produced_from + t.filtered + t.dead_lettered + t.dropped + t.in_flight
end

--- What a spec of whole chains sets up, within its describe: fixture.run is the chain that a test made last,
--- fixture.dlq the path of a file for its dead letters. What it opened is closed behind each test.
function flow.fixture()
  local busted = require 'busted' -- not before: benchmarks use this module without it
  local fixture = {}

  busted.before_each(function() fixture.dlq = os.tmpname() end)

  busted.after_each(function()
    if fixture.run then fixture.run:free() end
    if fixture.test then fixture.test:close() end
    fixture.run, fixture.test, fixture.settings = nil, nil, nil
    os.remove(fixture.dlq)
  end)

  --- Options as of flow.new; dlq = true: dead letters go to the file of the fixture.
  function fixture.new(options)
    if options.dlq == true then options.dlq = fixture.dlq end
    fixture.run = assert(flow.new(options))
    return fixture.run
  end

  --- Runs messages through steps, to the end. Dead letters go to the file.
  function fixture.through(steps, messages, options)
    options = options or {}
    options.steps, options.dlq = options.steps or steps, true
    local run = fixture.new(options)
    for _, message in ipairs(messages) do run:push(message) end
    assert(run:finish().kind == 'done', run.last.text)
    return run
  end

  --- The same by tidemill.testing, from steps of the DSL: fixture.test is a test of these steps, with
  --- fixture.settings of the pipeline.
  function fixture.steps(...)
    fixture.test = testing.steps({ ... }, { settings = fixture.settings })
    return fixture.test
  end

  --- The dead letters as text, one JSON object a line.
  function fixture.letters()
    local file = assert(io.open(fixture.dlq))
    local text = file:read '*a'
    file:close()
    return text
  end

  return fixture
end

return flow
