-- SPDX-License-Identifier: MIT
-- steps/accumulation.lua: the options and the plan entry that reduce, buffer and batch share. They make one message of
-- a batch, in one worker of their own.
local blocks = require("tidemill.steps.blocks")

local accumulation = {}

--- The options that say when the batch ends.
accumulation.options = {
  { name = "max_batch_size", type = "count", unit = "messages", min = 1, max = 1000000, default = 1000,
    help = "The number of messages at which a batch ends." },
  { name = "max_batch_time", type = "time", unit = "seconds", above_zero = true, default = "1s",
    help = "A batch ends this long after its first message." },
  { name = "max_input_block_size", type = "size", unit = "bytes", min = 4096, max = 2 ^ 31, default = "64MiB",
    help = "A batch ends when its messages take this much memory. They are kept until the result is forwarded, so that "
      .. "nothing is lost with a worker." },
  { name = "max_output_block_size", type = "size", unit = "bytes", min = 4096, max = 2 ^ 31, default = "64MiB",
    help = "The largest result of a batch. When a result is larger, the messages of its batch are rejected "
      .. "(too_large)." },
}

accumulation.complete = blocks.note_given

--- The options of a step, followed by these.
function accumulation.with(options)
  for _, option in ipairs(accumulation.options) do options[#options + 1] = option end
  return options
end

-- A batch may use the whole block at once: a block that grows would end batches early on its way there.
function accumulation.plan(values, tables, entries)
  blocks.add(tables, "TIDE_STEP_REDUCE", {
    max_batch_size = values.max_batch_size, max_batch_time = values.max_batch_time, eager = false,
    input_block_size = values.max_input_block_size, max_input_block_size = values.max_input_block_size,
    output_block_size = "auto", max_output_block_size = values.max_output_block_size,
    given_blocks = values.given_blocks,
  }, entries)
end

return accumulation
