-- SPDX-License-Identifier: MIT
-- steps/run_task_with_multiprocessing.lua: runs functions in forked workers, over whole batches.
local blocks = require("tidemill.steps.blocks")

local INPUT = blocks.options("input", "messages")
local OUTPUT = blocks.options("output", "results")

-- A block size without a maximum raises the maximum.
local function complete(values, given)
  for _, side in ipairs { "input", "output" } do
    local size, max = values[side .. "_block_size"], "max_" .. side .. "_block_size"
    if not given[max] and type(size) == "number" then values[max] = math.max(size, values[max]) end
  end
  blocks.note_given(values, given)
end

local function check_block(values, given, side, fault, show)
  local size, max = side .. "_block_size", "max_" .. side .. "_block_size"
  local numbers = type(values[size]) == "number" and type(values[max]) == "number"
  if numbers and given[size] and given[max] and values[max] < values[size] then
    fault('option "%s" = %s: below %s = %s; raise it or leave it out', max, show(max), size, show(size))
  end
end

return {
  name = "run_task_with_multiprocessing",
  kind = "task",
  summary = "runs functions over each message, in parallel, in forked worker processes; tide.map is a short name of it",
  example = 'tide.run_task_with_multiprocessing { "transform.lua", processes = 4, max_batch_size = 1000 }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function (its path starts from the pipeline's folder), or a function, or "
      .. "several: they run one after another in the worker." },
  options = blocks.with_limits {
    blocks.order[1], blocks.order[2],
    blocks.processes("The number of worker processes of this step; not together with pool."),
    { name = "pool", type = "setting", setting = "pool", default_text = "one of its own",
      help = "The worker processes, when several steps share them." },
    { name = "max_batch_size", type = "count", unit = "messages", min = 1, max = 1000000, also = { "auto" },
      default = "auto", options = {
        { name = "max", type = "count", unit = "messages", min = 1, max = 1000000, default = 1000,
          help = "The largest number, where it is automatic." },
      },
      help = 'The number of messages at which a batch is closed. "auto" or a table { max = COUNT }: as many as take a '
        .. "worker 50 ms (less where target_latency asks for it) and 1 MiB, by what was measured before; more gains "
        .. "nothing." },
    { name = "max_batch_time", type = "time", unit = "seconds", above_zero = true, also = { "auto" },
      default = "auto", options = {
        { name = "max", type = "time", unit = "seconds", above_zero = true, default = "1s",
          help = "The longest time, where it is automatic." },
      },
      help = 'A batch is closed this long after it was opened. "auto" or a table { max = TIME }: a second, or a '
        .. "quarter of the step's share of target_latency if that is less." },
    INPUT[1], OUTPUT[1], INPUT[2], OUTPUT[2],
    { name = "eager", type = "boolean", default = true,
      help = "Close a batch early: when a worker is idle and the source has no more messages at the moment; or when "
        .. "the messages in it will take a worker 50 ms, as measured before, so that slow messages are spread over "
        .. "all workers (not if a function takes the whole batch)." },
    { name = "prefetch_batches", type = "count", unit = "batches", min = 0, max = 64, default = 1,
      help = "How many batches wait for each process, beside the one that it runs." },
    { name = "crash_retries", type = "count", unit = "times", min = 0, max = 100, default = 1,
      help = "How often a message to which a crash is attributed is run again, alone, before it is rejected." },
  },
  complete = complete,
  check = function(values, fault, given, show)
    if given.pool and given.processes then
      fault('options "pool" and "processes" exclude each other: say processes in tide.pool { ... }')
    end
    for _, option in ipairs(given.pool and blocks.limits or {}) do
      if given[option.name] then
        fault('options "pool" and "%s" exclude each other: say %s in tide.pool { ... }', option.name, option.name)
      end
    end
    blocks.check_range(values.processes, "processes", fault)
    check_block(values, given, "input", fault, show)
    check_block(values, given, "output", fault, show)
    blocks.check_order(values, fault, given)
  end,
  role = "multiprocessing",
  entries = function(values) return values.functions end,
  plan = function(values, tables, entries)
    blocks.add(tables, "TIDE_STEP_TASK", values, entries)
  end,
}
