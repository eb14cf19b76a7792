-- SPDX-License-Identifier: MIT
-- What the benchmarks do with an event: nothing (what the engine itself costs), the job of scripts/transform.lua
-- (drop debug events, double a value under a new name, mark as seen) by message.json, by tide.json.table and encode,
-- and by lua-cjson; counting how often each key came, and keeping its last value.
local cjson = require "cjson"
local tide = require "tidemill"

local jobs = {}

function jobs.identity(message)
  return message
end

function jobs.view(message)
  local event = message.json
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return message
end

function jobs.tables(message)
  local event = tide.json.table(message.value)
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return tide.json.encode(event)
end

function jobs.cjson(message)
  local event = cjson.decode(message.value)
  if event.level == "debug" then return nil end
  event.v, event.value = event.value * 2, nil
  event.seen = true
  return cjson.encode(event)
end

function jobs.count(message, state)
  local count = (state.value or 0) + 1
  state.value = count
  message.value = tostring(count)
  return message
end

-- The value that the key had before; nothing for a new key.
function jobs.last(message, state)
  local before = state.value
  state.value, message.value = message.value, before
  return before and message
end

return jobs
