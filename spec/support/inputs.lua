-- SPDX-License-Identifier: MIT
-- Numbered messages, and what became of them in an output topic.
local kafka = require "spec.support.kafka"
local wait = require "spec.support.wait"

local inputs = {}

--- Messages with the values "from" to "to" and keys[number % 97], so that keys spread over the partitions.
function inputs.numbers(from, to)
  local messages = {}
  for i = from, to do messages[#messages + 1] = { key = "k" .. i % 97, value = tostring(i) } end
  return messages
end

--- How many messages a topic has had.
function inputs.count(topic)
  local sum = 0
  for _, offset in pairs((kafka.ends(topic))) do sum = sum + offset end
  return sum
end

local function all_committed(group, topic)
  local committed = kafka.committed(group, topic)
  for partition, offset in pairs((kafka.ends(topic))) do
    if (committed[partition] or 0) ~= offset then return false end
  end
  return true
end

--- Waits until the group has committed the present ends, or `ended()` is true, also for a broker that does not answer.
function inputs.wait_committed(group, topic, seconds, ended)
  wait.until_true(function()
    local answered, result = pcall(all_committed, group, topic)
    return answered and result or (ended and ended())
  end, seconds or 60, "everything to be committed")
end

--- { number = how often it is in the topic }
function inputs.seen(topic)
  local seen = {}
  for _, message in ipairs(kafka.consume(topic)) do
    local number = tonumber(message.value)
    seen[number] = (seen[number] or 0) + 1
  end
  return seen
end

-- Fails with the first few that are wrong.
local function check(topic, count, wrong, what)
  local seen, list = inputs.seen(topic), {}
  for i = 1, count do
    if wrong(seen[i] or 0) then list[#list + 1] = ("%d (%d times)"):format(i, seen[i] or 0) end
  end
  local first = table.concat(list, ", ", 1, math.min(10, #list))
  assert(#list == 0, ("%d of %d %s: %s ..."):format(#list, count, what, first))
end

--- Each of 1 .. count is there once.
function inputs.once(topic, count)
  check(topic, count, function(times) return times ~= 1 end, "not there once")
  assert(inputs.count(topic) == count, "there is more than was sent")
end

function inputs.at_least_once(topic, count)
  check(topic, count, function(times) return times == 0 end, "lost")
end

--- Each key's numbers only rise; `topic` has them in partitions by key.
function inputs.in_order(topic)
  local last = {}
  for _, message in ipairs(kafka.consume(topic)) do
    local number = tonumber(message.value)
    assert(number > (last[message.key] or 0), "out of order, or doubled: " .. message.value)
    last[message.key] = number
  end
end

--- Where messages may come twice: each key's numbers rise where they come for the first time.
function inputs.first_in_order(topic)
  local last, seen = {}, {}
  for _, message in ipairs(kafka.consume(topic)) do
    local number = tonumber(message.value)
    if not seen[number] then
      assert(number > (last[message.key] or 0), "out of order: " .. message.value)
      last[message.key], seen[number] = number, true
    end
  end
end

--- The value of a message's header, nil where it has none of that name.
function inputs.header(message, name)
  for _, header in ipairs(message.headers) do
    if header[1] == name then return header[2] end
  end
end

return inputs
