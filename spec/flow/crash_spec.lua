-- SPDX-License-Identifier: MIT
-- What a crash leaves: the signal, the line of the script and the native functions, in the dead letter and in the log.
local cjson = require 'cjson'
local ffi = require 'ffi'
local flow = require 'spec.support.flow'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local C = require('tidemill.run.ffi').C

local PROGRAM = require('spec.support.program').path

-- A module of C that crashes in each way. It is compiled once.
local MODULE = [[
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
void poke(void);
void poke(void) { *(volatile int *)8 = 1; }
void spin(void);
void spin(void) { for (;;) __asm__ volatile(""); }
void touch(int n);
void touch(int n) { if (n == 4) poke(); }
int deep(volatile int n);
int deep(volatile int n) { volatile char room[4096]; room[n % 4096] = 1; return deep(n + 1) + room[0]; }
int divide(int by);
int divide(int by) { volatile int zero = by; return 5 / zero; }
void trap(void);
void trap(void) { __builtin_trap(); }
void give_up(void);
void give_up(void) { abort(); }
void lose(void);
void lose(void) {
  int fd = memfd_create("x", 0), cut = ftruncate(fd, 4096);
  volatile char *at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
  cut += ftruncate(fd, 0) + *at;
}
typedef struct lua_State lua_State;
typedef int (*function)(lua_State *);
void lua_pushcclosure(lua_State *L, function, int);
static int crash(lua_State *L) { (void)L; poke(); return 0; }
int luaopen_tide_crash(lua_State *L);
int luaopen_tide_crash(lua_State *L) { lua_pushcclosure(L, crash, 0); return 1; }
]]

local folder, module_path

setup(function()
  folder = os.tmpname() .. '.d'
  assert(os.execute('mkdir ' .. folder) == 0)
  module_path = folder .. '/tide_crash.so'
  local out = assert(io.open(folder .. '/crash.c', 'w'))
  out:write(MODULE)
  out:close()
  assert(os.execute(('cc -O0 -shared -fPIC -o %s %s/crash.c'):format(module_path, folder)) == 0)
end)

teardown(function() os.execute('rm -rf ' .. folder) end)

