-- SPDX-License-Identifier: MIT
-- steps/produce.lua: writes messages to Kafka.
local PARTITION = { key = "TIDE_PARTITION_BY_KEY", same = "TIDE_PARTITION_SAME" }

return {
  name = "produce",
  kind = "sink",
  summary = "writes messages to a Kafka topic",
  example = 'tide.produce { topic = "events.clean" }',
  options = {
    { name = "topic", type = "string", required = true, help = "The topic to write to." },
    { name = "topics", type = "strings", default_text = "none", help = "Further topics that a result may name." },
    { name = "brokers", type = "brokers", default_text = "the source's", help = "Where the cluster is reached. "
      .. "When it turns out to be the source's under another name, a pattern that finds what is written is refused." },
    { name = "partition", type = "choice", values = { "key", "same" }, default = "key",
      help = "key: by the key's hash (murmur2_random), as Kafka's own client does. same: the input's number, refused "
        .. "when the topic has fewer partitions." },
    { name = "max_buffer_size", type = "count", unit = "messages", min = 1, max = 10000000, default = 100000,
      help = "Messages sent and not yet acknowledged; then the step is busy and intake stops." },
    { name = "max_buffer_bytes", type = "size", unit = "bytes", min = 1024, max = 2 ^ 31, default = "64MiB",
      help = "The same in bytes." },
    { name = "rdkafka", type = "properties", default_text = "none",
      refused = {
        ["bootstrap.servers"] = "say brokers", ["metadata.broker.list"] = "say brokers",
        ["queue.buffering.max.messages"] = "say max_buffer_size",
        ["queue.buffering.max.kbytes"] = "say max_buffer_bytes",
      },
      help = "Further librdkafka properties of the producer. Without `brokers` of its own it takes over the source's "
        .. "security, SASL and TLS properties." },
  },
  plan = function(values, draft)
    local topics, known = { values.topic }, { [values.topic] = true }
    for _, topic in ipairs(values.topics or {}) do
      if not known[topic] then topics[#topics + 1] = topic end
      known[topic] = true
    end
    draft.sink = {
      medium = "TIDE_MEDIUM_KAFKA",
      topics = topics,
      partitioner = PARTITION[values.partition],
      max_messages = values.max_buffer_size,
      max_bytes = values.max_buffer_bytes,
    }
    draft.sink_brokers = values.brokers
    draft.sink_properties = values.rdkafka or {}
  end,
}
