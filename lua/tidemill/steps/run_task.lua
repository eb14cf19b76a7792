-- SPDX-License-Identifier: MIT
-- steps/run_task.lua: calls functions. They hold no state; plan/group.lua decides in which workers they run.
return {
  name = "run_task",
  kind = "task",
  role = "function",
  summary = "calls functions on each message, in the workers of a run_task_with_multiprocessing beside it, or in one",
  example = 'tide.run_task { "transform.lua" }',
  positional = { name = "functions", type = "functions", required = true,
    help = "A Lua file that returns a function (its path starts from the pipeline's folder), or a function, "
      .. "or several. A function returns what it may return in run_task_with_multiprocessing." },
  options = {},
  entries = function(values) return values.functions end,
}
