-- SPDX-License-Identifier: MIT
-- steps/healthcheck.lua: a file whose age tells a supervisor whether the pipeline moves (Arroyo's Healthcheck).
return {
  name = "healthcheck",
  kind = "task",
  summary = "touches a file, at most once a second, while messages get through or there are none",
  example = 'tide.healthcheck { path = "/run/tidemill/alive" }',
  options = {
    { name = "path", type = "string", required = true,
      help = "The file, from the current folder. When it grows old, messages are in flight and none gets through." },
  },
  plan = function(values, draft)
    table.insert(draft.steps, { kind = "TIDE_STEP_HEALTHCHECK", path = values.path })
  end,
}
