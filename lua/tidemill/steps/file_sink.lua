-- SPDX-License-Identifier: MIT
-- steps/file_sink.lua: writes messages as lines of a file.
local FORMAT = { lines = "TIDE_OUTPUT_LINES", json = "TIDE_OUTPUT_JSON" }

return {
  name = "file_sink",
  kind = "sink",
  summary = "writes messages as lines of a file, which is emptied at start",
  example = 'tide.file_sink { path = "clean.jsonl" }',
  options = {
    { name = "path", type = "string", required = true,
      help = 'The file, from the current folder; "-" is standard output.' },
    { name = "format", type = "choice", values = { "lines", "json" }, default = "lines",
      help = "lines: one value a line. json: one object a line with topic, key, headers and value, so that values may "
        .. "contain newlines." },
    { name = "max_buffer_size", type = "count", unit = "messages", min = 1, max = 10000000, default = 100000,
      help = "How many messages may wait to be written; then the step takes no more, and reading stops." },
    { name = "max_buffer_bytes", type = "size", unit = "bytes", min = 1024, max = 2 ^ 31, default = "64MiB",
      help = "How many bytes may wait to be written." },
  },
  plan = function(values, tables)
    tables.sink = {
      medium = "TIDE_MEDIUM_FILE",
      path = values.path,
      format = FORMAT[values.format],
      max_messages = values.max_buffer_size,
      max_bytes = values.max_buffer_bytes,
    }
  end,
}
