-- SPDX-License-Identifier: MIT
-- steps/env.lua: a value from the environment.
return {
  name = "env",
  kind = "value",
  summary = "the value of an environment variable, never printed where it may be a secret",
  example = 'rdkafka = { ["sasl.password"] = tide.env "KAFKA_PASSWORD" }',
  options = {},
  arguments = {
    { name = "name", type = "string", required = true, help = "The variable." },
    { name = "default", type = "string", default_text = "none: the variable must be set",
      help = "What holds when it is not set." },
  },
}
