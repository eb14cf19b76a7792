-- SPDX-License-Identifier: MIT
-- steps/file_source.lua: reads the lines of a file as messages.
return {
  name = "file_source",
  kind = "source",
  summary = "reads the lines of a file as messages of partition 0; the offset is the number of the line, from 0",
  example = 'tide.file_source { path = "events.jsonl" }',
  options = {
    { name = "path", type = "string", required = true,
      help = 'The file, from the current folder; "-" is standard input.' },
    { name = "format", type = "choice", values = { "lines", "json" }, default = "lines",
      help = "lines: each line is the value of a message. json: each line is an object with key, headers, value and "
        .. "timestamp, as `tidemill record` and a file_sink of this format write it; other lines are rejected." },
    { name = "topic", type = "string", default_text = "the file's name",
      help = "The topic that the messages appear to come from." },
  },
  plan = function(values, tables)
    tables.source = {
      medium = "TIDE_MEDIUM_FILE",
      path = values.path,
      topics = { values.topic or tables.file_topic(values.path) },
    }
  end,
}
