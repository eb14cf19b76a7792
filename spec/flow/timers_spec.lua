-- SPDX-License-Identifier: MIT
-- Event time in tide.keyed: watermarks, and timers that stand and fall with the state of their keys.
local C = require('tidemill.run.ffi').C
local flow = require 'spec.support.flow'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local program = require 'spec.support.faults'
local support = require 'spec.support.shared'
local tide = require 'tidemill'

-- How often each timer was run.
local shared, clear = support.integers(16384)

describe('timers of tide.keyed', function()
  local fixture = flow.fixture()
  before_each(clear)
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function keyed(fn, options)
    local step = { fn, state = 's', processes = 2, time = 'timestamp' }
    for name, value in pairs(options or {}) do step[name] = value end
    return fixture.steps(tide.keyed(step))
  end

  -- Remembers a message until 10 ms after its time.
  local function remember(m, state)
    if m.timer then return ('%s %s %d %s'):format(state.key, state.value, m.timer, tostring(m.value)) end
    state.value = m.value
    state:timer(m.timestamp + 10)
  end

  local function sorted(list)
    table.sort(list)
    return list
  end

  it('calls the function again when the watermark has passed the time, with the state of the key', function()
    local test = keyed(remember)
    test:feed({ key = 'a', value = '1', timestamp = 100 })
    test:feed({ key = 'b', value = '2', timestamp = 109 })
    assert.same({}, test:values())
    test:feed({ key = 'c', value = '3', timestamp = 110 })
    assert.same({ 'a 1 110 nil' }, test:values())
    assert.equal('a', test:results()[1].key)
    assert.equal(110, test:results()[1].timestamp)
    test:feed({ key = 'd', value = '4', timestamp = 5000 }) -- b and c are due, and d moves it no further than itself
    assert.same({ 'a 1 110 nil', 'b 2 119 nil', 'c 3 120 nil' }, sorted(test:values()))
    assert.equal(4, test:totals().read)
    assert.equal(0, test:totals().in_flight)
  end)

  it('runs a timer that is due when it is set, in the same batch or long after its time', function()
    local test = keyed(remember)
    for i = 1, 200 do test:push { key = 'k' .. i, value = 'x', timestamp = i * 10 } end
    test:feed({ key = 'late', value = 'y', timestamp = 1 })
    local seen = {}
    for _, value in ipairs(test:values()) do
      local key = value:match '^%S+'
      assert.is_nil(seen[key], key)
      seen[key] = true
    end
    assert.is_true(seen.late)
    assert.equal(200, #test:values()) -- but for k200
  end)

  it('keeps one timer for a key: the last one that was set, and none after nil', function()
    local test = keyed(function(m, state)
      if m.timer then return 'timer ' .. m.timer end
      local at = m.value:match '^at (%d+)$'
      if at then state:timer(tonumber(at)) end
      if m.value == 'none' then state:timer(nil) end
    end)
    test:feed({ key = 'a', value = 'at 50', timestamp = 10 }, { key = 'b', value = 'at 50', timestamp = 10 },
      { key = 'c', value = 'at 50', timestamp = 10 })
    test:feed({ key = 'a', value = 'at 40', timestamp = 10 }, { key = 'b', value = 'none', timestamp = 10 },
      { key = 'c', value = 'at 60', timestamp = 10 }, { key = 'c', value = 'keep', timestamp = 10 })
    test:feed({ key = 'x', timestamp = 1000, value = '' })
    assert.same({ 'timer 40', 'timer 60' }, sorted(test:values()))
  end)

  it('goes on with timers that a timer sets, which have to be later', function()
    local test = keyed(function(m, state)
      if not m.timer then state.value = 3 end
      if m.timer and m.key == 'bad' then state:timer(m.timer) end
      if m.timer then state.value = state.value - 1 end
      if state.value > 0 then state:timer((m.timer or m.timestamp) + 10) end
      return m.timer and m.key .. m.timer
    end)
    test:feed({ key = 'a', value = '', timestamp = 100 }, { key = 'bad', value = '', timestamp = 100 },
      { key = 'x', value = '', timestamp = 1000 })
    assert.same({ 'a110', 'a120', 'a130' }, test:values())
    assert.rejects(test, { 'takes a time after that of the timer that is due %(110%), got 110' })
    test:feed({ key = 'x', value = '', timestamp = 2000 })
    assert.equal(1, #test:rejects())
  end)

  it('keeps a watermark for each partition, as far behind as grace says', function()
    local test = keyed(function(m, state)
      if not m.timer then state:timer(20) end
      return (m.timer and 'timer ' or '') .. m.key .. ' ' .. tostring(state.watermark)
    end, { grace = '5ms' })
    test:feed({ key = 'a', value = '', timestamp = 10 })
    test:feed({ key = 'b', value = '', timestamp = 1000, partition = 1 })
    test:feed({ key = 'c', value = '', timestamp = 24 })
    test:feed({ key = 'd', value = '', timestamp = 13 })
    assert.same({ 'a nil', 'b nil', 'timer b 20', 'c 5', 'd 19' }, test:values())
    test:feed({ key = 'c', value = '', timestamp = 25 })
    assert.equal(9, #test:values())
  end)

  it('reads the time from JSON or a header, as a number or a text, and rejects what has none', function()
    local function times(time, more)
      return keyed(function(m) return tostring(m.timestamp) end, { time = time, time_unit = more })
    end
    local test = times 'json:at.ts'
    test:feed({ key = 'k', value = '{"at":{"ts":1700000000123}}' }, { key = 'k', value = '{"at":{"ts":1.5e3}}' },
      { key = 'k', value = '{"at":{"ts":"2026-01-31T12:00:00.25+01:00"}}' },
      { key = 'k', value = '{"at":{"ts":"2024-02-29t00:00:00Z"}}' })
    assert.same({ '1700000000123', '1500', '1769857200250', '1709164800000' }, test:values())
    test:feed({ key = 'k', value = '{"at":{"ts":"2026-02-30T00:00:00Z"}}' }, { key = 'k', value = '{"at":{}}' },
      { key = 'k', value = '{"at":{"ts":"soon"}}' }, { key = 'k', value = '{"at":{"ts":-5}}' },
      { key = 'k', value = '{"at":{"ts":1e300}}' }, { key = 'k', value = '{"at":{"ts":"2026-01-31T12:00:00"}}' })
    assert.rejects(test, { '"2026%-02%-30T00:00:00Z" at json:at.ts is no time', 'has no time', '"soon"', 'is no time',
      'is no time', 'is no time' })
    assert.equal('no_time', test:rejects()[1].reason)
    test = times('header:ts', 's')
    test:feed({ key = 'k', value = '', headers = { ts = '1700000000' } },
      { key = 'k', value = '', headers = { ts = '1.5' } })
    assert.same({ '1700000000000', '1500' }, test:values())
    test = times 'timestamp'
    test:feed({ key = 'k', value = '', timestamp = -1 })
    assert.rejects(test, { 'has no timestamp' })
  end)

  it('does not move the watermark for a time that is too far ahead of the clock, and counts it', function()
    local test = keyed(function(m, state)
      if not m.timer then state:timer(m.timestamp + 10) end
      return (m.timer and 'timer ' or '') .. m.key .. ' ' .. tostring(state.ahead)
    end, { max_ahead = '1min' })
    local now = tonumber(C.tide_clock_wall_ms())
    test:feed({ key = 'a', value = '', timestamp = now })
    test:feed({ key = 'far', value = '', timestamp = now + 3600e3 })
    assert.same({ 'a false', 'far true' }, test:values())
    assert.equal(1, test:metrics()['strategies.keyed.ahead']) -- KEYED_AHEAD, and below KEYED_TIMERS
    test:feed({ key = 'b', value = '', timestamp = now + 10 })
    assert.same({ 'a false', 'b false', 'far true', 'timer a false' }, sorted(test:values()))
    assert.equal(1, test:metrics()['strategies.keyed.timers'])
    test:feed({ key = 'b', value = '', timestamp = now - 7000, partition = 1 }):advance '5s'
    local behind = test:metrics()['strategies.keyed.watermark_lag'].last -- KEYED_WATERMARK_LAG, of partition 1
    assert.is_true(behind >= 7 and behind < 60, behind)
    assert.equal(3, test:metrics()['strategies.keyed.waiting_timers'].last) -- KEYED_WAITING_TIMERS: far, b, b
  end)

  it('ends a timer whose function fails, and tries one again that asks for it', function()
    local test = keyed(function(m, state)
      if not m.timer then
        state.value = m.value
        return state:timer(m.timestamp + 1)
      end
      if state.value == 'error' then error 'bad timer' end
      if state.value == 'reject' then return tide.reject 'no' end
      if state.value == 'retry' and shared[1] == 0 then
        shared[1] = 1
        return tide.retry 'down'
      end
      return state.value .. ' ran'
    end)
    for _, value in ipairs { 'error', 'reject', 'retry', 'good' } do
      test:push { key = value, value = value, timestamp = 10 }
    end
    test:feed({ key = 'x', value = 'x', timestamp = 100 }):advance('1min')
    assert.same({ 'good ran', 'retry ran' }, sorted(test:values()))
    assert.equal(2, #test:rejects()) -- also where a commit has stored a timer that was taken before
    test:feed({ key = 'x', value = 'x', timestamp = 1000 }, { key = 'x', value = 'x', timestamp = 2000 })
    assert.equal(2, #test:rejects())
  end)

  it('ends a timer whose function fails for the messages that are run behind it in the same job, too', function()
    local test = keyed(function(m, state)
      if m.timer then error 'bad timer' end
      if m.value == 'first' then state:timer(m.timestamp + 1) end
      state.value = m.value
      return m.value
    end, { processes = 1 })
    test:feed({ key = 'a', value = 'first', timestamp = 10 })
    test:feed({ key = 'a', value = 'second', timestamp = 100 }, { key = 'a', value = 'third', timestamp = 100 })
    test:feed({ key = 'a', value = 'last', timestamp = 1000 })
    assert.same({ 'first', 'second', 'third', 'last' }, test:values())
    assert.rejects(test, { 'bad timer' })
  end)

  it('has results that are messages to later steps, of which one counts them by key', function()
    local function first(m, state)
      if not m.timer then return m.key ~= 'x' and state:timer(m.timestamp + 1) or nil end
      if m.key == 'same' then return m end
      m.value = 'made'
      return m
    end
    local function second(m, state)
      state.value = (state.value or 0) + 1
      m.value = ('%s %s %d %s'):format(m.key, tostring(m.timer), state.value, tostring(m.value))
      return m
    end
    for _, time in ipairs { false, 'timestamp' } do
      local test = fixture.steps(tide.keyed { first, state = 'a', processes = 2, time = 'timestamp' },
        tide.keyed { second, state = 'b', processes = 2, time = time or nil })
      for i = 1, 2 do
        test:feed({ key = 'made', value = '', timestamp = i * 1000 },
          { key = 'same', value = '', timestamp = i * 1000 })
        test:feed({ key = 'x', value = '', timestamp = i * 1000 + 10 })
      end
      assert.same({ 'made nil 1 made', 'made nil 2 made', 'same nil 1 nil', 'same nil 2 nil' }, sorted(test:values()),
        tostring(time))
      assert.same({}, test:rejects())
    end
  end)

  it('is refused where it has no time, and is of the first state alone', function()
    local test = fixture.steps(tide.keyed { function(_, state) state:timer(1) end, state = 's', processes = 1 })
    test:feed({ key = 'a', value = '' })
    assert.rejects(test, { 'state:timer needs the option time of tide.keyed' })
    test = keyed(function(m, state)
      if m.timer then return tostring(state.one.value) end
      if m.value == 'two' then state.two:timer(5) end
      state.one.value = m.value
      state.one:timer(m.value == 'soon' and '10' or 5)
    end, { state = { 'one', 'two' } })
    test:feed({ key = 'a', value = 'x', timestamp = 10 }, { key = 'b', value = 'two', timestamp = 10 },
      { key = 'c', value = 'soon', timestamp = 10 })
    assert.same({ 'x' }, test:values())
    assert.rejects(test, { 'timers are those of the first state', 'state:timer takes a time in ms since the epoch' })
  end)

  -- A chain whose keys each have one message; its timer runs three times, 50 ms apart.
  local function count_down(m, state)
    if m.timer then
      state.value = state.value + 1
      shared[tonumber(m.key)] = shared[tonumber(m.key)] + 1
      if tonumber(m.key) % 97 == 0 and shared[tonumber(m.key)] == 2 then support.kill() end
    else
      state.value = 0
    end
    if state.value < 3 then state:timer(m.timestamp + 50) end
    return m.timer and m.key .. ' ' .. state.value
  end

  local function timed_run(options)
    options.steps = { { { kind = 'keyed', of = count_down, states = { 's' }, timed = true }, order = 'key',
      states = { 's' }, timed = true, max_batch_size = 50, crash_retries = 100 } }
    options.dlq, options.partitions = true, 2
    return fixture.new(options)
  end

  it('runs each timer once while workers are killed within functions and outside of them', function()
    local run = timed_run { pools = { 3 } }
    for i = 1, 3000 do run:push { key = tostring(i), value = '', timestamp = i * 10, partition = i % 2 } end
    run:start()
    for i = 1, 8 do
      run:turn_until(function() return run.engine:totals().produced >= i * 900 end)
      local pid = run.engine:worker_pid(0, i % 3)
      if pid then support.kill(pid) end
    end
    assert.equal('done', run:finish().kind)
    local seen, count = {}, 0
    for _, result in ipairs(run:results()) do
      assert.is_nil(seen[result.value], result.value)
      seen[result.value] = true
      count = count + 1
    end
    for i = 1, 3000 do
      local due = math.min(3, math.floor(((i % 2 == 0 and 3000 or 2999) - i) / 5))
      for n = 1, 3 do assert.equal(n <= due, seen[i .. ' ' .. n] or false, i .. ' ' .. n) end
    end
    assert.is_true(run:balanced())
  end)

  it('forgets timers, and the watermark, with what was not stored of a revoked partition', function()
    local run = timed_run { pools = { 2 }, commit = { min_time = 3600 } }
    for i = 1, 400 do run:push { key = tostring(i), value = '', timestamp = i * 10, partition = 0 } end
    run:start()
    run:turn_until(function() return run.engine:totals().produced >= 300 end)
    C.tide_memory_revoke(run.source, 0, true) -- lost: nothing of it is committed
    run:turn_until(function(event) return event.kind == 'assigned' end)
    assert.equal('done', run:finish().kind)
    local last = {}
    for _, result in ipairs(run:results()) do
      local key, n = result.value:match '^(%d+) (%d+)$'
      last[tonumber(key)] = tonumber(n)
    end
    for i = 1, 400 do assert.equal(math.min(3, math.floor((400 - i) / 5)), last[i] or 0, i) end
    assert.is_true(run:balanced())
  end)

  -- ---- files ----

  local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "timers" {
  tide.file_source { path = "in" },
  tide.keyed { function(m, state)
    state.value = m.timer and state.value + 1 or 0
    if state.value < 3 then state:timer(m.timestamp + 50) end
    return m.timer and state.key .. " " .. state.value
  end, by = "json:k", time = "json:t", state = "s", processes = 2, max_batch_size = 20 },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_messages = 100 } },
  state_dir = "state" }
]]

  local function lines(from, to)
    local list = {}
    for i = from, to do list[#list + 1] = ('{"k":"k%d","t":%d}\n'):format(i, i * 10) end
    return table.concat(list)
  end

  local folder

  local function write(text)
    local file = assert(io.open(folder .. '/in', 'wb'))
    file:write(text)
    file:close()
  end

  local function run(faults, command)
    local place = program.folder
    if place:sub(1, 1) ~= '/' then place = io.popen 'pwd':read '*l' .. '/' .. place end
    local code, out, text = process.run { '/bin/sh', '-c', ('cd "%s" && TIDE_FAULTS="%s" exec "%s/tidemill" %s'):format(
      folder, faults or '', place, command or 'run p.lua') }
    return code, text, out
  end

  it('survives kill -9 at each moment of a commit, and the end of the file', function()
    folder = select(2, pipeline_file.write(PIPELINE))
    local function judge(total)
      local seen = {}
      for line in io.lines(folder .. '/out') do seen[line] = true end
      for i = 1, total do
        local due = math.min(3, math.floor((total - i) / 5))
        for n = 1, 3 do assert.equal(n <= due, seen[('k%d %d'):format(i, n)] or false, i .. ' ' .. n) end
      end
    end
    write(lines(1, 3000))
    local kills = 0 -- how many commits there are in a run depends on the machine
    for _, fault in ipairs { 'store.begin=7:kill9', 'store.put=350:kill9', 'store.commit=3:kill9',
      'store.committed=2:kill9' } do kills = kills + (run(fault) == 137 and 1 or 0) end
    assert.is_true(kills >= 2)
    local code, text = run()
    assert.equal(0, code, text)
    judge(3000)
    write(lines(1, 4000)) -- what is due next was set by the run before
    assert.equal(0, (run()))
    judge(4000)
    local function value_of(key) return (select(3, run('', 'state p.lua get --state s ' .. key))) end
    assert.equal('{"state":"s","partition":0,"key":"k3999","value":0,"timer_ms":40040}\n', value_of 'k3999')
    assert.equal('{"state":"s","partition":0,"key":"k3900","value":3}\n', value_of 'k3900')
  end)

  -- Of one key, later messages may be run before earlier ones then (tide_states_choose).
  it('counts each message once behind a step that does not keep the order, whatever is killed when', function()
    folder = select(2, pipeline_file.write [[
local tide = require "tidemill"
return tide.pipeline "timers" {
  tide.file_source { path = "in" },
  tide.keyed { function(m, state) state.value = m.json.t return m end, by = "json:k", state = "a", processes = 3,
    max_batch_size = 9 },
  tide.keyed { function(m, state)
    state.value = (state.value or 0) + 1
    return tostring(state.value)
  end, by = "json:n", state = "b", processes = 2, max_batch_size = 20 },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_messages = 10 } },
  state_dir = "state" }
]])
    local list = {}
    for i = 1, 3000 do list[i] = ('{"k":"k%d","t":%d,"n":1}\n'):format(i % 50, i) end
    write(table.concat(list))
    local kills = 0
    while run 'store.committed=5:kill9' == 137 do kills = kills + 1 end
    assert.is_true(kills >= 1)
    local highest = 0
    for line in io.lines(folder .. '/out') do highest = math.max(highest, tonumber(line) or 0) end
    assert.equal(3000, highest)
  end)
end)