describe('a crash', function()
  local fixture = flow.fixture()
  after_each(pipeline_file.remove_all)

  -- A transform file whose lines begin with these, so that line numbers are known.
  local function transform(lines)
    local text = ('local ffi = require "ffi"\nffi.cdef "void poke(void); int deep(int); int divide(int); '
      .. 'int poll(void *, unsigned long, int); '
      .. 'void trap(void); void touch(int); void spin(void); void give_up(void); void lose(void); '
      .. 'void rewind(void *); int munmap(void *, size_t);"\n'
      .. 'local lib = ffi.load(%q)\n%s\n'):format(module_path, lines)
    local path = folder .. '/t.lua'
    local out = assert(io.open(path, 'w'))
    out:write(text)
    out:close()
    return path
  end

  -- The dead letter of message "5" of ten.
  local function letter_of(lines, options)
    options = options or {}
    local path = transform(lines)
    local run = fixture.new { dlq = true, message_timeout = options.message_timeout, limits = options.limits,
      steps = { { { kind = 'file', path = path }, max_batch_size = options.batch or 10, eager = false,
        crash_retries = options.crash_retries } } }
    run:push_numbers(options.count or 10)
    if options.message_timeout then run:outlast(4) end
    assert.equal('done', run:finish().kind)
    assert.equal((options.count or 10) - 1, #run:values())
    return cjson.decode(fixture.letters()), path
  end

  local function has(text, wanted)
    assert.is_truthy(tostring(text):find(wanted, 1, true), ('%q in %s'):format(wanted, tostring(text)))
  end

  for name, case in pairs {
    ['in a function called by ffi'] = { 'lib.poke()', 'SIGSEGV', 'address 0x8', 'tide_crash.so: poke+0x' },
    ['in a function of the C library'] = { 'ffi.C.rewind(ffi.cast("void *", 16))', 'SIGSEGV', 'address 0x',
      'libc.so.6: rewind+0x' },
    ['in a C module'] = { 'package.loadlib(' .. ('%q'):format('@') .. ', "luaopen_tide_crash")()()', 'SIGSEGV',
      'address 0x8', 'tide_crash.so: poke+0x' },
    ['by abort'] = { 'lib.give_up()', 'SIGABRT', 'SIGABRT', 'tide_crash.so: give_up+0x' },
    ['by a division by zero'] = { 'lib.divide(0)', 'SIGFPE', 'SIGFPE', 'tide_crash.so: divide+0x' },
    ['by an illegal instruction'] = { 'lib.trap()', 'SIGILL', 'SIGILL', 'tide_crash.so: trap+0x' },
    ['by memory that a file has lost'] = { 'lib.lose()', 'SIGBUS', 'SIGBUS, address 0x', 'tide_crash.so: lose+0x' },
    ['by a stack that overflows'] = { 'lib.deep(1)', 'SIGSEGV', 'address 0x', 'tide_crash.so: deep+0x' },
    ['by a pointer in Lua'] = { 'ffi.cast("int *", 16)[0] = 1', 'SIGSEGV', 'address 0x10', 'native:' },
  } do
    it('a crash ' .. name .. ' leaves the line of the script and the native function in its dead letter', function()
      local letter, path = letter_of(('return function(m)\n  if m.value == "5" then\n    %s\n  end\n  return m\nend')
        :format((case[1]:gsub('@', module_path))))
      assert.same({ 'crash', case[2], 2 }, { letter.reason, letter.cause, letter.attempts })
      has(letter.traceback, case[3])
      has(letter.traceback, path .. ':6: in function <' .. path .. ':4>')
      has(letter.traceback, case[4])
      assert.is_true(#letter.traceback < 1024)
    end)
  end

  it('a crash in a JSON view is shown with the line that asked the view', function()
    local letter, path = letter_of([[return function(m)
  if m.value == "5" then
    for line in io.lines "/proc/self/maps" do
      local from, to = line:match "^(%x+)%-(%x+) r%-%-s.*memfd:tidemill%-block"
      if from then ffi.C.munmap(ffi.cast("void *", tonumber(from, 16)), tonumber(to, 16) - tonumber(from, 16)) end
    end
    local found = m.json.field
  end
  return m
end]])
    assert.equal('crash', letter.reason)
    has(letter.traceback, path .. ':10: in function <' .. path .. ':4>')
  end)

  it('a crash in a function that others have called is shown with all of them', function()
    local letter, path = letter_of([[local function inner() lib.poke() return 1 end
local function outer() return inner() + 1 end
return function(m) if m.value == "5" then return outer() + 1 end return m end]])
    has(letter.traceback, path .. ":4: in function 'inner'")
    has(letter.traceback, path .. ":5: in function 'outer'")
    has(letter.traceback, path .. ':6: in function <' .. path .. ':6>')
  end)

  it('a crash in compiled code is shown with the function, though not with its line', function()
    local letter, path = letter_of([[return function(m)
  lib.touch(#m.value)
  return m
end]], { count = 1000, batch = 1000, crash_retries = 0 })
    has(letter.traceback, path .. ':')
    has(letter.traceback, 'compiled code')
    has(letter.traceback, 'tide_crash.so: poke+0x')
  end)

  for name, case in pairs {
    ['a compiled loop'] = { 'while true do end', ':6: in compiled code that begins there' },
    ['a C function'] = { 'lib.spin()', 'tide_crash.so: spin+0x' },
    ['a sleep'] = { 'ffi.C.poll(nil, 0, 100000)', ':6: in function <' },
  } do
    it('a crash is not needed to know where a message was that took too long: ' .. name, function()
      local letter, path = letter_of(('return function(m)\n  if m.value == "5" then\n    %s\n  end\n  return m\nend')
        :format(case[1]), { message_timeout = 60 })
      assert.equal('timeout', letter.reason)
      has(letter.traceback, 'killed at a limit of time')
      has(letter.traceback, path .. ':6: in ')
      has(letter.traceback, case[2])
    end)
  end

  it('a crash says nothing that a terminal would obey: control bytes become question marks', function()
    local text = ffi.new('char[1532]', 'one\n\ttwo\27[31m\r\1\255three')
    local clean = ffi.new 'char[1024]'
    require('spec.support.headers').declare('proc/inside.h')
    C.tide_crash_clean(clean, text, 1532)
    assert.equal('one\n\ttwo?[31m???three', ffi.string(clean))
  end)

  it('a crash leaves no core file unless one is asked for', function()
    local function limit(core_dumps)
      local run = fixture.new { core_dumps = core_dumps, steps = { { function()
        for line in io.lines '/proc/self/limits' do
          if line:find '^Max core' then return line end
        end
      end } } }
      run:push '1'
      assert.equal('done', run:finish().kind)
      return run:values()[1]
    end
    assert.matches('size%s+0%s+0%s+bytes', limit(false))
    fixture.run:free()
    local own = io.open('/proc/self/limits'):read('*a'):match('Max core file size%s+%S+%s+(%S+)')
    assert.matches('size%s+' .. own .. '%s+' .. own .. '%s+bytes', limit(true))
  end)

  local function run_program(path)
    local code, _, text = process.run({ '/bin/sh', '-c', 'seq 1 10 | "$0" run "$1" --input -', PROGRAM, path },
      { timeout = 60 })
    return code, text
  end

  local function pipeline_of(path)
    return (pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, dlq = tide.dlq { path = "/dev/null" },
  tide.run_task_with_multiprocessing { %q, processes = 1 }, tide.file_sink { path = "/dev/null" } }
]]):format(path)))
  end

  it('a crash is in the log too', function()
    local path = transform 'return function(m)\n  if m.value == "5" then lib.poke() end\n  return m\nend'
    local code, text = run_program(pipeline_of(path))
    assert.equal(0, code, text)
    has(text, 'was killed by signal 11 (Segmentation fault): SIGSEGV, address 0x8')
    has(text, path .. ':5: in function')
    has(text, 'tide_crash.so: poke+0x')
  end)

  it('a crash in init ends the run with 78, and the hook, the line and the function', function()
    local path = transform 'return { init = function()\n  lib.poke()\nend, process = function(m) return m end }'
    local code, text = run_program(pipeline_of(path))
    assert.equal(78, code, text)
    has(text, ('init: %s:4: the process that loads the transforms crashed: SIGSEGV'):format(path))
    has(text, path .. ':5: in function')
    has(text, 'tide_crash.so: poke+0x')
  end)

  it('a crash at the top of a file ends the run with 78, and the line', function()
    local path = transform 'lib.poke()\nreturn function(m) return m end'
    local code, text = run_program(pipeline_of(path))
    assert.equal(78, code, text)
    has(text, path .. ':4: in ')
  end)

  it('a crash in start ends the run with 75, and the line and the function', function()
    local path = transform 'return { start = function()\n  lib.poke()\nend, process = function(m) return m end }'
    local code, text = run_program(pipeline_of(path))
    assert.equal(75, code, text)
    has(text, 'died 5 times in a row before it was ready: SIGSEGV')
    has(text, path .. ':5: in function')
    has(text, 'tide_crash.so: poke+0x')
  end)
end)
