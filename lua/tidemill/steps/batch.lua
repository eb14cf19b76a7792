-- SPDX-License-Identifier: MIT
-- steps/batch.lua: several messages as one, to be taken apart by unbatch (Arroyo's BatchStep).
local accumulation = require("tidemill.steps.accumulation")

return {
  name = "batch",
  kind = "task",
  role = "state",
  summary = "makes one message of several, with all of their fields; tide.unpack and tide.unbatch take it apart",
  example = 'tide.batch { max_batch_size = 100, max_batch_time = "1s" }',
  options = accumulation.with {},
  entries = function() return { { kind = "reduce", form = "batch" } } end,
  plan = accumulation.plan,
}
