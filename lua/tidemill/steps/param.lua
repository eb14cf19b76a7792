-- SPDX-License-Identifier: MIT
-- steps/param.lua: a value from the command line.
return {
  name = "param",
  kind = "value",
  summary = "the value of --set name=value, else the default",
  example = 'tide.param("brokers", "127.0.0.1:9092")',
  options = {},
  arguments = {
    { name = "name", type = "string", required = true, help = "The name that --set gives it." },
    { name = "default", type = "string, number or boolean", default_text = "none: --set must give it",
      help = "What holds without --set. A number or a boolean makes --set's text one too." },
  },
}
