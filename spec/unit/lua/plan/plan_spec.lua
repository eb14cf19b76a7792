-- SPDX-License-Identifier: MIT
-- From a pipeline file to struct tide_plan and the properties of librdkafka.
local ffi = require "ffi"
local pipeline_file = require "spec.support.pipeline_file"
local plan = require "tidemill.plan.plan"

local TEXT = [[
local pool = tide.pool { processes = 3 }
return tide.pipeline "x" {
  tide.kafka_source { brokers = { "a:1", "b:2" }, topics = { "t", "^u" }, group = "g", start = "2026-01-31T12:00:00Z",
    auto_offset_reset = "latest", instance = "i",
    rdkafka = { ["sasl.password"] = tide.secret_file "SECRET", ["sasl.username"] = "me", ["fetch.min.bytes"] = 5 } },
  tide.run_task_with_multiprocessing { print, "t.lua", pool = pool, input_block_size = "2MiB", max_batch_time = "200ms",
    max_output_block_size = "512KiB", eager = false, prefetch_batches = 2, crash_retries = 0, max_batch_size = 7 },
  tide.noop {},
  tide.run_task_with_multiprocessing { print, pool = pool },
  tide.run_task_with_multiprocessing { print, processes = 5, input_block_size = "128MiB" },
  tide.produce { topic = "o", topics = { "p", "o" }, partition = "same", max_buffer_size = 9, max_buffer_bytes = "1MiB",
    rdkafka = { ["linger.ms"] = 5 } },
  tide.commit_offsets { policy = { min_time = "2s", min_messages = 8 } },
  dlq = tide.dlq { topic = "d", max_invalid_ratio = 0.25 },
  join_timeout = "1s", message_timeout = "2s", retry_timeout = "4s", broker_timeout = "3s",
}]]

local secret_path

local function planned(options)
  local text = TEXT:gsub("SECRET", secret_path)
  local path = pipeline_file.write('local tide = require "tidemill"\n' .. text, { ["t.lua"] = "return print" })
  return assert(plan.load(path, options))
end

