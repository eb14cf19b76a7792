-- SPDX-License-Identifier: MIT
-- steps/table.lua: a table of a topic. engine/table/table.h says how it is shared, run/tables.lua what scripts have.
return {
  name = "table",
  kind = "setting",
  summary = "a compacted topic as a table that functions read by key, in memory that all workers share",
  example = 'local users = tide.table "users" { topic = "users" }',
  options = {
    { name = "topic", type = "string", required = true,
      help = "The topic, of kafka_source's brokers. It is read from its beginning at each start, without a group, and "
        .. "then as messages come to it: the newest message of a key is its row, one without a value (a tombstone) "
        .. "deletes it. Set its cleanup.policy to compact." },
    { name = "key", type = "string", default = "key",
      help = 'What the key of a row is: "key", the bytes of the message\'s key; or "json:PATH", a member of it, where '
        .. 'keys are JSON: "json:payload.id". A message without such a key makes no row, and is counted '
        .. "(consumer.table.invalid)." },
    { name = "format", type = "choice", values = { "json", "bytes" }, default = "json",
      help = "What a value is. json: functions get a view of it, as of message.json. A value that is not JSON is "
        .. "logged and counted; what reads that row is rejected. bytes: functions get a string." },
    { name = "max_bytes", type = "size", unit = "bytes", min = 2 ^ 20, max = 2 ^ 36, default = "1GiB",
      help = "Memory that the rows may take, once for all workers of an engine: that of keys and values, and about 60 "
        .. "bytes for each. Pages are there when they are needed; memory_limit does not count them. When it is full "
        .. "the pipeline stops (exit 78)." },
    { name = "wait", type = "time", unit = "seconds", above_zero = true, default_text = "until it is complete",
      help = "How long the start waits until the table is complete. After that messages are read, and find the rows "
        .. "that were read by then." },
  },
  check = function(values, fault)
    local path = values.key and values.key:match "^json:(.+)$"
    if values.key and values.key ~= "key" and not path then
      fault('option "key" = "%s": takes "key" or "json:PATH"', values.key)
    end
    if values.topic and values.topic:sub(1, 1) == "^" then
      fault('option "topic" = "%s": takes one name, no pattern', values.topic)
    end
  end,
  plan = function(values, tables)
    table.insert(tables.topic_tables, { name = values.name, topic = values.topic,
      key_path = values.key:match "^json:(.+)$", json = values.format == "json", max_bytes = values.max_bytes,
      wait_us = values.wait or 0 })
  end,
}
