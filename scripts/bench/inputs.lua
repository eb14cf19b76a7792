-- SPDX-License-Identifier: MIT
-- The topics that the contenders read, and whether what they wrote is right: a sample of the first messages of each
-- partition is compared with what the job makes of the events with the same ids.
local cjson = require "cjson"
local figures = require "scripts.bench.figures"
local kafka = require "spec.support.kafka"
local of_specs = require "spec.support.inputs"
local process = require "spec.support.process"

local inputs = { PARTITIONS = 16 }

local EVENTS = "luajit scripts/bench/make_events.lua %d"
local LIMIT_S = 900
local SAMPLE = 25 -- messages of each partition

--- The number of messages that a topic has had; transaction markers count as well.
inputs.count = of_specs.count
--- Waits until a group has committed the end of a topic: (group, topic).
inputs.wait_committed = of_specs.wait_committed

--- Makes a topic with `count` events, with `keys` of so many keys: { topic, count, debugs }.
function inputs.fill(count, keys)
  figures.say("writing %d events", count)
  local topic = kafka.topic(inputs.PARTITIONS)
  local command = (EVENTS .. " %s | build/kafka_tool %s fill %s %s"):format(count, keys and "1 " .. keys or "",
    kafka.bootstrap(), topic, keys and "keys" or "")
  local code, _, words = process.run({ "sh", "-c", command }, { timeout = LIMIT_S })
  local total = inputs.count(topic)
  if code ~= 0 or total ~= count then error(("%d of %d events arrived: %s"):format(total, count, words)) end
  return { topic = topic, count = count, debugs = tonumber(words:match "(%d+) of them debug") }
end

--- What is kept of an output for inputs.check: { id = value }.
function inputs.sample(topic)
  local values = {}
  for _, message in ipairs(kafka.sample(topic, SAMPLE)) do
    local id = tonumber(message.value:match '"id":%s*(%d+)')
    if not id then error("a result without an id: " .. message.value) end
    values[id] = message.value
  end
  return values
end

-- The event as a table, in which an integer that no number holds stands as its digits.
local function read(text, digits)
  local event = cjson.decode(text)
  event.trace = digits and text:match '"trace":%s*(%d+)' or nil
  return event
end

local function equal(one, other)
  if type(one) == "number" and type(other) == "number" then return math.abs(one - other) < 1e-9 end
  if type(one) ~= "table" or type(other) ~= "table" then return one == other end
  for name, value in pairs(one) do
    if not equal(value, other[name]) then return false end
  end
  for name in pairs(other) do
    if one[name] == nil then return false end
  end
  return true
end

local function is_right(contender, line, value)
  if contender.job == "identity" then return value == line end
  local digits = contender.digits ~= false
  local wanted = read(line, digits)
  if wanted.level == "debug" then return false end
  wanted.v, wanted.value, wanted.seen = wanted.value * 2, nil, true
  return equal(wanted, read(value, digits))
end

--- Compares all samples with the events that they came from, in one pass over these: samples = { { contender, values }
--- ... }. Returns { name = number of messages that were compared }, and what is wrong by name.
function inputs.check(samples)
  local last, compared, wrong = 0, {}, {}
  for _, sample in ipairs(samples) do
    compared[sample.contender.name] = 0
    for id in pairs(sample.values) do last = math.max(last, id) end
  end
  local id = 0
  local pipe = assert(io.popen((EVENTS .. " 2>/dev/null"):format(last)))
  for line in pipe:lines() do
    id = id + 1
    for _, sample in ipairs(samples) do
      local name, value = sample.contender.name, sample.values[id]
      if value then compared[name] = compared[name] + 1 end
      if value and not is_right(sample.contender, line, value) then
        wrong[name] = ("%s makes\n  %s\nof\n  %s"):format(name, value, line)
      end
    end
  end
  pipe:close()
  return compared, wrong
end

return inputs
