-- SPDX-License-Identifier: MIT
-- steps/pool.lua: worker processes that several steps may share.
local blocks = require("tidemill.steps.blocks")

return {
  name = "pool",
  kind = "setting",
  summary = "worker processes that several steps may share; they are kept over rebalances",
  example = 'local pool = tide.pool { processes = 4 }',
  options = blocks.with_limits {
    blocks.processes("The number of worker processes."),
  },
  check = function(values, fault) blocks.check_range(values.processes, "processes", fault) end,
}
