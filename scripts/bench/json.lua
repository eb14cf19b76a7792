-- SPDX-License-Identifier: MIT
-- ns a message in the worker's loop, one process, no Kafka: the JSON view against lua-cjson on the job of
-- scripts/transform.lua, and tide.json.table / encode against cjson.decode / encode.
-- A block holds 1000 events, as a batch does by default. luajit scripts/bench/json.lua [ROUNDS] [RUNS] [hardened], from
-- the project's folder; hardened: with the objects that functions have under trust = "hardened".
package.path = './lua/?.lua;./lua/?/init.lua;./?.lua;' .. package.path
local ffi = require 'ffi'
local cjson = require 'cjson'
local block = require 'spec.support.block'
local jobs = require 'scripts.bench.jobs'
local json = require('tidemill.run.json').public

require('jit.opt').start('maxmcode=8192', 'sizemcode=256', 'maxtrace=4000', 'maxrecord=16000', 'maxirconst=4000')

local EVENTS, ROUNDS, RUNS = 1000, tonumber(arg[1]) or 20, tonumber(arg[2]) or 9

if arg[3] == 'hardened' then require('tidemill.run.hardened').switch(true) end

local function tables(message)
  local event = json.table(message.value)
  if event.level == 'debug' then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return json.encode(event)
end

local function seconds()
  return os.clock() -- of the processor: others may use the machine as well
end

local function median(list)
  table.sort(list)
  return list[math.ceil(#list / 2)]
end

local function events()
  local lines = {}
  local pipe = assert(io.popen(('luajit scripts/bench/make_events.lua %d 2>/dev/null'):format(EVENTS)))
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

-- Contenders in turn, so that a slow moment of the machine hits all; medians.
local function race(contenders)
  local times = {}
  for i = 1, #contenders do times[i] = {} end
  for run = 0, RUNS do -- run 0 warms up
    for i, contender in ipairs(contenders) do
      collectgarbage()
      local began = seconds()
      for _ = 1, ROUNDS do contender() end
      if run > 0 then times[i][run] = (seconds() - began) / ROUNDS / EVENTS * 1e9 end
    end
  end
  for i = 1, #contenders do times[i] = median(times[i]) end
  return times
end

local lines = events()
local input = block.new(lines)

local function through(fn)
  local loop = block.loop(fn)
  return function() input:run(loop) end
end

local function all(fn, list)
  return function()
    for i = 1, #list do fn(list[i]) end
  end
end

local loops = race({
  through(jobs.view), through(jobs.cjson), through(tables), through(jobs.identity),
  through(function(message) return message.json and message end),
})
local decoded, marked = {}, {}
for i, line in ipairs(lines) do decoded[i], marked[i] = cjson.decode(line), json.table(line) end
local decode = race({ all(json.table, lines), all(cjson.decode, lines) })
local encode = race({ all(json.encode, marked), all(cjson.encode, decoded) })

print(('%d times %d events, median of %d runs, ns of processor a message (%s)'):format(ROUNDS, EVENTS, RUNS, ffi.arch))
print(('view                 %7.0f'):format(loops[1]))
print(('lua-cjson            %7.0f  %.1f times the view'):format(loops[2], loops[2] / loops[1]))
print(('table and encode     %7.0f  lua-cjson %.2f times'):format(loops[3], loops[2] / loops[3]))
print(('identity             %7.0f'):format(loops[4]))
print(('opened, not changed  %7.0f'):format(loops[5]))
local both = '%-20s %7.0f  lua-cjson %7.0f, %.2f times'
print(both:format('tide.json.table', decode[1], decode[2], decode[2] / decode[1]))
print(both:format('tide.json.encode', encode[1], encode[2], encode[2] / encode[1]))
