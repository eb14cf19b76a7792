-- SPDX-License-Identifier: MIT
-- ns a message in the worker's loop, one process, no Kafka: the JSON view against lua-cjson on the job of
-- scripts/transform.lua, and tide.json.table / encode against cjson.decode / encode on it and on other documents.
-- A block holds 1000 events, as a batch does by default. luajit scripts/bench/json.lua [ROUNDS] [RUNS] [hardened], from
-- the project's folder; hardened: with the objects that functions have under trust = "hardened".
package.path = './lua/?.lua;./lua/?/init.lua;./?.lua;' .. package.path
local ffi = require 'ffi'
local cjson = require 'cjson'
local block = require 'spec.support.block'
local jobs = require 'scripts.bench.jobs'
local documents = require 'scripts.bench.json_documents'
local json = require('tidemill.run.json').public
local race_of = require 'scripts.bench.race'

require('jit.opt').start('maxmcode=8192', 'sizemcode=256', 'maxtrace=4000', 'maxrecord=16000', 'maxirconst=4000')

local EVENTS, ROUNDS, RUNS = 1000, tonumber(arg[1]) or 20, tonumber(arg[2]) or 9

if arg[3] == 'hardened' then require('tidemill.run.hardened').switch(true) end

local function job(event)
  if event.level == 'debug' then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return json.encode(event)
end

local function of_the_value(message)
  return (job(json.table(message.value)))
end

local function of_the_view(message)
  return (job(json.table(message.json)))
end

local function events()
  local lines = {}
  local pipe = assert(io.popen(('luajit scripts/bench/make_events.lua %d 2>/dev/null'):format(EVENTS)))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local function race(contenders)
  return race_of(contenders, { rounds = ROUNDS, runs = RUNS, messages = EVENTS })
end

local lines = events()
local input = block.new(lines)

local function through(fn)
  local loop = block.loop(fn)
  return function() input:run(loop) end
end

-- A loop of its own for each, since LuaJIT compiles a loop for the function that it sees in it first.
local function all(fn, list)
  local loop = assert(loadstring 'local fn, list = ... return function() for i = 1, #list do fn(list[i]) end end')
  return loop(fn, list)
end

local loops = race({
  through(jobs.view), through(jobs.cjson), through(of_the_value), through(jobs.identity),
  through(function(message) return message.json and message end), through(of_the_view),
})

print(('%d times %d events, median of %d runs, ns of processor a message (%s)'):format(ROUNDS, EVENTS, RUNS, ffi.arch))
print(('view                 %7.0f'):format(loops[1]))
print(('lua-cjson            %7.0f  %.1f times the view'):format(loops[2], loops[2] / loops[1]))
print(('table and encode     %7.0f  lua-cjson %.2f times'):format(loops[3], loops[2] / loops[3]))
print(('the same of the view %7.0f  lua-cjson %.2f times'):format(loops[6], loops[2] / loops[6]))
print(('identity             %7.0f'):format(loops[4]))
print(('opened, not changed  %7.0f'):format(loops[5]))

print '\n                              tide.json.table               tide.json.encode'
print 'documents            bytes     ns   lua-cjson   times        ns   lua-cjson   times'
local kinds = documents(EVENTS)
table.insert(kinds, 1, { name = 'event of the job', texts = lines })
for _, kind in ipairs(kinds) do
  local texts, tables_of, cjson_of, size = kind.texts, {}, {}, 0
  for i, text in ipairs(texts) do
    tables_of[i], cjson_of[i], size = json.table(text), cjson.decode(text), size + #text
  end
  local times = race { all(json.table, texts), all(cjson.decode, texts), all(json.encode, tables_of),
    all(cjson.encode, cjson_of) }
  print(('%-20s %5.0f %6.0f %11.0f %7.2f %9.0f %11.0f %7.2f'):format(kind.name, size / #texts, times[1], times[2],
    times[2] / times[1], times[3], times[4], times[4] / times[3]))
end
