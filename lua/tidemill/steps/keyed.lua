-- SPDX-License-Identifier: MIT
-- steps/keyed.lua: functions that have a state for each key. engine/chain/states.h says where that is.
local blocks = require("tidemill.steps.blocks")
local event_time = require("tidemill.steps.event_time")

local MOST = 8 -- TIDE_STATES_MOST (shm/layout.h)
local TAKEN = { processes = true, max_batch_size = true, max_batch_time = true, crash_retries = true }

-- The options that it has in common with run_task_with_multiprocessing.
local function with_common(options)
  for _, option in ipairs(require("tidemill.steps.run_task_with_multiprocessing").options) do
    if TAKEN[option.name] then options[#options + 1] = option end
  end
  for _, option in ipairs(event_time.options(nil, "none")) do options[#options + 1] = option end
  return options
end

local function check_names(names, fault)
  local seen = {}
  if #names > MOST then fault('option "state": has %d names, %d at most', #names, MOST) end
  for _, name in ipairs(names) do
    if not name:match("^[%w_][%w_.-]*$") or #name > 60 then
      fault('option "state" = "%s": takes a name of letters, digits, "_", "." and "-", 60 at most', name)
    end
    if seen[name] then fault('option "state": has "%s" twice', name) end
    seen[name] = true
  end
end

return {
  name = "keyed",
  kind = "task",
  role = "keyed",
  summary = "runs functions that have a state for each key: function(message, state); it is kept in state_dir, and "
    .. "with kafka_source in a compacted topic (docs/state.md)",
  example = 'tide.keyed { "count.lua", by = "json:user", state = "counts", ttl = "1d" }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function(message, state), or such a function, or several. state.value is the "
      .. "value of the message's key: nil at first; any value that JSON has may be assigned, nil deletes it; with "
      .. "several states it is state.NAME.value. "
      .. 'state:expire("10min") says when this value is gone. With the option time, state:timer(time) has the function '
      .. "called again, with message.timer, when the watermark has passed that time. What the function wrote counts "
      .. "when its message is complete, and never when that is rejected." },
  options = with_common {
    { name = "state", type = "strings", required = true,
      help = 'The name of the state, by which it is kept in state_dir; or several, as { "counts", "seen" }, which a '
        .. "function has as state.counts and state.seen." },
    { name = "by", type = "string", default = "key",
      help = 'What the key is: "key" (of the message), "header:NAME" or "json:PATH", as in '
        .. "run_task_with_multiprocessing. A message without such a key is rejected (no_key)." },
    { name = "ttl", type = "time", unit = "seconds", above_zero = true, default_text = "none",
      help = "How long a value is kept after it was last written." },
  },
  check = function(values, fault, given)
    event_time.check(values, fault, given)
    blocks.check_range(values.processes, "processes", fault)
    blocks.check_order({ order = "key", by = values.by, keeps_state = true }, fault, { by = true })
    check_names(values.state or {}, fault)
  end,
  entries = function(values)
    local entries = {}
    for i, item in ipairs(values.functions) do
      entries[i] = { kind = "keyed", of = item, states = values.state, timed = values.time ~= nil }
    end
    return entries
  end,
  plan = function(values, tables, entries)
    local all = { order = "key", eager = true }
    for name, value in pairs(values) do all[name] = value end
    blocks.add(tables, "TIDE_STEP_TASK", all, entries)
    local step = tables.steps[#tables.steps]
    step.states, step.state_by = values.state, values.by
    event_time.plan(values, step)
    step.state_ttl_ms = values.ttl and math.max(1, math.floor(values.ttl / 1000)) or 0
  end,
}
