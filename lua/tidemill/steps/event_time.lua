-- SPDX-License-Identifier: MIT
-- steps/event_time.lua: what steps share that know the times of messages (tide.keyed, tide.window): their options, and
-- the fields of the plan. engine/chain/timers.h says what is made of it.
local event_time = {}

local BY = { header = "TIDE_TIME_OF_HEADER", json = "TIDE_TIME_OF_JSON" }
local UNITS = { ms = 1, s = 1000 }

--- The options; `default` and `default_text` are of `time`.
function event_time.options(default, default_text)
  return {
    { name = "time", type = "string", default = default, default_text = default_text,
      help = 'The time of a message, by which timers run: "timestamp" (that of the message), "json:PATH" or '
        .. '"header:NAME" (a number, or a text as "2026-01-31T12:00:00Z"). It is message.timestamp from this step on. '
        .. "A message without such a time is rejected (no_time)." },
    { name = "time_unit", type = "choice", values = { "ms", "s" }, default = "ms",
      help = "The unit of a time that is a number: milliseconds or seconds since 1970." },
    { name = "grace", type = "time", unit = "seconds", min = 0, default = 0,
      default_text = "0s",
      help = "How far the watermark of a partition stays behind the newest time that came in it. A message may come "
        .. "this much later than newer ones and is still in time." },
    { name = "max_ahead", type = "time", unit = "seconds", min = 0, default = 3600e6,
      default_text = "1h",
      help = "A time further ahead of the clock than this does not move the watermark. Such messages are counted, and "
        .. "named in the log." },
    { name = "idle", type = "time", unit = "seconds", default = 60e6, default_text = "1min",
      help = "Of several topics that are read into one state: one that has nothing more to read, and of which nothing "
        .. "came for so long, does not hold the watermark of its partition until it has a message again. What it has "
        .. 'then may be late. 0: it always holds it.' },
    { name = "clock_after", type = "time", unit = "seconds", min = 0, default = 0, default_text = "never",
      help = "If no message came in a partition for this long, timers and windows become due by the clock, when it "
        .. "has passed their time plus grace. 0: only messages make them due." },
  }
end

-- Returns the fields of the plan, or nil and what is wrong.
local function time_of(text)
  if text == "timestamp" then return { time = "TIDE_TIME_OF_MESSAGE" } end
  local kind, name = text:match("^(%a+):(.+)$")
  if not BY[kind] then return nil, 'must be "timestamp", "json:PATH" or "header:NAME"' end
  if kind == "json" and ("." .. name .. "."):find("..", 1, true) then
    return nil, 'has an empty name in its path; write as "json:event.time"'
  end
  return { time = BY[kind], time_name = name }
end

--- Reports what is wrong with the options, given those that are there.
function event_time.check(values, fault, given)
  if type(values.time) == "string" then
    local _, reason = time_of(values.time)
    if reason then fault('option "time" = "%s": %s', values.time, reason) end
    return
  end
  for _, name in ipairs { "time_unit", "grace", "max_ahead", "idle", "clock_after" } do
    if given[name] then fault('option "%s": is of use with the option time only', name) end
  end
end

--- Adds the fields to a step of the plan.
function event_time.plan(values, step)
  if not values.time then return end
  for name, value in pairs(time_of(values.time)) do step[name] = value end
  step.time_unit_ms = UNITS[values.time_unit]
  step.idle_us, step.clock_us = values.idle, values.clock_after
  step.grace_ms, step.max_ahead_ms = math.floor(values.grace / 1000), math.floor(values.max_ahead / 1000)
end

return event_time
