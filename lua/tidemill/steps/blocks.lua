-- SPDX-License-Identifier: MIT
-- steps/blocks.lua: what all steps share whose functions run in worker processes: the options for the blocks of a
-- batch, and the entry of such a step in the plan.
local blocks = {}

local AUTO_FIRST = 2 ^ 20
local SMALLEST, LARGEST = 4096, 2 ^ 31
local MAX = 64 * 2 ^ 20

--- The largest automatic batch: more gains nothing, since it no longer lies in the processor's cache.
blocks.MAX_BATCH_SIZE = 1000
--- The longest time that an automatic batch is filled for.
blocks.MAX_BATCH_TIME_US = 1e6

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

-- The number, and whether it is automatic: then it is the largest.
local function number(value, largest)
  if type(value) == "number" then return value, false end
  return type(value) == "table" and value.max or largest, true
end

--- An option of processes, of a step or a pool. An inner option that is left out has the text `begin`.
function blocks.processes(help)
  return { name = "processes", type = "count", unit = "processes", min = 1, max = 512, also = { "auto" },
    default = "auto", options = {
      { name = "min", type = "count", unit = "processes", min = 1, max = 512,
        default_text = "the processors that may be used", help = "The least number, where it is automatic." },
      { name = "max", type = "count", unit = "processes", min = 1, max = 512,
        default_text = "4 for each processor, 16 at least",
        help = "The largest number, where it is automatic. Room for so many is mapped at the start." },
    },
    help = help .. ' "auto" or a table { min = COUNT, max = COUNT }: as many as there are processors that may be used '
      .. "(those of the affinity, taskset, up to the quota of the control group, docker --cpus) at first; more while "
      .. "the workers are the limit and leave processors free, since their functions wait for something; half as "
      .. "many when a quarter was enough for a minute." }
end

--- The options that limit what each worker of a pool may use up, beside the pipeline's worker_memory.
blocks.limits = {
  { name = "max_messages", type = "count", unit = "messages", min = 1, max = 2 ^ 48, default_text = "none",
    help = "A worker is replaced after this many messages, when its `close` hooks have run. Its successor has started "
      .. "by then, so nothing waits. This helps if a library slowly takes more and more memory." },
  { name = "max_growth", type = "size", unit = "bytes", min = 2 ^ 20, default_text = "none",
    help = "A worker that takes this much more memory than after its start is replaced in the same way, before it "
      .. "reaches worker_memory, where it is killed." },
  { name = "max_cpu_time", type = "time", unit = "seconds", above_zero = true, default_text = "none",
    help = "How much processor time a worker may take for one message, all its threads together. Beyond it the worker "
      .. "is killed and the message rejected (cpu). Waiting does not count; message_timeout limits it." },
  { name = "max_open_files", type = "count", unit = "files", min = 1, max = 2 ^ 20,
    default_text = "the limit of the system (ulimit -n)",
    help = "How many files and connections a worker may have open at once, beside tidemill's own. Opening one more "
      .. 'fails with "Too many open files".' },
  { name = "max_log_lines", type = "count", unit = "lines per second", min = 1, max = 1000000, default = 1000,
    help = "How many lines a worker may write to the log in a second: tide.log, print, and whatever it writes to "
      .. "standard output and error. Those beyond it are dropped, and one line says how many." },
}

