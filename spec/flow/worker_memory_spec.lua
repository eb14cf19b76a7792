-- SPDX-License-Identifier: MIT
-- worker_memory: a message that eats memory without end costs its worker, itself, and nothing else.
local ffi = require 'ffi'
local cjson = require 'cjson'
local flow = require 'spec.support.flow'
local C = require('tidemill.run.ffi').C

pcall(ffi.cdef, 'void *malloc(size_t size); void *memset(void *to, int byte, size_t size); void abort(void);')

local MIB = 1024 * 1024
local LIMIT = 64 * MIB

-- What C code does that is refused memory: it looks no further, or it gives up.
local function fill_by_malloc()
  while true do ffi.C.memset(ffi.C.malloc(MIB), 1, MIB) end
end

local bombs = {
  ['a string that doubles'] = function()
    local text = 'x'
    while true do text = text .. text end
  end,
  ['one huge string.rep'] = function() return ('x'):rep(1500 * MIB) end,
  ['a table without end'] = function()
    local list = {}
    while list do list[#list + 1] = { #list } end
  end,
  ['a pcall around it'] = function()
    local list = {}
    while true do pcall(function() list[#list + 1] = ('x'):rep(MIB + #list) end) end
  end,
  ['cdata'] = function()
    local last
    while true do last = { last, ffi.new('char[?]', MIB) } end
  end,
  ['malloc, then a null pointer'] = fill_by_malloc,
  ['malloc, then abort'] = function()
    while true do
      local memory = ffi.C.malloc(MIB)
      if memory == nil then ffi.C.abort() end
      ffi.C.memset(memory, 1, MIB)
    end
  end,
  ['memory of our own'] = function()
    while true do ffi.fill(C.tide_alloc(MIB), MIB, 1) end
  end,
  ['malloc, then exit'] = function()
    while ffi.C.malloc(MIB) ~= nil do end
    os.exit(1)
  end,
}

describe('worker_memory', function()
  local fixture = flow.fixture()

  local function letters()
    local list = {}
    for line in io.lines(fixture.dlq) do list[#list + 1] = cjson.decode(line) end
    return list
  end

  for name, bomb in pairs(bombs) do
    it('worker_memory blames the message that wants more: ' .. name, function()
      local run = fixture.new { dlq = true, pools = { 2 }, worker_memory = LIMIT, steps = { { function(message)
        if message.value == '21' then bomb() end
        return message
      end, max_batch_size = 64, eager = false } } }
      run:push_numbers(128)
      assert.equal('done', run:finish().kind)
      assert.equal(127, #run:values())
      assert.equal(1, #letters())
      local letter = letters()[1]
      assert.same({ 20, 'memory', 'worker_memory', 2 },
        { letter.original_offset, letter.reason, letter.cause, letter.attempts })
      assert.matches('wanted more than worker_memory', letter.error)
      assert.equal(2, run:metric(1, 'WORKER_LOST_MEMORY').count)
      assert.equal(0, run:metric(1, 'WORKER_LOST_SIGNAL').count + run:metric(1, 'WORKER_LOST_EXIT').count)
    end)
  end

  it('worker_memory is what a worker may take beyond what init has loaded', function()
    local path = os.tmpname()
    local out = assert(io.open(path, 'w'))
    out:write [[local ffi = require 'ffi'
      local loaded = {}
      return { init = function() for i = 1, 100 do loaded[i] = ffi.new('char[1048576]', 1) end end,
        process = function(m) local more = ('x'):rep(30 * 1048576); return #more .. '+' .. #loaded end }]]
    out:close()
    finally(function() os.remove(path) end)
    local run = fixture.new { worker_memory = LIMIT, steps = { { { kind = 'file', path = path } } } }
    run:push '1'
    assert.equal('done', run:finish().kind)
    assert.same({ '31457280+100' }, run:values())
  end)

  it('worker_memory that is used up little by little by many messages costs a worker and no message', function()
    local run = fixture.new { worker_memory = LIMIT, steps = { { function(message)
      rawset(_G, 'leak', { rawget(_G, 'leak'), ('x'):rep(MIB) .. message.value })
      return message.value
    end, max_batch_size = 16 } } }
    run:push_numbers(200)
    assert.equal('done', run:finish().kind)
    assert.equal(200, #run:values())
    assert.is_true(run:metric(1, 'WORKER_LOST_MEMORY').count >= 2)
  end)

  it('worker_memory says nothing of a crash with memory left', function()
    local run = fixture.new { dlq = true, worker_memory = LIMIT, steps = { { function(message)
      if message.value == '2' then ffi.C.abort() end
      return message
    end } } }
    run:push_numbers(3)
    assert.equal('done', run:finish().kind)
    local letter = letters()[1]
    assert.same({ 'crash', 'SIGABRT' }, { letter.reason, letter.cause })
  end)

  it('worker_memory does not get in the way of a worker that closes its Lua state', function()
    local run = fixture.new { dlq = true, worker_memory = LIMIT, steps = { { function() os.exit(3, true) end } } }
    run:push '1'
    assert.equal('done', run:finish().kind)
    assert.equal('exit 3', letters()[1].cause)
  end)

  it('worker_memory goes with the kernel taking workers before the engine', function()
    local run = fixture.new { steps = { { function() return (io.open '/proc/self/oom_score_adj'):read '*l' end } } }
    local own = tonumber((io.open '/proc/self/oom_score_adj'):read '*l')
    run:push '1'
    assert.equal('done', run:finish().kind)
    assert.same({ tostring(math.min(1000, own + 500)) }, run:values())
  end)
end)
