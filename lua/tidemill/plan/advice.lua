-- SPDX-License-Identifier: MIT
-- plan/advice.lua: finds what is legal in a pipeline but unwise. Each text looks as a fault does, and names a way out.
local blocks = require("tidemill.steps.blocks")
local tide = require("tidemill.run.ffi")
local units = require("tidemill.plan.units")

local advice = {}

local MESSAGE = 1024 -- bytes; the size that messages are assumed to have when a block is checked

local function find(pipeline, kind)
  for _, step in ipairs(pipeline.steps) do
    if step.spec.kind == kind then return step end
  end
end

local function about_source(pipeline, source, add)
  if source.name ~= "kafka_source" then return end
  if not find(pipeline, "commit") then
    add(source, "no commit_offsets: after a restart everything since the last commit of this group is read again; "
      .. "add tide.commit_offsets {}")
  end
  if source.values.auto_offset_reset == "error" and not source.values.start then
    add(source, 'no start: the first run of a new group stops, since it has no committed offset; say '
      .. 'start = "earliest" or "latest"')
  end
end

-- A pattern does not find what the pipeline itself writes; the engine looks for topics in the same way.
local function about_patterns(source, own_topics, add)
  local named = {}
  local topics = source.values.topics or { source.values.pattern }
  for _, topic in ipairs(topics) do named[topic] = true end
  for _, pattern in ipairs(topics) do
    for _, own in ipairs(pattern:sub(1, 1) == "^" and own_topics or {}) do
      if not named[own] and tide.C.tide_kafka_pattern_matches(pattern, own) then
        add(source, 'the pattern "%s" matches "%s", which this pipeline writes to: it is not read', pattern, own)
      end
    end
  end
end

-- Without a dlq, a message that a function rejects or fails on has nowhere to go.
local function about_dlq(pipeline, add)
  if pipeline.dlq then return end
  for _, step in ipairs(pipeline.steps) do
    if step.spec.role then
      add(step, "no dlq: the first message that this step cannot deal with stops the pipeline (exit 65), and again "
        .. 'when it is started again; add dlq = tide.dlq { topic = "..." } to the pipeline')
      return
    end
  end
end

local function about_security(source, add)
  local values = {}
  for _, property in ipairs(source.values.rdkafka or {}) do values[property.name] = property.value end
  local protocol = tostring(values["security.protocol"] or "plaintext"):lower()
  if protocol == "sasl_plaintext" then
    add(source, 'security.protocol=%s: the password can be read on the network; use SASL_SSL', protocol)
  end
  if tostring(values["enable.ssl.certificate.verification"]) == "false" then
    add(source, "enable.ssl.certificate.verification=false: anybody can pretend to be the broker")
  end
  if tostring(values["ssl.endpoint.identification.algorithm"]) == "none" and protocol:find("ssl", 1, true) then
    add(source, "ssl.endpoint.identification.algorithm=none: whoever has a certificate of the same authority can "
      .. "pretend to be the broker")
  end
end

local function about_block(step, add)
  local values = step.values
  local size, batch = values.input_block_size, values.max_batch_size
  if type(batch) ~= "number" then batch = type(batch) == "table" and batch.max or blocks.MAX_BATCH_SIZE end
  if type(size) ~= "number" or size >= batch * MESSAGE then return end
  add(step, "input_block_size = %s: holds less than a batch of max_batch_size = %d messages of 1 KiB (%s), so batches "
    .. 'would be broken up; raise it, or say "auto"', units.show_size(size), batch, units.show_size(batch * MESSAGE))
end

local function about_sink(pipeline, source, sink, add)
  if not sink then
    add(pipeline, "no produce or file_sink: results are counted and dropped; add one, unless functions "
      .. "send messages elsewhere and return tide.drop")
    return
  end
  local read = {}
  for _, topic in ipairs(source.values.topics or { source.values.topic }) do read[topic] = true end
  for _, topic in ipairs { sink.values.topic, unpack(sink.values.topics or {}) } do
    if read[topic] and source.name == "kafka_source" then
      add(sink, 'produces into "%s", which it reads: every result comes back as an input', topic)
    end
  end
end

--- Returns texts "file:line: warning: ...", in the order of the steps. own_topics are those that the pipeline writes to
--- the brokers that it reads from (plan/plan_table.lua).
function advice.about(pipeline, own_topics)
  local texts = {}
  local function add(step, text, ...)
    local declaration = step.declaration or step
    texts[#texts + 1] = ("%s:%d: warning: %s"):format(declaration.file, declaration.line, text:format(...))
  end
  local source = pipeline.steps[1]
  about_source(pipeline, source, add)
  about_patterns(source, own_topics or {}, add)
  for _, step in ipairs(pipeline.steps) do
    if step.values.rdkafka then about_security(step, add) end
    if step.name == "run_task_with_multiprocessing" then about_block(step, add) end
  end
  about_dlq(pipeline, add)
  about_sink(pipeline, source, find(pipeline, "sink"), add)
  return texts
end

return advice
