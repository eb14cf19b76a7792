-- SPDX-License-Identifier: MIT
-- steps/reduce.lua: makes one message of a batch, by an accumulator (Arroyo's Reduce). engine/chain/task_reduce.c says
-- how its offsets are kept.
local accumulation = require("tidemill.steps.accumulation")

return {
  name = "reduce",
  kind = "task",
  role = "state",
  summary = "makes one message of a batch; its offsets are committed once that message is delivered",
  example = "tide.reduce { function(sum, m) return sum + #m.value end, initial_value = 0, result = tostring }",
  positional = { name = "functions", type = "functions", required = true, one = true,
    help = "The accumulator: a function(accumulated, message) that returns the new accumulated value, or a Lua file "
      .. "that returns such a function. When it raises an error, its message is rejected and the others are "
      .. "accumulated again. What it writes into the message counts only in a copy or value that it keeps; writing "
      .. "topic or partition rejects the message, since only the result says where it goes." },
  options = accumulation.with {
    { name = "initial_value", type = "initial",
      help = "The value that the accumulator begins with, or a function that makes it. A table needs a function, "
        .. "since each time a new one is needed." },
    { name = "result", type = "function", default_text = "the accumulated value",
      help = "function(accumulated) that returns the result: a string (the value), a table { value, key, headers, "
        .. "topic, partition, timestamp }, a copy, tide.many, or tide.drop (or nil) for none. Only the newest "
        .. "timestamp is kept, and not the topic or partition that an earlier step chose." },
  },
  entries = function(values)
    return { { kind = "reduce", form = "reduce", of = values.functions[1], initial_value = values.initial_value,
      result = values.result } }
  end,
  complete = accumulation.complete,
  plan = accumulation.plan,
}
