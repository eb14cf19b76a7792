-- SPDX-License-Identifier: MIT
-- steps/healthcheck.lua: touches a file by whose age a supervisor sees whether the pipeline makes progress (Arroyo's
-- Healthcheck).
return {
  name = "healthcheck",
  kind = "task",
  summary = "touches a file, at most once a second, while messages make progress or there are none",
  example = 'tide.healthcheck { path = "/run/tidemill/alive" }',
  options = {
    { name = "path", type = "string", required = true,
      help = "The file, from the current folder. When it grows old, messages are in flight and none is completed." },
  },
  plan = function(values, tables)
    table.insert(tables.steps, { kind = "TIDE_STEP_HEALTHCHECK", path = values.path })
  end,
}
