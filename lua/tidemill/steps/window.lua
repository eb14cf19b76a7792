-- SPDX-License-Identifier: MIT
-- steps/window.lua: windows of event time, on keyed state and timers (run/window.lua).
local event_time = require("tidemill.steps.event_time")
local keyed = require("tidemill.steps.keyed")

local MOST = 1000 -- windows that one message may be in
local TAKEN = { by = true, ttl = false, processes = true, max_batch_size = true, max_batch_time = true,
  crash_retries = true }

-- The options that it has in common with tide.keyed, and those of event time.
local function with_common(options)
  for _, option in ipairs(keyed.options) do
    if TAKEN[option.name] then options[#options + 1] = option end
  end
  for _, option in ipairs(event_time.options("timestamp")) do options[#options + 1] = option end
  return options
end

local function check_size(values, fault, given)
  if values.gap and (given.size or given.every) then
    fault('option "gap": makes sessions, which have no size; leave out size and every')
  elseif not values.gap and not values.size then
    fault('option "size": missing; or say gap, for sessions')
  elseif values.every and values.size and values.every > values.size then
    fault('option "every": is longer than size, so that messages between two windows would be in none')
  elseif values.every and values.size and values.size / values.every > MOST then
    fault('option "every": each message would be in more than %d windows', MOST)
  end
  for _, name in ipairs { "size", "every", "gap" } do
    if values[name] and values[name] % 1000 ~= 0 then fault('option "%s": takes whole milliseconds', name) end
  end
  if values.gap and values.grace > 0 and not values.merge then
    fault('option "merge": missing; with gap and grace a message may join two sessions')
  end
end

local function in_ms(time)
  return time and time / 1000
end

return {
  name = "window",
  kind = "task",
  role = "keyed",
  summary = "makes one value of the messages of a key in a window of time: tumbling, hopping, or sessions",
  example = 'tide.window { size = "1min", by = "json:page", add = function(n) return (n or 0) + 1 end }',
  options = with_common {
    { name = "size", type = "time", unit = "seconds", above_zero = true, default_text = "none",
      help = "How long a window is. Windows begin at multiples of every since 1970." },
    { name = "every", type = "time", unit = "seconds", above_zero = true, default_text = "size",
      help = "How often a window begins. If it is less than size, windows overlap (hopping), and a message is in "
        .. "several." },
    { name = "gap", type = "time", unit = "seconds", above_zero = true, default_text = "none",
      help = "Makes sessions, in place of size. Messages of a key that are less than this apart are in one window, "
        .. "which ends this long after the last of them." },
    { name = "add", type = "function", required = true,
      help = "function(value, message) that returns the new value of the window: any value that JSON has." },
    { name = "init", type = "initial",
      help = "The value that a window begins with, or a function that makes it. A table needs a function, since each "
        .. "time a new one is needed." },
    { name = "merge", type = "function", default_text = "none",
      help = "For sessions: function(earlier, later) that makes one value of the values of two sessions, where a "
        .. "message joins them." },
    { name = "result", type = "function", default_text = "JSON with key, from, to, value",
      help = "function(value, window) that returns the result: a string, a table { value, json, key, headers, "
        .. "timestamp, topic, partition }, or nil for none. window has from, to (ms since 1970) and key. If the "
        .. "result names none, its key is that of the window, and its timestamp the last millisecond of the window "
        .. "(to - 1)." },
    { name = "emit", type = "choice", values = { "close", "update" }, default = "close",
      help = "When there is a result: once, when the watermark has passed the end of the window; or after each message "
        .. "of it, with the value so far." },
    { name = "late", type = "string", default = "drop",
      help = "What becomes of a message whose windows have all closed: it is dropped, or goes to this topic. Both are "
        .. "counted (script.window.late)." },
    { name = "state", type = "strings", default = "window",
      help = "The name of the state that holds the open windows. Each step of a pipeline needs a name of its own." },
  },
  check = function(values, fault, given)
    check_size(values, fault, given)
    event_time.check(values, fault, given)
    keyed.check({ by = values.by, state = values.state, processes = values.processes }, fault, {})
    if #(values.state or {}) > 1 then fault('option "state": takes one name, got %d', #values.state) end
  end,
  entries = function(values)
    local options = { size = in_ms(values.size), every = in_ms(values.every or values.size), gap = in_ms(values.gap),
      add = values.add, init = values.init, merge = values.merge, result = values.result, emit = values.emit,
      late = values.late ~= "drop" and values.late or nil }
    return { { kind = "keyed", of = { kind = "window", options = options }, states = values.state, timed = true } }
  end,
  plan = keyed.plan,
}
