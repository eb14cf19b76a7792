-- SPDX-License-Identifier: MIT
-- The sandbox as a pipeline meets it: which rule holds at which moment, what a script sees that wants more, and that
-- nothing which it starts outlives it. What each rule refuses is in spec/unit/proc/sandbox_spec.lua.
local ffi = require 'ffi'
local child = require 'spec.support.child'
local flow = require 'spec.support.flow'
local library = require 'tidemill.run.ffi'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local wait = require 'spec.support.wait'

pcall(ffi.cdef, 'char *getcwd(char *path, size_t size);')
pcall(ffi.cdef, 'int setenv(const char *name, const char *value, int replace);')

local MOMENTS = [[
local ffi = require 'ffi'
pcall(ffi.cdef, 'int socket(int family, int type, int protocol); int kill(int pid, int signal); int getppid(void);')
local seen = {}
local function look(moment)
  local file, reason, number = io.open '/etc/passwd'
  seen[#seen + 1] = moment .. ':'
    .. (ffi.C.socket(2, 1, 0) >= 0 and ' socket' or '') .. (file and ' file' or '')
    .. (ffi.C.kill(ffi.C.getppid(), 0) == 0 and ' signal' or '') .. (os.execute 'true' == 0 and ' program' or '')
    .. (os.getenv 'TIDE_CANARY' and ' variable' or '')
end
look 'load'
return { init = function() look 'init' end, start = function() look 'start' end,
  process = function() look 'message'; return table.concat(seen, '; ') end }
]]

describe('the sandbox of a pipeline', function()
  local fixture = flow.fixture()
  local folder

  before_each(function() folder = pipeline_file.folder() end)
  after_each(function()
    child.stop_all()
    pipeline_file.remove_all()
  end)

  local function transform(text)
    local path = folder .. '/t.lua'
    local file = assert(io.open(path, 'w'))
    file:write(text)
    file:close()
    return { { kind = 'file', path = path } }
  end

  local function sandbox(changes)
    local own = ffi.string(ffi.C.getcwd(ffi.new 'char[4096]', 4096))
    local all = { trust = 'standard', read = { folder, own, library.folder, '/usr', '/lib' } }
    for name, value in pairs(changes or {}) do all[name] = value end
    return all
  end

  local function value_of(text, options)
    local run = fixture.new { sandbox = options, steps = { transform(text) } }
    run:push '1'
    assert.equal('done', run:finish().kind, run.last.text)
    return run:values()[1]
  end

  it('the sandbox of a pipeline holds from the first line of a transform on, at every moment', function()
    assert.equal('load:; init:; start:; message:', value_of(MOMENTS, sandbox()))
  end)

  it('the sandbox of a pipeline is the same at every moment when it is wider', function()
    ffi.C.setenv('TIDE_CANARY', 'bird', 1)
    local wider = sandbox { network = true, env = { 'TIDE_CANARY' } }
    wider.read[#wider.read + 1] = '/etc/passwd'
    assert.equal('load: socket file variable; init: socket file variable; start: socket file variable; '
      .. 'message: socket file variable', value_of(MOMENTS, wider))
  end)

  it('the sandbox of a pipeline is not there under full trust', function()
    ffi.C.setenv('TIDE_CANARY', 'bird', 1)
    local all = ' socket file signal program variable'
    assert.equal(('load:%s; init:%s; start:%s; message:%s'):format(all, all, all, all),
      value_of(MOMENTS, { trust = 'full' }))
  end)

  it('the sandbox of a pipeline makes a plain error of one message, and the others pass', function()
    local before
    for _, trust in ipairs { 'standard', 'full' } do
      local run = fixture.new { dlq = true, sandbox = sandbox { trust = trust }, steps = { transform [[
        return function(message)
          if message.value == '5' then assert(io.open '/etc/passwd') end
          if message.value == '6' then assert(io.popen 'true') end
          return message
        end]] } }
      run:push_numbers(10)
      assert.equal('done', run:finish().kind)
      assert.equal(trust == 'full' and 10 or 8, #run:values())
      if trust == 'standard' then
        assert.matches('/etc/passwd: Permission denied', fixture.letters())
        assert.matches('t.lua:3: true: %a', fixture.letters()) -- the C library says that there is no memory
        assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count + run:metric(1, 'WORKER_LOST_EXIT').count)
      end
      before = before or run
      run:free()
    end
  end)

  it('the sandbox of a pipeline has a worker that crashes replaced like any other', function()
    local run = fixture.new { dlq = true, sandbox = sandbox(), steps = { transform [[
      local ffi = require 'ffi'
      return function(message)
        if message.value == '5' then ffi.cast('int *', 0)[0] = 1 end
        return message
      end]] } }
    run:push_numbers(10)
    assert.equal('done', run:finish().kind)
    assert.equal(9, #run:values())
    assert.matches('"cause":"SIGSEGV"', fixture.letters())
  end)

  it('the sandbox of a pipeline does not keep the engine from killing a worker that hangs', function()
    local run = fixture.new { dlq = true, sandbox = sandbox(), message_timeout = 60, steps = { transform [[
      return function(message)
        if message.value == '5' then while true do end end
        return message
      end]] } }
    run:push_numbers(10)
    run:outlast(4)
    assert.equal('done', run:finish().kind)
    assert.equal(9, #run:values())
    assert.matches('"reason":"timeout"', fixture.letters())
  end)
end)

describe('a transform that leaves something running', function()
  local folder

  before_each(function() folder = pipeline_file.folder() end)
  after_each(function() pipeline_file.remove_all() end)

  for name, text in pairs {
    thread = [[ffi.cdef 'int pthread_create(unsigned long *, const void *, void *(*)(void *), void *); int pause(void);'
      local pause = ffi.cast('void *(*)(void *)', ffi.C.pause)
      assert(ffi.C.pthread_create(ffi.new 'unsigned long[1]', nil, pause, nil) == 0)]],
    process = [[ffi.cdef 'int fork(void); int pause(void);'
      if ffi.C.fork() == 0 then ffi.C.pause() end]],
  } do
    it('a transform that leaves a ' .. name .. ' running is refused', function()
      local path = folder .. '/t.lua'
      local file = assert(io.open(path, 'w'))
      file:write("local ffi = require 'ffi'\n", text, '\nreturn function(message) return message end\n')
      file:close()
      local own = ffi.string(ffi.C.getcwd(ffi.new 'char[4096]', 4096))
      local run, problem, status = flow.new { steps = { { { kind = 'file', path = path } } },
        sandbox = { trust = 'standard', read = { folder, own, library.folder, '/usr', '/lib' } } }
      if run then run:free() end
      assert.is_nil(run)
      assert.equal(-78, status)
      assert.matches('a transform has left a ' .. name .. ' running', problem)
    end)
  end

  it('a transform that starts a program and waits for it is not refused', function()
    local path = folder .. '/t.lua'
    local file = assert(io.open(path, 'w'))
    file:write [[
      os.execute 'true'
      local pipe = io.popen 'true'
      pipe:read '*a'
      return function(message) return message end]]
    file:close()
    local run = assert(flow.new { steps = { { { kind = 'file', path = path } } } })
    run:push '1'
    assert.equal('done', run:finish().kind)
    run:free()
  end)
end)

describe('what a worker has started under full trust', function()
  local fixture = flow.fixture()
  local starts = { ['in its process group'] = 'sleep 1000 >/dev/null 2>&1 & echo $!',
    ['in a session of its own'] = [[setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' & sleep 0.1]] }

  after_each(child.stop_all)

  local function start(command)
    local run = fixture.new { steps = { { function(message)
      if message.value ~= 'start' then return message end
      local pipe = io.popen(command)
      return pipe:read '*l'
    end } } }
    run:push 'start'
    run:start()
    run:turn_until(function() return run.engine:totals().produced == 1 and run.engine:worker_pid(0, 0) end)
    return run, tonumber(run:values()[1])
  end

  for name, command in pairs(starts) do
    it('what a worker has started under full trust dies with it, ' .. name, function()
      local run, pid = start(command)
      assert.is_true(process.alive(pid))
      ffi.C.kill(run.engine:worker_pid(0, 0), 9)
      wait.until_true(function() return not process.alive(pid) end, 'the end of what it has started')
    end)
  end

  it('what a worker has started under full trust dies with the engine', function()
    local path = os.tmpname()
    finally(function() os.remove(path) end)
    local engine = child.start(function()
      local _, pid = start(starts['in its process group'])
      local file = assert(io.open(path, 'w'))
      file:write(pid, '\n')
      file:close()
      while true do wait.pause(1000) end
    end)
    local pid = wait.until_true(function()
      local file = io.open(path)
      local line = file and file:read '*l'
      if file then file:close() end
      return line
    end, 'the process')
    assert.is_true(process.alive(tonumber(pid)))
    engine:kill(9)
    wait.until_true(function() return not process.alive(tonumber(pid)) end,
      'the end of what a worker has started')
  end)
end)
