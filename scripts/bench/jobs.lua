-- SPDX-License-Identifier: MIT
-- What the benchmarks do with an event: nothing (what the engine itself costs), and the job of scripts/transform.lua
-- (drop debug events, double a value under a new name, mark as seen) by message.json, by tide.json.table and encode,
-- and by lua-cjson.
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

return jobs
