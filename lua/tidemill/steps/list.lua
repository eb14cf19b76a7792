-- SPDX-License-Identifier: MIT
-- steps/list.lua: all words, in the order in which documents show them.
local list = {}

for _, word in ipairs {
  "pipeline", "kafka_source", "file_source", "run_task_with_multiprocessing", "run_task", "filter", "unfold",
  "reduce", "buffer", "batch", "unbatch", "healthcheck", "noop", "produce", "file_sink", "commit_offsets", "dlq",
  "pool", "param", "env", "secret_file",
} do
  local spec = require("tidemill.steps." .. word)
  list[#list + 1] = spec
  list[word] = spec
end

--- Words that other systems have and this one refuses, with the reason.
list.refused = {
  run_task_in_threads = "threads would share one Lua state; use run_task_with_multiprocessing, which has processes",
}

return list