describe("a plan", function()
  setup(function()
    secret_path = os.tmpname()
    local file = assert(io.open(secret_path, "w"))
    file:write("hush\n")
    file:close()
  end)
  teardown(function() os.remove(secret_path) end)
  after_each(pipeline_file.remove_all)

  it("a plan has the source", function()
    local one = planned()
    collectgarbage()
    local source = one.c.source
    assert.equal("x", ffi.string(one.c.name))
    assert.is_true(source.medium == "TIDE_MEDIUM_KAFKA")
    assert.equal(2, source.topic_count)
    assert.equal("t", ffi.string(source.topics[0]))
    assert.equal("^u", ffi.string(source.topics[1]))
    assert.equal("g", ffi.string(source.group))
    assert.equal("i", ffi.string(source.instance))
    assert.is_true(source.reset == "TIDE_RESET_LATEST" and source.start == "TIDE_START_TIME")
    assert.equal(1769860800000, tonumber(source.start_at))
    assert.equal(3000000, tonumber(source.timeout_us))
    assert.is_false(source.until_end)
  end)

  it("a plan has the steps, with pools shared and sizes in bytes", function()
    local one = planned()
    local c = one.c
    assert.equal(4, c.step_count)
    assert.equal(2, c.pool_count)
    assert.same({ 3, 5 }, { c.pools[0], c.pools[1] })
    assert.same({ 0, 0, 1 }, { c.steps[0].pool, c.steps[2].pool, c.steps[3].pool })
    assert.is_true(c.steps[1].kind == "TIDE_STEP_NOOP" and c.steps[0].kind == "TIDE_STEP_TASK")
    local step = c.steps[0]
    assert.same({ 7, 2, 0 }, { step.max_batch_size, step.prefetch_batches, step.crash_retries })
    assert.equal(200000, tonumber(step.max_batch_time_us))
    assert.same({ 2 ^ 21, 2 ^ 26, false },
      { tonumber(step.input_block_size), tonumber(step.max_input_block_size), step.auto_input })
    assert.same({ 2 ^ 19, 2 ^ 19, true },
      { tonumber(step.output_block_size), tonumber(step.max_output_block_size), step.auto_output })
    assert.is_false(step.eager)
    assert.equal(2 ^ 27, tonumber(c.steps[3].max_input_block_size))
    assert.equal(2 ^ 20, tonumber(c.steps[3].output_block_size))
  end)

  it("a plan keeps the functions of each step in Lua", function()
    local one = planned()
    assert.equal(print, one.functions[1][1])
    assert.same({ kind = "file", path = one.folder .. "/t.lua" }, one.functions[1][2])
    assert.is_nil(one.functions[2])
    assert.equal(1, #one.functions[3])
  end)

  it("a plan has sink, dlq, commit and timeouts", function()
    local c = planned().c
    assert.equal(2, c.sink.topic_count)
    assert.equal("p", ffi.string(c.sink.topics[1]))
    assert.is_true(c.sink.partitioner == "TIDE_PARTITION_SAME")
    assert.same({ 9, 2 ^ 20 }, { c.sink.max_messages, tonumber(c.sink.max_bytes) })
    assert.is_true(c.dlq.kind == "TIDE_DLQ_TOPIC")
    assert.same({ "d", 0.25, -1 },
      { ffi.string(c.dlq.target), c.dlq.max_invalid_ratio, tonumber(c.dlq.max_consecutive_count) })
    assert.same({ true, 2e6, 8 }, { c.commit.enabled, tonumber(c.commit.min_time_us), tonumber(c.commit.min_messages) })
    assert.same({ 1e6, 2e6, 4e6 },
      { tonumber(c.join_timeout_us), tonumber(c.message_timeout_us), tonumber(c.retry_timeout_us) })
    assert.is_false(c.handle_signals)
  end)

  it("a plan ends transactions each second at the latest, and has none where files stand in for Kafka", function()
    local path = pipeline_file.write [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", group = "g" }, tide.produce { topic = "o" },
  tide.commit_offsets { policy = { min_messages = 8 } }, delivery = "exactly_once",
}]]
    local c = assert(plan.load(path)).c
    assert.is_true(c.exactly_once)
    assert.same({ 1e6, 8 }, { tonumber(c.commit.min_time_us), tonumber(c.commit.min_messages) })
    assert.is_false(assert(plan.load(path, { output = "-" })).c.exactly_once)
  end)

  it("a plan fetches secrets for the connection only", function()
    local one = planned()
    local sides = one:connection()
    assert.same({
      { name = "bootstrap.servers", value = "a:1,b:2" }, { name = "fetch.min.bytes", value = "5" },
      { name = "sasl.password", value = "hush" }, { name = "sasl.username", value = "me" },
    }, sides.source)
    assert.same({
      { name = "bootstrap.servers", value = "a:1,b:2" }, { name = "linger.ms", value = "5" },
      { name = "sasl.password", value = "hush" }, { name = "sasl.username", value = "me" },
    }, sides.sink)
    assert.equal("[redacted]", tostring(one.tables.source_properties[2].value))
  end)

  it("a plan on a mock Kafka has its brokers, no security, and reads from the start", function()
    local one = planned { mock = true }
    local sides = one:connection("mock:1")
    assert.same({ { name = "bootstrap.servers", value = "mock:1" }, { name = "fetch.min.bytes", value = "5" },
      { name = "fetch.wait.max.ms", value = "10" } }, sides.source)
    assert.is_true(one.c.source.start == "TIDE_START_EARLIEST" and one.c.source.reset == "TIDE_RESET_EARLIEST")
  end)

  it("a plan on files has no Kafka, no commits and no secrets", function()
    os.rename(secret_path, secret_path .. ".away")
    local one = planned { input = "/some/where.jsonl", output_format = "json", handle_signals = true }
    os.rename(secret_path .. ".away", secret_path)
    local c = one.c
    assert.is_true(c.source.medium == "TIDE_MEDIUM_FILE" and c.sink.medium == "TIDE_MEDIUM_FILE")
    assert.same({ "/some/where.jsonl", "where.jsonl", "-", "-" }, { ffi.string(c.source.path),
      ffi.string(c.source.topics[0]), ffi.string(c.sink.path), ffi.string(c.dlq.target) })
    assert.is_true(c.sink.format == "TIDE_OUTPUT_JSON" and c.dlq.kind == "TIDE_DLQ_FILE")
    assert.equal(9, c.sink.max_messages)
    assert.is_false(c.commit.enabled)
    assert.is_true(c.handle_signals)
    assert.same({ source = {}, sink = {} }, one:connection())
    assert.same({ source = {}, sink = {}, tables = {} }, one:kafka_topics())
    assert.same({ "o", "p" }, one.topics)
  end)

  it("a plan with --output alone still reads Kafka and commits", function()
    local c = planned({ output = "out", dead_letters = "dead" }).c
    assert.is_true(c.source.medium == "TIDE_MEDIUM_KAFKA" and c.sink.medium == "TIDE_MEDIUM_FILE")
    assert.is_true(c.commit.enabled)
    assert.equal("dead", ffi.string(c.dlq.target))
  end)

  it("a plan knows its topics", function()
    local one = planned { until_end = true }
    assert.is_true(one.c.source.until_end)
    assert.same({ source = { "t" }, sink = { "o", "p", "d" }, tables = {} }, one:kafka_topics())
  end)
end)
