-- SPDX-License-Identifier: MIT
-- steps/produce.lua: writes messages to a Kafka topic.
local PARTITION = { key = "TIDE_PARTITION_BY_KEY", same = "TIDE_PARTITION_SAME" }

return {
  name = "produce",
  kind = "sink",
  summary = "writes messages to a Kafka topic",
  example = 'tide.produce { topic = "events.clean" }',
  options = {
    { name = "topic", type = "string", required = true,
      missing = "it is where a message goes that names no topic; topics are further ones",
      help = "The topic to write to." },
    { name = "topics", type = "strings", default_text = "none", help = "Further topics to which a message may be "
        .. "sent." },
    { name = "brokers", type = "brokers", default_text = "the source's", help = "The addresses of brokers. "
      .. "When it is the source's cluster under another name, a pattern that matches what is written is refused." },
    { name = "partition", type = "choice", values = { "key", "same" }, default = "key",
      help = "key: by the hash of the key (murmur2_random), as Kafka's own client chooses; messages without a key "
        .. "go to one partition for 10 ms, then to another (sticky.partitioning.linger.ms). same: the partition that "
        .. "the message came from; refused when the topic has fewer partitions." },
    { name = "max_buffer_size", type = "count", unit = "messages", min = 1, max = 10000000, default = 100000,
      help = "How many messages may wait for their acknowledgement; then the step takes no more, and reading stops." },
    { name = "max_buffer_bytes", type = "size", unit = "bytes", min = 1024, max = 2 ^ 31, default = "64MiB",
      help = "How many bytes may wait for their acknowledgement." },
    { name = "rdkafka", type = "properties", default_text = "none",
      refused = {
        ["bootstrap.servers"] = "say brokers", ["metadata.broker.list"] = "say brokers",
        ["queue.buffering.max.messages"] = "say max_buffer_size",
        ["queue.buffering.max.kbytes"] = "say max_buffer_bytes",
      },
      help = "Further librdkafka properties of the producer. Without `brokers` it takes the security, SASL and TLS "
        .. "properties of the source." },
  },
  plan = function(values, tables)
    local topics, known = { values.topic }, { [values.topic] = true }
    for _, topic in ipairs(values.topics or {}) do
      if not known[topic] then topics[#topics + 1] = topic end
      known[topic] = true
    end
    tables.sink = {
      medium = "TIDE_MEDIUM_KAFKA",
      topics = topics,
      partitioner = PARTITION[values.partition],
      max_messages = values.max_buffer_size,
      max_bytes = values.max_buffer_bytes,
    }
    tables.sink_brokers = values.brokers
    tables.sink_properties = values.rdkafka or {}
  end,
}
