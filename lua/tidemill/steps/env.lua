-- SPDX-License-Identifier: MIT
-- steps/env.lua: the value of an environment variable.
return {
  name = "env",
  kind = "value",
  summary = "the value of an environment variable, never printed where it may be a secret",
  example = 'rdkafka = { ["sasl.password"] = tide.env "KAFKA_PASSWORD" }',
  options = {},
  arguments = {
    { name = "name", type = "string", required = true, help = "The name of the variable." },
    { name = "default", type = "string", default_text = "none: the variable must be set",
      help = "The value when the variable is not set." },
  },
}
