-- SPDX-License-Identifier: MIT
-- steps/secret_file.lua: reads a secret from a file.
return {
  name = "secret_file",
  kind = "value",
  summary = "the contents of a file without the newline at its end, read when the engine connects, never printed",
  example = 'rdkafka = { ["sasl.password"] = tide.secret_file "/run/secrets/kafka" }',
  options = {},
  arguments = {
    { name = "path", type = "string", required = true, help = "The file, from the current folder." },
  },
}
