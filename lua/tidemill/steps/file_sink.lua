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
        .. "hold newlines." },
    { name = "max_buffer_size", type = "count", unit = "messages", min = 1, max = 10000000, default = 100000,
      help = "Messages taken and not yet written; then the step is busy and intake stops." },
    { name = "max_buffer_bytes", type = "size", unit = "bytes", min = 1024, max = 2 ^ 31, default = "64MiB",
      help = "The same in bytes." },
  },
  plan = function(values, draft)
    draft.sink = {
      medium = "TIDE_MEDIUM_FILE",
      path = values.path,
      format = FORMAT[values.format],
      max_messages = values.max_buffer_size,
      max_bytes = values.max_buffer_bytes,
    }
  end,
}
