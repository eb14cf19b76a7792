-- SPDX-License-Identifier: MIT
-- steps/blocks.lua: what all steps share whose functions run in worker processes: the options for the blocks of a
-- batch, and the entry of such a step in the plan.
local blocks = {}

local AUTO_FIRST = 2 ^ 20
local SMALLEST, LARGEST = 4096, 2 ^ 31
local MAX = 64 * 2 ^ 20

--- The options side_block_size and max_side_block_size; `holds`: "messages" or "results".
function blocks.options(side, holds)
  return {
    { name = side .. "_block_size", type = "size", unit = "bytes", also = { "auto" }, default = "auto",
      min = SMALLEST, max = LARGEST,
      help = "The shared memory for the " .. holds .. " of one batch. auto: 1 MiB at first, doubled when it was too "
        .. "small, halved when a quarter was enough for a minute." },
    { name = "max_" .. side .. "_block_size", type = "size", unit = "bytes", min = SMALLEST, max = LARGEST,
      default = "64MiB", default_text = "64MiB, or the block size if that is larger",
      help = "The largest size to which such a block grows. A message that needs more is rejected (too_large)." },
  }
end

-- The initial size and the maximum, both in bytes.
local function block(values, side)
  local size, max = values[side .. "_block_size"] or "auto", values["max_" .. side .. "_block_size"] or MAX
  local auto = size == "auto"
  if auto then size = math.min(AUTO_FIRST, max) end
  return { size = size, max = max, auto = auto }
end

--- Adds a step to the plan table. values: the options of run_task_with_multiprocessing, of which only max_batch_size
--- and max_batch_time are required; entries: what runs in its workers, in order (run/transforms.lua).
function blocks.add(tables, kind, values, entries)
  local input, output = block(values, "input"), block(values, "output")
  table.insert(tables.steps, {
    kind = kind,
    pool = tables.pool(values.pool, values.processes or 1),
    max_batch_size = values.max_batch_size,
    max_batch_time_us = values.max_batch_time,
    input_block_size = input.size,
    output_block_size = output.size,
    max_input_block_size = input.max,
    max_output_block_size = output.max,
    auto_input = input.auto,
    auto_output = output.auto,
    eager = values.eager or false,
    prefetch_batches = values.prefetch_batches or 1,
    crash_retries = values.crash_retries or 1,
  })
  tables.functions[#tables.steps] = entries
end

return blocks
