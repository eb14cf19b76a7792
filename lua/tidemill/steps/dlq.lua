-- SPDX-License-Identifier: MIT
-- steps/dlq.lua: where bad messages go, and how many there may be.
return {
  word = "dlq",
  kind = "setting",
  summary = "the dead letters: where bad messages go, and how many may be bad before the pipeline stops",
  example = 'dlq = tide.dlq { topic = "events.dlq", max_invalid_ratio = 0.01 }',
  options = {
    { name = "topic", type = "string",
      help = "A topic: the original key, value and headers, and why it is here as further headers." },
    { name = "path", type = "string",
      help = 'Or a file: one JSON object a line, appended; "-" is standard error.' },
    { name = "max_invalid_ratio", type = "number", min = 0, max = 1,
      default_text = "no limit", help = "More than this share of bad messages in a partition: stop (exit 65)." },
    { name = "max_consecutive_count", type = "count", unit = "messages", min = 0, max = 1e12,
      default_text = "no limit", help = "More than so many bad ones on end in a partition: stop (exit 65)." },
  },
  check = function(_, fault, given)
    if not given.topic and not given.path then
      fault('option "topic": missing; say topic = "name" or path = "file"')
    elseif given.topic and given.path then
      fault('options "topic" and "path" exclude each other: keep one of them')
    end
  end,
  plan = function(values, draft)
    draft.dlq = {
      kind = values.topic and "TIDE_DLQ_TOPIC" or "TIDE_DLQ_FILE",
      target = values.topic or values.path,
      max_invalid_ratio = values.max_invalid_ratio or -1,
      max_consecutive_count = values.max_consecutive_count or -1,
    }
  end,
}
