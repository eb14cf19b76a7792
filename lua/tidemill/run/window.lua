-- SPDX-License-Identifier: MIT
-- run/window.lua: tide.window, as a function of tide.keyed. The state of a key is the list of its open windows,
-- { from, to, value }, in the order of their ends; its timer is the end of the first one. A window closes when the
-- watermark has passed its end: by the timer, or before a message of the key that was read after that, whichever comes
-- first. A message is late when all its windows have closed. Both are decided by the watermark before the message
-- alone, so what is in a window does not depend on batches, workers or restarts. Start reading at window.process, at
-- the end.
local answer = require("tidemill.run.answer")
local runner = require("tidemill.run.runner")

local window = {}

local FIELDS = { value = true, json = true, key = true, headers = true, timestamp = true, topic = true,
  partition = true }

-- ---- which windows a message is in ----

-- Of a fixed size, one each `every`: { from, to } of those that have not closed.
local function fixed(size, every)
  return function(open, time, watermark, put)
    local from = math.floor(time / every) * every
    local is_late = true
    while from > time - size do
      if from + size > watermark then
        put(open, from, from + size)
        is_late = false
      end
      from = from - every
    end
    return not is_late
  end
end

local function find(open, from, to)
  for i = 1, #open do
    if open[i][1] == from and open[i][2] == to then return open[i] end
  end
end

-- By their ends, then by their beginnings.
local function is_before(one, other)
  if one[2] == other[2] then return one[1] < other[1] end
  return one[2] < other[2]
end

local function insert(open, one)
  local at = #open + 1
  while at > 1 and is_before(one, open[at - 1]) do at = at - 1 end
  table.insert(open, at, one)
  return one
end

-- Sessions: messages less than `gap` apart are in one window, which ends `gap` after the last. A message between two
-- sessions makes them one.
local function sessions(gap, merge)
  return function(open, time, watermark, put)
    local from, to, joined, has_value, value = time, time + gap, false, false, nil
    for i = #open, 1, -1 do
      local one = open[i]
      if one[1] < time + gap and time < one[2] then
        table.remove(open, i)
        if joined and has_value and one[3] ~= nil then
          value = merge(one[3], value)
        elseif one[3] ~= nil then
          value = one[3]
        end
        joined, has_value = true, value ~= nil
        from, to = math.min(from, one[1]), math.max(to, one[2])
      end
    end
    if not joined and to <= watermark then return false end
    if joined then insert(open, { from, to, value }) end
    put(open, from, to)
    return true
  end
end

-- ---- results ----

-- What `result` returned, as a table with the fields of a message: the key of the window, and as the time its
-- last millisecond: so a window behind this one counts it where it belongs. `where`:
-- the place of that function.
local function as_message(returned, key, time, where)
  if returned == nil or returned == answer.drop then return nil end
  local fields = { key = key, timestamp = time, headers = {} }
  if type(returned) == "string" then
    fields.value = returned
  elseif type(returned) == "table" and getmetatable(returned) == nil then
    for name, value in pairs(returned) do
      if not FIELDS[name] then
        error(('%s: the result of a window has no field "%s"; it has value, json, key, headers, timestamp, topic, '
          .. 'partition'):format(where, tostring(name)), 0)
      end
      fields[name] = value
    end
  else
    error(("%s: the result of a window is a string, a table of the fields of a message, or nil, not %s"):format(
      where, type(returned)), 0)
  end
  if fields.value == nil and fields.json == nil then
    error(where .. ": the result of a window has no value and no json", 0)
  end
  return fields
end

local function default_result(value, w)
  return { json = { key = w.key, from = w.from, to = w.to, value = value } }
end

-- ---- the function ----

-- Counts a late message; the late topic gets it as it came.
local function late_message(message, topic)
  package.loaded.tidemill.metric.count "window.late" -- lib stands above run; each pipeline file has loaded it
  if not topic then return nil end
  local copy = message:copy()
  copy.topic = topic
  return copy
end

local function new_value(init)
  if type(init) == "function" then return init() end
  return init
end

--- options: size, every or gap (ms), add, init, merge, result, emit ("close", "update"), late (a topic, or nil).
--- Returns the function(message, state).
function window.process(options)
  local add, init, late = options.add, options.init, options.late
  local result, on_update = options.result or default_result, options.emit == "update"
  local add_place, result_place = runner.describe(add), runner.describe(result)
  local assign = options.gap and sessions(options.gap, options.merge) or fixed(options.size, options.every)

  return function(message, state)
    local open, results = state.value or {}, {}
    local timer, watermark = message.timer, state.watermark or -math.huge
    local key = state.key

    local function emit(one)
      results[#results + 1] = as_message(result(one[3], { from = one[1], to = one[2], key = key }), key, one[2] - 1,
        result_place)
    end

    local function put(list, from, to)
      local one = find(list, from, to)
      if not one then one = insert(list, { from, to, new_value(init) }) end
      local value = add(one[3], message)
      if value == nil then error(add_place .. ": add returned nil; it returns the new value of the window", 0) end
      one[3] = value
      if on_update then emit(one) end
    end

    if state.ahead and not timer then
      return answer.reject "its time is further ahead of the clock than max_ahead: it belongs to no window"
    end
    while open[1] and open[1][2] <= (timer or watermark) do
      local one = table.remove(open, 1)
      if not on_update then emit(one) end
    end
    if not timer and not assign(open, message.timestamp, watermark, put) then
      results[#results + 1] = late_message(message, late)
    end
    state.value = open[1] and open or nil
    state:timer(open[1] and open[1][2])
    return results[1] and answer.many(results) or nil
  end
end

return window
