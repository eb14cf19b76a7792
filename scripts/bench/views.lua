-- SPDX-License-Identifier: MIT
-- What a script does on a view (message.json) against the same on plain tables (tide.json.table, then
-- tide.json.encode), ns a message in the worker's loop, one process, no Kafka. A number above 1.00 in the last column
-- says how many times longer the view takes. luajit scripts/bench/views.lua [RUNS] [PATTERN], from the project's
-- folder; PATTERN: cases by name.
package.path = './lua/?.lua;./lua/?/init.lua;./?.lua;' .. package.path
local block = require 'spec.support.block'
local json = require('tidemill.run.json').public
local race = require 'scripts.bench.race'

require('jit.opt').start('maxmcode=8192', 'sizemcode=256', 'maxtrace=4000', 'maxrecord=16000', 'maxirconst=4000')

local RUNS, PATTERN = tonumber(arg[1]) or 7, arg[2] or ''
local MESSAGES = 200

local function numbers(count)
  local list = {}
  for i = 1, count do list[i] = i % 97 end
  return table.concat(list, ',')
end

local function rows(count)
  local list = {}
  for i = 1, count do list[i] = ('{"id":%d,"name":"row %d","price":%d.5,"count":%d}'):format(i, i, i, i % 7) end
  return table.concat(list, ',')
end

local EVENT = '{"id":%d,"ts":"2026-01-02T03:04:05.678Z","level":"info","value":12.5,"user":"user-000123",'
  .. '"tags":{"host":"web-001","region":"eu-west-1","zone":"b"},"text":"order accepted by the gateway after retry",'
  .. '"retries":3,"ok":true}'
local LIST = '{"id":%d,"list":[' .. numbers(100) .. '],"other":[' .. numbers(100) .. ']}'
local LONG = '{"id":%d,"list":[' .. numbers(1000) .. ']}'
local ROWS = '{"id":%d,"rows":[' .. rows(20) .. ']}'

local cases = {}

-- `fn` gets the root, be it a view or a table; `each` and `length` are what a script takes for the one or the other.
local function case(name, document, fn)
  if name:find(PATTERN) then cases[#cases + 1] = { name = name, document = document, fn = fn } end
end

case('read three fields', EVENT, function(event)
  event.sum = event.value + event.retries + #event.user
end)

case('read a field 20 times', EVENT, function(event)
  local sum = 0
  for _ = 1, 20 do sum = sum + event.value end
  event.sum = sum
end)

case('read a text 20 times', EVENT, function(event)
  local sum = 0
  for _ = 1, 20 do sum = sum + #event.text end
  event.sum = sum
end)

case('read nested fields', EVENT, function(event)
  event.place = event.tags.host .. event.tags.region .. event.tags.zone
end)

case('walk the members', EVENT, function(event, each)
  local sum = 0
  for key in each(event) do sum = sum + #key end
  event.sum = sum
end)

case('walk and copy the members', EVENT, function(event, each)
  local copy = {}
  for key, value in each(event.tags) do copy[key .. '_'] = value end
  event.tags = copy
end)

case('write three fields', EVENT, function(event)
  event.level, event.value, event.retries = 'warn', 13.5, 4
end)

case('write nested fields', EVENT, function(event)
  event.tags.host, event.tags.region, event.tags.zone = 'web-002', 'us-east-1', 'c'
end)

case('build nested tables', EVENT, function(event)
  event.made = { by = 'us', at = { day = 1, hour = 2 }, list = { 1, 2, 3 } }
end)

case('write into what was built', EVENT, function(event)
  event.made = {}
  event.made.by = 'us'
  event.made.at = {}
  event.made.at.day = 1
  event.made.at.hour = 2
end)

local NAMES = {}
for i = 1, 100 do NAMES[i] = 'field' .. i end
for _, count in ipairs { 10, 100 } do
  case(('add %d fields'):format(count), EVENT, function(event)
    for i = 1, count do event[NAMES[i]] = i end
  end)
end

case('write a field 50 times', EVENT, function(event)
  for i = 1, 50 do event.value = i end
end)

case('count up a field 50 times', EVENT, function(event)
  for _ = 1, 50 do event.retries = event.retries + 1 end
end)

case('append to a text 10 times', EVENT, function(event)
  for _ = 1, 10 do event.text = event.text .. '.' end
end)

case('sum 100 elements by index', LIST, function(event, _, length)
  local sum, list = 0, event.list
  for i = 1, length(list) do sum = sum + list[i] end
  event.sum = sum
end)

case('sum 100 elements by each', LIST, function(event, each)
  local sum = 0
  for _, value in each(event.list) do sum = sum + value end
  event.sum = sum
end)

case('sum 100 by event.list[i]', LIST, function(event, _, length)
  local sum = 0
  for i = 1, length(event.list) do sum = sum + event.list[i] end
  event.sum = sum
end)

case('two arrays side by side', LIST, function(event, _, length)
  local sum, list, other = 0, event.list, event.other
  for i = 1, length(list) do sum = sum + list[i] * other[i] end
  event.sum = sum
end)

case('write 100 elements', LIST, function(event, _, length)
  local list = event.list
  for i = 1, length(list) do list[i] = list[i] * 2 end
end)

case('write 1000 elements', LONG, function(event, _, length)
  local list = event.list
  for i = 1, length(list) do list[i] = list[i] * 2 end
end)

for _, count in ipairs { 10, 100, 1000 } do
  case(('append %d elements'):format(count), LIST, function(event, _, length)
    local list = event.list
    for i = 1, count do list[length(list) + 1] = i end
  end)
end

case('remove 50 at the end', LIST, function(event, _, length)
  local list = event.list
  for _ = 1, 50 do list[length(list)] = nil end
end)

case('read a field of 20 rows', ROWS, function(event, _, length)
  local sum, list = 0, event.rows
  for i = 1, length(list) do sum = sum + list[i].price end
  event.sum = sum
end)

case('read 3 fields of 20 rows', ROWS, function(event, _, length)
  local sum, list = 0, event.rows
  for i = 1, length(list) do sum = sum + list[i].price * list[i].count + list[i].id end
  event.sum = sum
end)

case('write a field of 20 rows', ROWS, function(event, _, length)
  local list = event.rows
  for i = 1, length(list) do list[i].price = list[i].price * 2 end
end)

case('walk the members of 20 rows', ROWS, function(event, each)
  local sum = 0
  for _, row in each(event.rows) do
    for _, value in each(row) do sum = sum + (type(value) == 'number' and value or 0) end
  end
  event.sum = sum
end)

local function length_of(list) return #list end

-- The loop for the view and that for tables.
local function loops(one)
  local fn, each, len = one.fn, json.each, json.len
  return block.loop(function(message)
    fn(message.json, each, len)
    return message
  end), block.loop(function(message)
    local event = json.table(message.value)
    fn(event, pairs, length_of)
    return json.encode(event)
  end)
end

print(('%d messages, median of %d runs, ns of processor a message'):format(MESSAGES, RUNS))
print '                                  view    tables   view/tables'
for _, one in ipairs(cases) do
  local texts = {}
  for i = 1, MESSAGES do texts[i] = one.document:format(i) end
  local input = block.new(texts)
  local view, tables = loops(one)
  local times = race({ function() input:run(view) end, function() input:run(tables) end },
    { rounds = 20, runs = RUNS, messages = MESSAGES })
  print(('%-30s %8.0f %9.0f %13.2f'):format(one.name, times[1], times[2], times[1] / times[2]))
end
