-- SPDX-License-Identifier: MIT
-- steps/dlq.lua: the dead letter queue: where bad messages go, and how many of them there may be.
return {
  name = "dlq",
  kind = "setting",
  summary = "the dead letter queue: where bad messages go, and how many may be bad before the pipeline stops",
  example = 'dlq = tide.dlq { topic = "events.dlq", max_invalid_ratio = 0.01 }',
  options = {
    { name = "topic", type = "string",
      help = "A topic for dead letters: each has the original key, value and headers, and further headers that say "
        .. "what happened. A dead letter of stage produce is the record that the output refused, with target_topic; "
        .. "dlq replay sends it there. When a step with workers of its own rejects what an earlier step made of the "
        .. "message, the dead letter holds that, is marked intermediate, and dlq replay needs --to. One of a timer of "
        .. "tide.keyed is marked timer, and has its key and no value. The timestamp of a dead letter is the present, "
        .. "that of the message is in original_timestamp. A topic that does not exist or must not be written is "
        .. "reported at the start (exit 78); on_failure says what happens if it fails later." },
    { name = "path", type = "string",
      help = 'Or a file, to which dead letters are appended as one JSON object a line; "-" is standard error.' },
    { name = "max_invalid_ratio", type = "number", min = 0, max = 1,
      default_text = "no limit", help = "Stop (exit 65) when more than this share of the messages of a partition are "
          .. "bad." },
    { name = "max_consecutive_count", type = "count", unit = "messages", min = 0, max = 1e12,
      default_text = "no limit", help = "Stop (exit 65) when more than this many messages of a partition in a row are "
          .. "bad." },
    { name = "max_buffered_messages_per_partition", type = "count", unit = "messages", min = 1, max = 1e9,
      default = 1000, help = "How many dead letters of a partition may wait for their acknowledgement; then the "
        .. "next bad message waits in its batch, and the steps before it stop." },
    { name = "on_failure", type = "choice", values = { "wait", "stop" }, default = "wait",
      help = "What to do when the topic or file does not take a dead letter (deleted, no permission, disk full, "
        .. "refused). wait: it is tried again after 0.1 s to 10 s, the log says so at once and every 30 s, offsets of "
        .. "that partition stay uncommitted, and other partitions go on as long as its dead letters fit the buffer. "
        .. "stop: exit 65 when the dead letter itself is refused, else 75; its offset stays uncommitted." },
    { name = "on_too_large", type = "choice", values = { "truncate", "fail" }, default = "truncate",
      help = "What to do when a dead letter is larger than the topic takes (its max.message.bytes), so that it can "
        .. "never be written as it is. truncate: it is written with all headers and the first 64 KiB of key and value "
        .. "(1 KiB when that is still too large), marked by the headers truncated, original_size and sha256 of the "
        .. "whole value, and the log says so; the whole message is at original_offset of original_topic as long as "
        .. "that is kept. What was made of several messages (reduce, batch) is never cut, as it is all that would be "
        .. "left of them: the pipeline stops (exit 65), and none of them is committed. fail: on_failure decides." },
  },
  check = function(_, fault, given)
    if not given.topic and not given.path then
      fault('option "topic": missing; say topic = "name" or path = "file"')
    elseif given.topic and given.path then
      fault('options "topic" and "path" exclude each other: keep one of them')
    end
  end,
  plan = function(values, tables)
    tables.dlq = {
      kind = values.topic and "TIDE_DLQ_TOPIC" or "TIDE_DLQ_FILE",
      target = values.topic or values.path,
      max_invalid_ratio = values.max_invalid_ratio or -1,
      max_consecutive_count = values.max_consecutive_count or -1,
      max_buffered = values.max_buffered_messages_per_partition,
      stop_on_failure = values.on_failure == "stop",
      fail_on_too_large = values.on_too_large == "fail",
    }
  end,
}
