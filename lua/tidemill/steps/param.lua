-- SPDX-License-Identifier: MIT
-- steps/param.lua: the value of a parameter, from the command line.
return {
  name = "param",
  kind = "value",
  summary = "the value of --set name=value, else the default",
  example = 'tide.param("brokers", "127.0.0.1:9092")',
  options = {},
  arguments = {
    { name = "name", type = "string", required = true, help = "The name by which --set gives it." },
    { name = "default", type = "string, number or boolean", default_text = "none: --set must give it",
      help = "The value without --set. If it is a number or a boolean, the text of --set is read as one too." },
  },
}
