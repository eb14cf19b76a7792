-- SPDX-License-Identifier: MIT
-- The transform under torture behaves on each message as its id says (behaviour.lua).
local tide = require "tidemill"
local behaviour = require "behaviour"
local harm = require "harm"

local SECOND = tide.env("TORTURE_SECOND")

local function result(message, id, piece, count)
  local headers = harm.with_run(message.headers)
  if count then headers[#headers + 1] = { "count", tostring(count) } end
  local topic = behaviour.topic(id, piece) == "second" and SECOND or nil
  return { value = behaviour.output(id, piece), headers = headers, topic = topic }
end

local does = {}

function does.crash(_, id) harm.crash(id) end
function does.hang(_, id) harm.hang(id) end

function does.error(_, id)
  local way = id / 83 % 3
  if way == 0 then error("as its id says") end
  if way == 1 then return 42 end
  return tide.reject("as its id says")
end

function does.filter() end

function does.two(message, id, count)
  return tide.many { result(message, id, 1, count), result(message, id, 2, count) }
end

-- What it does to the state comes first: of a message that then fails nothing may remain.
local function count_key(state, id)
  local count = (state.counts.value or 0) + 1
  state.counts.value = count
  state.last.value = behaviour.last(id)
  return count
end

-- state: where the pipeline is one with state.
local function process(message, state)
  local id = tonumber(message.value:match("^%d+"))
  local count = state and count_key(state, id)
  local act = does[behaviour.of(id)]
  if act then return act(message, id, count) end
  return result(message, id, 1, count)
end

return { init = function() harm.note("zygote") end, start = function() harm.note("start") end, process = process }
