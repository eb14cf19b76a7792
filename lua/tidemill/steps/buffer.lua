-- SPDX-License-Identifier: MIT
-- steps/buffer.lua: like reduce, but its own function decides when a batch ends (Arroyo's Buffer).
local accumulation = require("tidemill.steps.accumulation")

return {
  name = "buffer",
  kind = "task",
  role = "state",
  summary = "like reduce, but a function of yours decides when a batch is complete",
  example = "tide.buffer { new = new_list, append = add, ready = is_long, result = join }",
  options = accumulation.with {
    { name = "new", type = "function", required = true, help = "function() that makes an empty buffer." },
    { name = "append", type = "function", required = true,
      help = "function(buffer, message) that returns the buffer with the message in it, as in reduce." },
    { name = "ready", type = "function", default_text = "at the end of the batch",
      help = "function(buffer) that is called after each message; a true value forwards the buffer now. What is left "
        .. "at the end of a batch is forwarded too." },
    { name = "result", type = "function", required = true,
      help = "function(buffer) that returns the result, as in reduce." },
  },
  entries = function(values)
    return { { kind = "reduce", form = "buffer", new = values.new, append = values.append, ready = values.ready,
      result = values.result } }
  end,
  complete = accumulation.complete,
  plan = accumulation.plan,
}
