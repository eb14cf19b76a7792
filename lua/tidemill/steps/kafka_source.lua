-- SPDX-License-Identifier: MIT
-- steps/kafka_source.lua: reads Kafka topics as a member of a consumer group.
local RESET = {
  error = "TIDE_RESET_ERROR", earliest = "TIDE_RESET_EARLIEST", latest = "TIDE_RESET_LATEST",
}

-- A topic that is named twice is subscribed to once: librdkafka refuses to subscribe to it twice.
local function topics_of(values)
  local topics, known = {}, {}
  for _, topic in ipairs(values.topics or { values.topic or values.pattern }) do
    if not known[topic] then topics[#topics + 1] = topic end
    known[topic] = true
  end
  return topics
end

local function check(values, fault, given)
  local named = {}
  for _, name in ipairs { "topic", "topics", "pattern" } do
    if given[name] then named[#named + 1] = name end
  end
  if #named == 0 then
    fault('option "topic": missing; say topic = "name", topics = { ... } or pattern = "^..."')
  elseif #named > 1 then
    fault('options "%s" exclude each other: keep one of them', table.concat(named, '" and "'))
  end
  for _, name in ipairs { "topic", "pattern" } do
    local begins = type(values[name]) == "string" and values[name]:sub(1, 1) == "^"
    if name == "topic" and begins then
      fault('option "topic" = "%s": a name cannot begin with ^; say pattern = "%s"', values.topic, values.topic)
    elseif name == "pattern" and type(values.pattern) == "string" and not begins then
      fault('option "pattern" = "%s": a pattern begins with ^, as "^%s"', values.pattern, values.pattern)
    end
  end
end

return {
  name = "kafka_source",
  kind = "source",
  summary = "reads Kafka topics as a member of a consumer group",
  example = 'tide.kafka_source { brokers = "127.0.0.1:9092", topic = "events", group = "clean-events" }',
  options = {
    { name = "brokers", type = "brokers", required = true,
      help = "The addresses of brokers of the cluster: host:port, several separated by commas or as a list." },
    { name = "topic", type = "string", help = "The topic to read." },
    { name = "topics", type = "strings", patterns = true,
      help = "Several topics; one that begins with ^ is a pattern." },
    { name = "pattern", type = "string", patterns = true,
      help = "All topics that match this POSIX extended regular expression. It begins with ^, and ends with $ unless "
        .. "more may follow; it has [0-9] and [[:alnum:]], but not \\d or (?!...). It never matches Kafka's internal "
        .. "topics and those that the pipeline itself writes on these brokers (produce, dlq); `topics` may name "
        .. "them." },
    { name = "discovery_interval", type = "time", unit = "seconds", default = "5min", min = 1e4, max = 3600e6,
      help = "How often the brokers are asked for new topics of a pattern and for new partitions of a topic, which may "
        .. "thus be noticed this late (librdkafka's topic.metadata.refresh.interval.ms)." },
    { name = "group", type = "string", required = true,
      help = "The consumer group. Engines in the same group share the partitions." },
    { name = "start", type = "start", default_text = "by auto_offset_reset",
      help = 'Where to begin in a partition without a committed offset: "earliest", "latest", an offset, or a moment '
        .. 'as "2026-01-31T12:00:00Z". latest reads what is written after the engine has started, and topics and '
        .. "partitions that are made later from their beginning. A topic that is deleted and made again while the "
        .. "engine runs is read from its beginning, or the engine stops (exit 75). When it is made again within a "
        .. "second, the engine may not notice: then it goes on at the old offset and skips what is before it. Stop the "
        .. "engine first, or wait until it says that the topic does not exist." },
    { name = "auto_offset_reset", type = "choice", values = { "error", "earliest", "latest" }, default = "error",
      help = "Where to go on when the committed offset is out of range, or missing without `start`. "
        .. "error: stop, and say so." },
    { name = "instance", type = "string", default_text = "unset: session timeout 10 s",
      help = "A name for this engine alone (group.instance.id). With it, a restart within the session timeout gets its "
        .. "partitions back without a rebalance, unless some partitions have no owner by then. With several engines "
        .. "(engines), engine K has the name NAME-K." },
    { name = "rdkafka", type = "properties", default_text = "none",
      refused = {
        ["bootstrap.servers"] = "say brokers", ["metadata.broker.list"] = "say brokers",
        ["topic.metadata.refresh.interval.ms"] = "say discovery_interval",
      },
      help = "Further librdkafka properties, as TLS and SASL settings. Those that would break a guarantee are "
        .. "refused." },
  },
  check = check,
  plan = function(values, tables)
    local start = values.start or { kind = "TIDE_START_NONE", at = 0 }
    tables.source = {
      medium = "TIDE_MEDIUM_KAFKA",
      topics = topics_of(values),
      group = values.group,
      instance = values.instance,
      reset = RESET[values.auto_offset_reset],
      start = start.kind,
      start_at = start.at,
      discovery_interval_us = values.discovery_interval,
    }
    tables.brokers = values.brokers
    tables.source_properties = values.rdkafka or {}
  end,
}
