-- SPDX-License-Identifier: MIT
-- What a worker may use up: messages, growth, processor time for one message, open files, log lines.
local cjson = require 'cjson'
local ffi = require 'ffi'
local flow = require 'spec.support.flow'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'

pcall(ffi.cdef, 'int getpid(void);')

local PROGRAM = require('spec.support.program').path
local MIB = 1024 * 1024

local function file_of(text)
  local path = os.tmpname()
  local out = assert(io.open(path, 'w'))
  out:write(text)
  out:close()
  finally(function() os.remove(path) end)
  return path
end

describe('max_messages', function()
  local fixture = flow.fixture()

  it('max_messages has each worker replaced after so many, and no message is lost, doubled or out of order', function()
    local run = fixture.new { pools = { 2 }, limits = { max_messages = 100 }, steps = { { function(m)
      return m.value .. ' ' .. ffi.C.getpid()
    end, max_batch_size = 10 } } }
    run:start()
    local pushed = 0
    -- As many as it takes until some workers were replaced: each of these has run a hundred.
    run:turn_until(function()
      if run.engine:totals().in_flight < 100 then
        for i = 1, 500 do run:push(tostring(pushed + i)) end
        pushed = pushed + 500
      end
      return run:metric(1, 'WORKER_REPLACED_MESSAGES').count >= 4
    end)
    assert.equal('done', run:finish().kind)
    local pids, count = {}, 0
    for i, value in ipairs(run:values()) do
      local number, pid = value:match '^(%d+) (%d+)$'
      assert.equal(i, tonumber(number))
      if not pids[pid] then count = count + 1 end
      pids[pid] = (pids[pid] or 0) + 1
    end
    assert.equal(pushed, #run:values())
    assert.is_true(count > 3, count .. ' workers')
    assert.is_true(run:metric(1, 'WORKER_REPLACED_MESSAGES').count >= count - 3)
    assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count + run:metric(1, 'WORKER_LOST_EXIT').count)
    assert.is_true(run:balanced())
  end)

  it('max_messages lets the old worker go on until its successor has run its start hooks', function()
    local gate = os.tmpname()
    os.remove(gate)
    finally(function() os.remove(gate) end)
    local starts = file_of ''
    local path = file_of(([[local ffi = require "ffi"
      local first
      return {
        start = function()
          local file = io.open(%q, "a+")
          first = file:read "*a" == ""
          file:write "x"
          file:close()
          while not first and not io.open(%q) do os.execute "sleep 0.01" end
        end,
        process = function() return first and "first" or "second" end }]]):format(starts, gate))
    local run = fixture.new { limits = { max_messages = 10 },
      steps = { { { kind = 'file', path = path }, max_batch_size = 10 } } }
    run:start()
    local function push(count)
      local before = run.engine:totals().produced
      run:push_numbers(count)
      run:turn_until(function() return run.engine:totals().produced == before + count end)
    end
    push(10)
    run:turn_until(function() return io.open(starts):read '*a' == 'xx' end) -- the successor is in its hook
    for _ = 1, 20 do push(50) end
    assert.equal(0, run:metric(1, 'WORKER_REPLACED_MESSAGES').count)
    assert(io.open(gate, 'w')):close()
    run:turn_until(function() return run:metric(1, 'WORKER_REPLACED_MESSAGES').count == 1 end)
    push(1)
    assert.equal('done', run:finish().kind)
    local values = run:values()
    assert.equal('first', values[1010])
    assert.equal('second', values[#values])
  end)

  it('max_messages runs the close hooks of each worker that is replaced', function()
    local closed = file_of ''
    local path = file_of(([[return {
      process = function(m) return m end,
      close = function() local file = io.open(%q, "a") file:write "x" file:close() end }]]):format(closed))
    local run = fixture.new { limits = { max_messages = 10 },
      steps = { { { kind = 'file', path = path }, max_batch_size = 10 } } }
    run:start()
    run:push_numbers(10)
    run:turn_until(function() return #io.open(closed):read '*a' == 1 end)
    run:push_numbers(10)
    run:turn_until(function() return #io.open(closed):read '*a' == 2 end)
    assert.equal('done', run:finish().kind)
    assert.equal(20, #run:values())
    assert.equal(2, run:metric(1, 'WORKER_REPLACED_MESSAGES').count)
  end)

  it('max_messages keeps the old worker while its successor cannot start', function()
    local starts = file_of ''
    local path = file_of(([[return {
      start = function()
        local file = io.open(%q, "a+")
        local before = #file:read "*a"
        file:write "x"
        file:close()
        if before > 0 then error "no connection left" end
      end,
      process = function(m) return m end }]]):format(starts))
    local run = fixture.new { limits = { max_messages = 10 },
      steps = { { { kind = 'file', path = path }, max_batch_size = 10 } } }
    run:start()
    run:push_numbers(10)
    run:turn_until(function() return #io.open(starts):read '*a' == 6 end)
    run:push_numbers(100)
    assert.equal('done', run:finish().kind)
    assert.equal(110, #run:values())
    assert.equal(0, run:metric(1, 'WORKER_REPLACED_MESSAGES').count)
  end)

  it('max_messages goes with a pool that changes its size', function()
    local run = fixture.new { pools = { 3 }, limits = { max_messages = 20 }, steps = { { function(m) return m end,
      max_batch_size = 10 } } }
    run:start()
    local produced = 0
    for _, processes in ipairs { 1, 3, 2, 1, 3 } do
      assert(run.engine:set_sizes(1, { processes = processes }))
      run:push_numbers(300)
      produced = produced + 300
      run:turn_until(function() return run.engine:totals().produced == produced end)
    end
    assert.is_nil((run.engine:set_sizes(1, { processes = 4 })))
    assert.equal('done', run:finish().kind)
    assert.equal(1500, #run:values())
  end)
end)

describe('max_growth', function()
  local fixture = flow.fixture()

  it('max_growth has a worker replaced that keeps memory, before it costs a worker or a message', function()
    local run = fixture.new { worker_memory = 512 * MIB, limits = { max_growth = 16 * MIB }, steps = { { function(m)
      rawset(_G, 'leak', { rawget(_G, 'leak'), ('x'):rep(MIB) .. m.value })
      return m.value
    end, max_batch_size = 1 } } }
    run:start()
    local pushed = 0
    run:turn_until(function()
      if run.engine:totals().in_flight < 5 then
        run:push(tostring(pushed))
        pushed = pushed + 1
      end
      return run:metric(1, 'WORKER_REPLACED_MEMORY').count >= 2
    end)
    assert.equal('done', run:finish().kind)
    assert.equal(pushed, #run:values())
    assert.equal(0, run:metric(1, 'WORKER_LOST_MEMORY').count + run:metric(1, 'WORKER_LOST_EXIT').count)
  end)
end)

describe('max_cpu_time', function()
  local fixture = flow.fixture()
  local LIMIT = { max_cpu_time_us = 200000 }

  for name, burn in pairs {
    ['a compiled loop'] = function() while true do end end,
    ['a C function'] = function() return (('a'):rep(40)):find(('a*'):rep(30) .. 'b') end,
    ['a loop that is interpreted'] = function() while true do string.dump(function() end) end end,
  } do
    it('max_cpu_time ends the message that takes more, with its own reason: ' .. name, function()
      local run = fixture.new { dlq = true, limits = LIMIT, steps = { { function(m)
        if m.value == '5' then burn() end
        return m
      end, max_batch_size = 10 } } }
      run:push_numbers(20)
      assert.equal('done', run:finish().kind)
      assert.equal(19, #run:values())
      local letter = cjson.decode(fixture.letters())
      assert.same({ 'cpu', 'max_cpu_time', 1, 4 },
        { letter.reason, letter.cause, letter.attempts, letter.original_offset })
      assert.matches('more processor time than max_cpu_time', letter.error)
      assert.equal(1, run:metric(1, 'WORKER_LOST_CPU').count)
      assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count)
    end)
  end

  it('max_cpu_time does not count the time that a message waits, nor that of the messages before it', function()
    local run = fixture.new { dlq = true, limits = LIMIT, steps = { { function(m)
      if m.value == '1' then ffi.C.poll(nil, 0, 600) end
      local stop = os.clock() + 0.05
      while os.clock() < stop do end
      return m
    end, max_batch_size = 10 } } }
    run:push_numbers(10)
    assert.equal('done', run:finish().kind)
    assert.equal(10, #run:values())
    assert.equal(0, run:metric(1, 'WORKER_LOST_CPU').count)
  end)
end)

describe('max_open_files', function()
  local fixture = flow.fixture()

  it('max_open_files is how many a worker may open; one more is an error of its message', function()
    local run = fixture.new { dlq = true, limits = { max_open_files = 20 }, steps = { { function(m)
      local files = {}
      collectgarbage() -- closes those of the message before
      for i = 1, tonumber(m.value) do files[i] = assert(io.open '/dev/null') end
      for _, file in ipairs(files) do file:close() end
      return m
    end } } }
    for _, count in ipairs { '19', '40', '18' } do run:push(count) end
    assert.equal('done', run:finish().kind)
    assert.same({ '19', '18' }, run:values())
    local letter = cjson.decode(fixture.letters())
    assert.equal('error', letter.reason)
    assert.matches('Too many open files', letter.error)
  end)
end)

describe('max_log_lines', function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function run(options, fn, input)
    local path = pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { %s, processes = 1, %s }, tide.file_sink { path = "-" } }
]]):format(fn, options))
    return process.run({ '/bin/sh', '-c', input .. ' | "$0" run "$1" --input -', PROGRAM, path }, { timeout = 60 })
  end

  local function count(text, pattern) return select(2, text:gsub(pattern, '')) end

  for name, write in pairs {
    print = 'print("line " .. i)',
    ['tide.log'] = 'require("tidemill").log.info("line " .. i)',
    ['io.stderr'] = 'io.stderr:write("line " .. i .. "\\n")',
    ['C code'] = 'require("ffi").C.dprintf(2, "line %d\\n", require("ffi").cast("int", i))',
  } do
    it('max_log_lines holds for what is written by ' .. name .. ', and one line says how many were dropped', function()
      local code, out, text = run('max_log_lines = 10', ([[function(m)
        pcall(require("ffi").cdef, "int dprintf(int, const char *, ...);")
        for i = 1, 5000 do %s end
        return m
      end]]):format(write), 'echo one')
      assert.same({ 0, 'one\n' }, { code, out }, text)
      local dropped = 0
      for number in text:gmatch 'worker 0 wrote more than max_log_lines = 10 lines in a second: (%d+) were dropped' do
        dropped = dropped + tonumber(number)
      end
      assert.equal(5000, dropped + count(text, 'line %d'), text)
      assert.is_true(dropped > 0)
    end)
  end

  it('max_log_lines holds for what is written while a transform is loaded, before its error', function()
    local path = file_of [[for i = 1, 20000 do io.stderr:write("line ", i, "\n") end error "it cannot be loaded"]]
    local code, _, text = run('max_log_lines = 10', ('%q'):format(path), 'echo one')
    assert.equal(78, code, text)
    local dropped = 0
    for number in text:gmatch 'loading the transforms wrote more than max_log_lines = 10 lines in a second: (%d+) w' do
      dropped = dropped + tonumber(number)
    end
    assert.equal(20000, dropped + count(text, 'line %d+\n'), text)
    assert.matches('line 1\n.*were dropped.*it cannot be loaded', text)
  end)

  it('max_log_lines keeps lines as they are, the last one before a crash and those of a close hook too', function()
    local code, _, text = run('', [[function(m)
      io.stderr:write("a line in ")
      io.stderr:write("two parts\n")
      io.stderr:write("the last words")
      os.exit(3)
    end]], 'echo one')
    assert.equal(65, code, text)
    assert.matches("a line in .*two parts\n", text)
    assert.is_truthy(text:find("the last words\n", 1, true), text)
    local path = file_of [[return { process = function(m) return m end, close = function() print "closed" end }]]
    code, _, text = run('', ('%q'):format(path), 'echo one')
    assert.equal(0, code, text)
    assert.is_truthy(text:find("closed\n", 1, true), text)
  end)
end)
