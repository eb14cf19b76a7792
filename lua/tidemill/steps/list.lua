-- SPDX-License-Identifier: MIT
-- steps/list.lua: all steps and settings, in the order in which documents show them.
local list = {}

for _, name in ipairs {
  "pipeline", "kafka_source", "file_source", "run_task_with_multiprocessing", "run_task", "filter", "unfold",
  "keyed", "window",
  "reduce", "buffer", "batch", "unbatch", "healthcheck", "noop", "produce", "file_sink", "commit_offsets", "dlq",
  "metrics", "reload", "pool", "table", "param", "env", "secret_file", "credential",
} do
  local spec = require("tidemill.steps." .. name)
  list[#list + 1] = spec
  list[name] = spec
end

--- Other names of steps: tide.map { ... } is tide.run_task_with_multiprocessing { ... }, and is shown as such.
list.short_names = { map = "run_task_with_multiprocessing" }

--- Steps that other systems have and this one refuses, with the reason.
list.refused = {
  run_task_in_threads = "threads would share one Lua state; use run_task_with_multiprocessing, which has processes",
}

return list
