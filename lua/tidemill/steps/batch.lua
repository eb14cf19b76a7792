-- SPDX-License-Identifier: MIT
-- steps/batch.lua: packs several messages into one, which unbatch takes apart (Arroyo's BatchStep).
local accumulation = require("tidemill.steps.accumulation")

return {
  name = "batch",
  kind = "task",
  role = "state",
  summary = "packs several messages, with all of their fields, into one; tide.unpack and tide.unbatch take it apart",
  example = 'tide.batch { max_batch_size = 100, max_batch_time = "1s" }',
  options = accumulation.with {},
  entries = function() return { { kind = "reduce", form = "batch" } } end,
  complete = accumulation.complete,
  plan = accumulation.plan,
}
