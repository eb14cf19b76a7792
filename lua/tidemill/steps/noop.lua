-- SPDX-License-Identifier: MIT
-- steps/noop.lua: hands every message on unchanged.
return {
  name = "noop",
  kind = "task",
  summary = "forwards every message unchanged",
  example = "tide.noop {}",
  options = {},
  plan = function(_, tables)
    table.insert(tables.steps, { kind = "TIDE_STEP_NOOP" })
  end,
}