--- Options, followed by those of limits.
function blocks.with_limits(options)
  for _, option in ipairs(blocks.limits) do options[#options + 1] = option end
  return options
end

-- The fields of struct tide_worker_limits. values may be without them: then these are the defaults.
local function limits_of(values)
  local lines = values.max_log_lines
  if not lines then
    for _, option in ipairs(blocks.limits) do lines = option.name == "max_log_lines" and option.default or lines end
  end
  return { max_messages = values.max_messages or 0, max_growth = values.max_growth or 0,
    max_cpu_time_us = values.max_cpu_time or 0, max_open_files = values.max_open_files or 0, max_log_lines = lines }
end

--- Reports a maximum that is below the minimum.
function blocks.check_range(value, name, fault)
  if type(value) == "table" and value.min and value.max and value.max < value.min then
    fault('option "%s" = { min = %d, max = %d }: max is below min; raise it or leave it out', name, value.min,
      value.max)
  end
end

--- Notes what the pipeline file gives of each block, "max" or "size": memory_limit does not lower that.
function blocks.note_given(values, given)
  values.given_blocks = {}
  for _, side in ipairs { "input", "output" } do
    values.given_blocks[side] = given["max_" .. side .. "_block_size"] and "max"
      or type(values[side .. "_block_size"]) == "number" and "size" or nil
  end
end

--- The options that say in which order results leave.
blocks.order = {
  { name = "order", type = "choice", values = { "partition", "key", "none" }, default = "partition",
    help = "Which messages keep their order. partition: the results of all batches leave in the order in which their "
      .. "messages were read, so a slow batch delays those after it. key: the messages of one key are run by one "
      .. "worker, one after another, and their results leave in order; other keys do not wait for them. none: the "
      .. "results of a batch leave as soon as they are there. With key or none offsets are committed up to the first "
      .. "message that is not complete, and in exactly_once each commit waits until what was read is complete." },
  { name = "by", type = "string", default_text = '"key", where order = "key"',
    help = 'Where order = "key": what the key is. "key": the message\'s key. "header:NAME": the value of its last '
      .. 'header of that name. "json:PATH": the string, number or boolean at that path of its value; names have dots '
      .. 'between them, and an element of an array is a number, from 1 ("json:user.id", "json:items.1.sku"). '
      .. '"partition": topic and partition. Messages without such a key go to each worker in turn, in no order.' },
}

local BY = { header = "TIDE_BY_HEADER", json = "TIDE_BY_JSON" }

-- Returns the fields of the plan, or nil and what is wrong. A step that keeps state takes no partition as its key.
local function by_of(text, keeps_state)
  if text == nil or text == "key" then return { by = "TIDE_BY_KEY" } end
  if text == "partition" and not keeps_state then return { by = "TIDE_BY_PARTITION" } end
  local kind, name = text:match("^(%a+):(.*)$")
  if not BY[kind] then
    return nil, ('must be "key", %s"header:NAME" or "json:PATH"'):format(keeps_state and "" or '"partition", ')
  end
  if name == "" then return nil, ("names no %s"):format(kind == "json" and "path" or "header") end
  if kind == "json" and ("." .. name .. "."):find("..", 1, true) then
    return nil, 'has an empty name in its path; write as "json:user.id"'
  end
  return { by = BY[kind], by_name = name }
end

--- Checks the options of blocks.order. `values.keeps_state`: of a step that does.
function blocks.check_order(values, fault, given)
  if not given.by or type(values.by) ~= "string" then return end
  if values.order ~= "key" then
    fault('option "by" = "%s": is for order = "key"; this step has order = "%s"', values.by, values.order)
  else
    local _, reason = by_of(values.by, values.keeps_state)
    if reason then fault('option "by" = "%s": %s', values.by, reason) end
  end
end

--- Adds a step to the plan table. values: the options of run_task_with_multiprocessing, all of which may be left out;
--- entries: what runs in its workers, in order (run/transforms.lua).
function blocks.add(tables, kind, values, entries)
  local input, output = block(values, "input"), block(values, "output")
  local most, auto_batch = number(values.max_batch_size, blocks.MAX_BATCH_SIZE)
  local by = values.order == "key" and by_of(values.by) or {}
  local time, auto_time = number(values.max_batch_time, blocks.MAX_BATCH_TIME_US)
  table.insert(tables.steps, {
    kind = kind,
    pool = tables.pool(values.pool, values.processes or 1, limits_of(values.pool and values.pool.values or values)),
    max_batch_size = most,
    max_batch_time_us = time,
    auto_batch = auto_batch and values.eager or false, -- else the rules of Arroyo hold, so it is the largest
    input_block_size = input.size,
    output_block_size = output.size,
    max_input_block_size = input.max,
    max_output_block_size = output.max,
    auto_input = input.auto,
    auto_output = output.auto,
    eager = values.eager or false,
    prefetch_batches = values.prefetch_batches or 1,
    crash_retries = values.crash_retries or 1,
    order = "TIDE_ORDER_" .. (values.order or "partition"):upper(),
    by = by.by,
    by_name = by.by_name,
  })
  local number_of = #tables.steps
  tables.functions[number_of] = entries
  tables.automatic[number_of] = { max_batch_size = auto_batch, max_batch_time = auto_time,
    input_block_size = input.auto, output_block_size = output.auto }
  tables.given_blocks[number_of] = values.given_blocks or {}
end

return blocks
