-- SPDX-License-Identifier: MIT
-- tide.keyed: a state for each key that stands and falls with the results of its message, whatever becomes of workers,
-- messages, partitions and the program.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local flow = require 'spec.support.flow'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local support = require 'spec.support.shared'
local tide = require 'tidemill'

-- A switch, and how often each message was run.
local shared, clear = support.integers(16384)
local DOWN = 0

local function count(m, state)
  state.value = (state.value or 0) + 1
  m.value = m.value .. ' ' .. state.value
  return m
end

describe('tide.keyed', function()
  local fixture = flow.fixture()
  before_each(clear)
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- A test of one keyed step.
  local function keyed(fn, options)
    local step = { state = 's', processes = 2 }
    for i, one in ipairs(type(fn) == 'table' and fn or { fn }) do step[i] = one end
    for name, value in pairs(options or {}) do step[name] = value end
    return fixture.steps(tide.keyed(step))
  end

  -- The counts that each key's results show, in order: { k1 = { 1, 2, ... } }.
  local function counts(run)
    local of = {}
    for _, result in ipairs(run:results()) do
      local key = result.partition .. result.key
      of[key] = of[key] or {}
      table.insert(of[key], tonumber(result.value:match '%d+$'))
    end
    return of
  end

  local function assert_counts(run, keys, each)
    local seen = 0
    for key, list in pairs(counts(run)) do
      seen = seen + 1
      assert.equal(each, #list, key)
      for i = 1, each do assert.equal(i, list[i], key) end
    end
    assert.equal(keys, seen)
  end

  -- A chain whose messages are killed, at random, with their workers.
  local function new(fn, options)
    options.steps = { { { kind = 'keyed', of = fn, states = { 's' } }, order = 'key', states = { 's' },
      max_batch_size = 50, crash_retries = 100 } }
    options.dlq = true
    return fixture.new(options)
  end

  it('gives each key a state, which a message sees as the one before it left it', function()
    local test = keyed(function(m, state)
      local before = state.value
      state.value = m.value
      return (before or 'none') .. '>' .. state.value
    end)
    test:feed({ key = 'a', value = '1' }, { key = 'b', value = '2' }, { key = 'a', value = '3' },
      { key = 'a', value = '4' }, { key = 'a', value = '5', partition = 1 })
    table.sort(test:values())
    local values = test:values()
    table.sort(values)
    assert.same({ '1>3', '3>4', 'none>1', 'none>2', 'none>5' }, values)
  end)

  it('keeps any value that JSON has, and a string with all its bytes', function()
    local test = keyed(function(m, state)
      local function set() state.value = assert(loadstring('return ' .. m.value, 'v', nil))() end
      setfenv(set, { state = state, assert = assert, m = m, loadstring = function(text)
        local chunk = loadstring(text)
        return setfenv(chunk, { tide = tide })
      end })
      if m.value ~= 'get' then set() return nil end
      local v = state.value
      return type(v) .. ':' .. (type(v) == 'string' and v or v == nil and 'nil' or tide.json.encode(v))
    end)
    for _, case in ipairs { { '"a\\0\\255"', 'string:a\0\255' }, { '1.5', 'number:1.5' }, { 'false', 'boolean:false' },
      { '9007199254740993LL', 'cdata:9007199254740993' },
      { '{ a = { 1, { b = true } } }', 'table:{"a":[1,{"b":true}]}' },
      { '""', 'string:' }, { 'nil', 'nil:nil' }, { '-0', 'number:-0' } } do
      test:feed({ key = 'k', value = case[1] })
      local before = #test:values()
      test:feed({ key = 'k', value = 'get' })
      assert.equal(case[2], test:values()[before + 1], case[1])
    end
    test:feed({ key = 'k', value = '0/0' }, { key = 'k', value = 'function() end' })
    assert.rejects(test, { 'NaN', 'function' })
  end)

  it('keeps a table that a function has changed, whether it assigns it again or not', function()
    local test = keyed(function(m, state)
      local list = state.value
      if list then list[#list + 1] = m.value else state.value = { m.value } end
      return tide.json.encode(state.value)
    end)
    test:feed({ key = 'k', value = 'a' }, { key = 'k', value = 'b' })
    test:feed({ key = 'k', value = 'c' })
    assert.same({ '["a"]', '["a","b"]', '["a","b","c"]' }, test:values())
    test = keyed { function(m, state)
      if m.value ~= 'get' then state.value = m.value == 'list' and tide.array {} or m.json end
      if m.value ~= 'get' then table.insert(state.value, 'read') end
      local assigned = state.value
      state.value = assigned
      table.insert(assigned, 'kept')
      return tide.json.encode(state.value)
    end }
    test:feed({ key = 'k', value = 'list' }, { key = 'k', value = 'get' }, { key = 'k', value = '[1]' })
    test:feed({ key = 'k', value = 'get' })
    assert.same({ '["read","kept"]', '["read","kept","kept"]', '[1,"read","kept"]', '[1,"read","kept","kept"]' },
      test:values())
  end)

  it('gives a step with several names a state for each of them', function()
    local test = keyed({ function(m, state)
      if m.value == 'two' then return tide.many { m, m } end
      if m.value == 'bad' then state.counts.value, state.counts = 7, 7 end
      if m.value == 'other' then return tostring(state.value) end
      if state.seen.value then return nil end
      if m.value == 'large' then state.seen.value = ('x'):rep(2 ^ 20 + 1) end
      state.seen.value = m.value
      if m.value == 'short' then state.seen:expire '1ms' end
      state.counts.value = (state.counts.value or 0) + 1
      return m
    end, function(m, state)
      return m.value .. ' ' .. (state.counts.value or 0) .. ' ' .. tostring(state.list.value)
    end }, { state = { 'counts', 'seen', 'list' } })
    test:feed({ key = 'a', value = 'x' }, { key = 'a', value = 'y' }, { key = 'b', value = 'short' },
      { key = 'c', value = 'two' }, { key = 'd', value = 'bad' }, { key = 'd', value = 'other' },
      { key = 'd', value = 'large' }, { key = 'a', value = 'y', partition = 1 })
    local then_ms = C.tide_clock_wall_ms()
    repeat until C.tide_clock_wall_ms() > then_ms + 2
    test:feed({ key = 'b', value = 'z' }, { key = 'd', value = 'y' })
    local values = test:values()
    table.sort(values)
    assert.same({ 'short 1 nil', 'two 0 nil', 'two 0 nil', 'x 1 nil', 'y 1 nil', 'y 1 nil', 'z 2 nil' }, values)
    assert.rejects(test, { 'state.counts is assigned to by its value: state.counts.value = ...',
      'this step has several: state.counts.value, state.seen.value, state.list.value', 'takes 1048576 bytes at most' })
  end)

  it('fills a job with as many values as its state block holds, of each state of a step', function()
    local test = keyed(function(m, state)
      for i = 1, 8 do
        local s = state['s' .. i]
        s.value = m.value == 'put' and ('v'):rep(2 ^ 20 - 1) .. i or s.value:sub(-2) .. m.value
      end
      return m.value .. state.s8.value:sub(-3)
    end, { state = { 's1', 's2', 's3', 's4', 's5', 's6', 's7', 's8' }, processes = 1 })
    for i = 1, 3 do test:push { key = 'k' .. i, value = 'put' } end
    for i = 1, 3 do test:push { key = 'k' .. i, value = 'get' } end
    test:feed { key = 'k1', value = 'end' }
    local values = test:values()
    table.sort(values)
    assert.same({ 'endend', 'getget', 'getget', 'getget', 'putvv8', 'putvv8', 'putvv8' }, values)
  end)

  it('names the state whose value has no JSON by the time the function has returned', function()
    local test = keyed(function(m, state)
      state.value = m.value == 'mixed' and { 1, 2, x = 3 } or { f = print }
      return m
    end)
    test:feed({ key = 'k', value = 'mixed' }, { key = 'k', value = 'print' })
    assert.rejects(test, { '^error: the state "s": a table has keys other than strings',
      '^error: the state "s": a function has no JSON' })
  end)

  it('forgets what a message has written that is rejected, and keeps what a filtered one has', function()
    local test = keyed(function(m, state)
      state.value = (state.value or '') .. m.value
      if m.value == 'e' then error 'bad' end
      if m.value == 'r' then return tide.reject 'bad' end
      if m.value == 'f' then return nil end
      if m.value == 'm' then return tide.many { state.value, 5 } end
      return state.value
    end)
    for _, value in ipairs { 'a', 'e', 'f', 'r', 'm', 'b' } do test:push { key = 'k', value = value } end
    test:feed { key = 'k', value = 'c' }
    assert.same({ 'a', 'afb', 'afbc' }, test:values())
  end)

  it('rejects a message without the key, or with one that is too long', function()
    local test = keyed(count)
    test:feed({ value = 'x' }, { key = ('k'):rep(481), value = 'y' }, { key = ('k'):rep(480), value = 'z' })
    assert.produces(test, { 'z 1' })
    assert.rejects(test, { 'no key', '481 bytes' })
  end)

  it('lets a value go when its time is over', function()
    local test = keyed(function(m, state)
      if m.value == 'get' then return tostring(state.value) end
      state.value = m.value
      if m.value ~= 'kept' then state:expire(m.value) end
      return nil
    end, { ttl = '1h' })
    test:feed({ key = 'a', value = '1ms' }, { key = 'b', value = '1h' }, { key = 'c', value = 'kept' },
      { key = 'd', value = 'soon' })
    local then_ms = C.tide_clock_wall_ms()
    repeat until C.tide_clock_wall_ms() > then_ms + 2
    for _, key in ipairs { 'a', 'b', 'c', 'd' } do test:feed { key = key, value = 'get' } end
    assert.same({ 'nil', '1h', 'kept', 'nil' }, test:values())
    assert.rejects(test, { 'state:expire takes seconds, or a text as "10min"' })
  end)

  it('counts each message once while workers are killed within functions and outside of them', function()
    local run = new(function(m, state)
      local number = tonumber(m.value)
      shared[number] = shared[number] + 1
      state.value = (state.value or 0) + 1
      if number % 211 == 0 and shared[number] == 1 then support.kill() end
      return m.value .. ' ' .. state.value
    end, { pools = { 3 }, partitions = 2 })
    for i = 1, 6000 do run:push { key = 'k' .. i % 60, value = tostring(i), partition = i % 2 } end
    run:start()
    for i = 1, 8 do
      run:turn_until(function() return run.engine:totals().produced >= i * 600 end)
      local pid = run.engine:worker_pid(0, i % 3)
      if pid then support.kill(pid) end
    end
    assert.equal('done', run:finish().kind)
    assert_counts(run, 60, 100)
    assert.is_true(run:balanced())
  end)

  it('shows a message that is tried again the state that it saw before', function()
    shared[DOWN] = 1
    local run = new(function(m, state)
      state.value = (state.value or 0) + 1
      if m.value == '30' and shared[DOWN] == 1 then return tide.retry 'down' end
      return m.value .. ' ' .. state.value
    end, { pools = { 2 } })
    for i = 1, 200 do run:push { key = 'k' .. i % 4, value = tostring(i) } end
    run:start()
    run:turn_until(function() return run:metric(1, 'MESSAGE_RETRY').count > 0 end)
    shared[DOWN] = 0
    C.tide_clock_advance(60e6)
    assert.equal('done', run:finish().kind)
    assert_counts(run, 4, 50)
  end)

  it('drops the state of messages that are read again, since their partition was revoked', function()
    shared[DOWN] = 1
    local run = new(function(m, state)
      while m.value == '100' and shared[DOWN] == 1 do ffi.C.poll(nil, 0, 1) end
      state.value = (state.value or 0) + 1
      return m.value .. ' ' .. state.value
    end, { pools = { 2 }, commit = { min_time = 3600 } })
    for i = 1, 200 do run:push { key = 'k' .. i % 4, value = tostring(i) } end
    run:start()
    run:turn_until(function() return run.engine:totals().produced >= 60 end)
    C.tide_memory_revoke(run.source, 0, true) -- lost: nothing of it is committed
    run:turn_until(function(event) return event.kind == 'assigned' end)
    shared[DOWN] = 0
    assert.equal('done', run:finish().kind)
    local last = {}
    for _, result in ipairs(run:results()) do last[result.key] = tonumber(result.value:match '%d+$') end
    assert.same({ k0 = 50, k1 = 50, k2 = 50, k3 = 50 }, last)
  end)


  it('is refused by name on a pattern of topics, without state_dir, behind reduce, and twice with one name', function()
    local function faults(text)
      local path = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n' .. text .. '}')
      local _, texts = require('tidemill.plan.plan').load(path, {})
      return table.concat(texts or {}, '\n')
    end
    local function has(words, text)
      assert.is_truthy(faults(text):find(words, 1, true), faults(text))
    end
    local step = 'tide.keyed { function() end, state = "s" },'
    local kafka = 'tide.kafka_source { brokers = "b", %s, group = "g" },\n' .. step
    has('p.lua:4: keyed: state needs a kafka_source whose topics have names', kafka:format 'pattern = "^t"')
    has('p.lua:4: keyed: needs the setting state_dir', kafka:format 'topic = "t"')
    has('keyed: its changelog is the topic "x.s.changelog", which produce writes too',
      kafka:format 'topic = "t"' .. 'tide.produce { topic = "x.s.changelog" }, state_dir = "x"')
    has('keyed: needs the setting state_dir', 'tide.file_source { path = "-" },' .. step)
    has('keyed: stands behind reduce', 'tide.file_source { path = "-" }, tide.reduce { function() end },' .. step
      .. 'state_dir = "x"')
    local function names(text)
      return 'tide.file_source { path = "-" }, tide.keyed { function() end, state = ' .. text .. ' }'
    end
    has('option "state": has "a" twice', names '{ "a", "a" }')
    has('option "state" = "a b": takes a name', names '{ "c", "a b" }')
    has('option "state": has 9 names, 8 at most', names '{ "1", "2", "3", "4", "5", "6", "7", "8", "9" }')
    has('"state" = "s": another step has this state', names '{ "t", "s" }' .. ',' .. step .. 'state_dir = "x"')
    has('option "by" = "id": must be "key", "header:NAME" or "json:PATH"',
      'tide.file_source { path = "-" }, tide.keyed { function() end, state = "s", by = "id" }')
    has('another step has this state', 'tide.file_source { path = "-" },' .. step .. step .. 'state_dir = "x"')
  end)
end)
