-- SPDX-License-Identifier: MIT
-- Every step and setting: its table is whole, and wrong options are refused with the reason.
local list = require "tidemill.steps.list"
local pipeline_file = require "spec.support.pipeline_file"
local types = require "tidemill.plan.types"

-- The faults of one step or setting with these options.
local function faults_of(name, options)
  local _, texts = pipeline_file.load(pipeline_file.around(name, options))
  for i, text in ipairs(texts or {}) do texts[i] = text:gsub("^p:%d+: ", "") end
  return texts
end

local function check_all(name, cases)
  for options, expected in pairs(cases) do
    local expectation = expected ~= true and (type(expected) == "table" and expected or { expected }) or nil
    assert.same(expectation, faults_of(name, options), name .. " { " .. options .. " }")
  end
end

describe("the table of each step and setting", function()
  it("the table of each step and setting has a summary, an example, and options with type and help", function()
    for _, spec in ipairs(list) do
      assert.is_string(spec.summary, spec.name)
      assert.is_string(spec.example, spec.name)
      for _, option in ipairs(spec.options) do
        local name = spec.name .. "." .. option.name
        assert.is_string(option.type, name)
        assert.is_string(option.help, name)
        assert.is_truthy(option.help:find("[.:]$"), name .. ": help is a sentence")
        assert.is_truthy(option.type ~= "choice" or option.values, name)
      end
    end
  end)

  it("the table of each step and setting has defaults that are of their option's type and within its bounds", function()
    for _, spec in ipairs(list) do
      for _, option in ipairs(spec.options) do
        local value = types.default(option)
        if type(value) == "number" then
          assert.is_true(not option.min or value >= option.min, option.name)
          assert.is_true(not option.max or value <= option.max, option.name)
        end
        if type(option.default) == "string" then assert.is_not_nil(value, option.name) end
      end
    end
  end)
end)

describe("the step or setting", function()
  after_each(pipeline_file.remove_all)

  local function clear(name)
    return ('option "rdkafka" = {...}: the value of %s stands in clear in the file or on the command line, where '
      .. 'others may read it; write tide.secret_file "PATH", tide.env "NAME" without a default, or '
      .. 'tide.credential "NAME"')
      :format(name)
  end

  it("kafka_source refuses wrong options", function()
    local rest = ', brokers = "b", group = "g"'
    local start = 'must be "earliest", "latest", an offset (0 or more), or a moment as "2026-01-31T12:00:00Z"'
    check_all("kafka_source", {
      ['topic = "t"' .. rest] = true,
      ['topics = { "a", "^b" }' .. rest] = true,
      ['pattern = "^b"' .. rest] = true,
      ['topic = "t", start = 5' .. rest] = true,
      ['topic = "t", start = "2026-01-31T12:00:00Z"' .. rest] = true,
      ['brokers = { "a:1", "b:2" }, topic = "t", group = "g"'] = true,
      [""] = { 'option "brokers": missing', 'option "group": missing',
        'option "topic": missing; say topic = "name", topics = { ... } or pattern = "^..."' },
      ['topic = "t", topics = { "u" }' .. rest] = 'options "topic" and "topics" exclude each other: keep one of them',
      ['topic = "^t"' .. rest] = 'option "topic" = "^t": a name cannot begin with ^; say pattern = "^t"',
      ['pattern = "t"' .. rest] = 'option "pattern" = "t": a pattern begins with ^, as "^t"',
      ['topics = {}' .. rest] = 'option "topics" = {...}: is empty',
      ['topics = { "a", 5 }' .. rest] = 'option "topics" = {...}: value 2 must be a text, not a number',
      ['topics = { a = "b" }' .. rest] = 'option "topics" = {...}: must be a list without gaps',
      ['topic = "t", group = "g", brokers = { "a:1", late = "b:2" }'] = 'option "brokers" = {...}: must be a list '
        .. "without gaps",
      ['topic = "t", start = "first"' .. rest] = 'option "start" = "first": ' .. start,
      ['topic = "t", start = -1' .. rest] = 'option "start" = -1: ' .. start,
      ['topic = "t", auto_offset_reset = "latests"' .. rest] = 'option "auto_offset_reset" = "latests": unknown; it is '
        .. '"error" or "earliest" or "latest"; did you mean "latest"?',
      ['topic = "t", rdkafka = "x"' .. rest] = 'option "rdkafka" = "x": must be a table of librdkafka properties, as '
        .. '{ ["linger.ms"] = 5 }, not a string',
      ['topic = "t", rdkafka = { ["sasl.password"] = "clear" }' .. rest] = clear("sasl.password"),
      ['topic = "t", rdkafka = { ["ssl.key.password"] = 5 }' .. rest] = clear("ssl.key.password"),
      ['topic = "t", rdkafka = { ["ssl.key.pem"] = "clear" }' .. rest] = clear("ssl.key.pem"),
      ['topic = "t", rdkafka = { ["sasl.oauthbearer.client.secret"] = tide.env("S", "clear") }' .. rest] =
        clear("sasl.oauthbearer.client.secret"),
      ['topic = "t", rdkafka = { ["sasl.password"] = tide.env "S", ["ssl.ca.pem"] = "no secret" }' .. rest] = true,
      ['topic = "t", rdkafka = { ["sasl.password"] = tide.credential "a/b" }' .. rest] = 'tide.credential "a/b": takes '
        .. "a name, not a path; for a file say tide.secret_file",
      ['topic = "t", rdkafka = { ["bootstrap.servers"] = "x" }' .. rest] = 'option "rdkafka" = {...}: '
        .. "bootstrap.servers is an option of its own: say brokers",
      ['topic = "t", rdkafka = { x = {} }'
        .. rest] = 'option "rdkafka" = {...}: property x must be a text, a number or '
        .. "a boolean, not a table",
      ['topic = "t", "u"' .. rest] = 'value 1 = "u": kafka_source takes only options with a name',
      ['topic = 5' .. rest] = 'option "topic" = 5: must be a text, not a number',
      ['topic = ""' .. rest] = 'option "topic" = "": is empty',
    })
  end)

  it("run_task_with_multiprocessing refuses an order that there is not, and a key without one", function()
    check_all("run_task_with_multiprocessing", {
      ["print, order = 'key', by = 'json:user.id'"] = true,
      ["print, order = 'key', by = 'header:user'"] = true,
      ["print, order = 'key', by = 'partition'"] = true,
      ["print, order = 'none'"] = true,
      ["print, order = 'keys'"] = 'option "order" = "keys": unknown; it is "partition" or "key" or "none"; did you '
        .. 'mean "key"?',
      ["print, by = 'key'"] = 'option "by" = "key": is for order = "key"; this step has order = "partition"',
      ["print, order = 'none', by = 'key'"] = 'option "by" = "key": is for order = "key"; this step has order = "none"',
      ["print, order = 'key', by = 'user'"] =
        'option "by" = "user": must be "key", "partition", "header:NAME" or "json:PATH"',
      ["print, order = 'key', by = 'header:'"] = 'option "by" = "header:": names no header',
      ["print, order = 'key', by = 'json:'"] = 'option "by" = "json:": names no path',
      ["print, order = 'key', by = 'json:a..b'"] =
        'option "by" = "json:a..b": has an empty name in its path; write as "json:user.id"',
    })
    local text = pipeline_file.around("run_task_with_multiprocessing", "print"):gsub("tide.produce",
      "tide.batch { order = 'key' }, %0")
    local _, faults = pipeline_file.load(text)
    assert.same({ 'option "order": unknown; "order" is an option of run_task_with_multiprocessing' },
      { (faults[1]:gsub("^p:%d+: ", "")) })
  end)

  it("run_task_with_multiprocessing refuses wrong options", function()
    check_all("run_task_with_multiprocessing", {
      ["print, input_block_size = 'auto', output_block_size = '1MiB', processes = 2"] = true,
      ["print, input_block_size = '128MiB'"] = true,
      ["print, pool = tide.pool {}"] = true,
      [""] = "no function: name a Lua file or write a function",
      ["{ batch = print }"] = "function 1 = {...}: must be a function or the path of a Lua file; a table of hooks "
        .. "(init, start, process, batch, close) is what that file returns",
      ["5"] = "function 1 = 5: must be a function or the path of a Lua file",
      ["print, [0] = print"] = "value [0] = function: functions stand in a list, from 1 on",
      ["print, nil, print"] = "function 2 = nil: must be a function or the path of a Lua file",
      ["print, max_batch_size = 0"] = 'option "max_batch_size" = 0: must be more than 0',
      ["print, max_batch_size = -5"] = 'option "max_batch_size" = -5: must be more than 0',
      ["print, max_batch_size = 1.5"] = 'option "max_batch_size" = 1.5: not a whole number',
      ["print, max_batch_size = 1e9"] = 'option "max_batch_size" = 1000000000: too large, the most is 1000000',
      ["print, max_batch_size = true"] = 'option "max_batch_size" = true: must be a whole number, not a boolean',
      ["print, max_batch_size = 'auto', max_batch_time = 'auto', processes = 'auto'"] = true,
      ["print, processes = { min = 2, max = 8 }, max_batch_size = { max = 50 }"] = true,
      ["print, max_batch_time = { max = '1s' }"] = true,
      ["print, processes = 'automatic'"] = 'option "processes" = "automatic": not a whole number, or "auto"',
      ["print, processes = { min = 8, max = 2 }"] =
        'option "processes" = { min = 8, max = 2 }: max is below min; raise it or leave it out',
      ["print, processes = { max = 0 }"] = 'option "processes.max" = 0: must be more than 0',
      ["print, processes = { most = 3 }"] = 'option "processes.most": unknown; it takes min, max',
      ["print, max_batch_time = 0"] = 'option "max_batch_time" = 0: must be more than 0',
      ["print, max_batch_time = '-1s'"] = 'option "max_batch_time" = "-1s": must be more than 0',
      ["print, input_block_size = 100"] = 'option "input_block_size" = 100: too small, the least is 4KiB',
      ["print, input_block_size = '16M'"] = 'option "input_block_size" = "16M": not a size; write bytes, or a number '
        .. 'with KiB, MiB or GiB, as "16MiB", or "auto"',
      ["print, output_block_size = 0"] = 'option "output_block_size" = 0: must be more than 0',
      ["print, max_output_block_size = '4GiB'"] =
        'option "max_output_block_size" = "4GiB": too large, the most is 2GiB',
      ["print, input_block_size = '2MiB', max_input_block_size = '1MiB'"] =
        'option "max_input_block_size" = 1MiB: below input_block_size = 2MiB; raise it or leave it out',
      ["print, pool = tide.pool {}, processes = 2"] =
        'options "pool" and "processes" exclude each other: say processes in tide.pool { ... }',
      ["print, pool = 4"] = 'option "pool" = 4: must be tide.pool { ... }, not a number',
      ["print, pool = tide.noop {}"] = 'option "pool" = tide.noop: must be tide.pool { ... }, not a tide.noop',
      ["print, pool = tide.pool { processes = 0 }"] = 'option "processes" = 0: must be more than 0',
      ["print, max_messages = 1000, max_growth = '1GiB', max_cpu_time = '2s'"] = true,
      ["print, max_open_files = 10, max_log_lines = 5"] = true,
      ["print, pool = tide.pool { max_messages = 1000, max_growth = 2 ^ 30, max_cpu_time = 2 }"] = true,
      ["print, max_messages = 0"] = 'option "max_messages" = 0: must be more than 0',
      ["print, max_growth = '1kB'"] = 'option "max_growth" = "1kB": too small, the least is 1MiB',
      ["print, max_growth = '1s'"] = 'option "max_growth" = "1s": not a size; write bytes, or a number with KiB, MiB '
        .. 'or GiB, as "16MiB"',
      ["print, max_cpu_time = 0"] = 'option "max_cpu_time" = 0: must be more than 0',
      ["print, max_cpu_time = '1GiB'"] = 'option "max_cpu_time" = "1GiB": not a time; write seconds, or a number with '
        .. 'us, ms, s, min, h or d, as "500ms"',
      ["print, max_open_files = 2.5"] = 'option "max_open_files" = 2.5: not a whole number',
      ["print, max_log_lines = -1"] = 'option "max_log_lines" = -1: must be more than 0',
      ["print, pool = tide.pool {}, max_messages = 5, max_log_lines = 5"] = {
        'options "pool" and "max_messages" exclude each other: say max_messages in tide.pool { ... }',
        'options "pool" and "max_log_lines" exclude each other: say max_log_lines in tide.pool { ... }' },
      ["print, pool = tide.pool { max_messages = 'all' }"] = 'option "max_messages" = "all": not a whole number',
      ["print, eager = 1"] = 'option "eager" = 1: must be true or false, not a number',
      ["print, prefetch_batches = -1"] = 'option "prefetch_batches" = -1: too small, the least is 0',
    })
  end)

  it("produce refuses wrong options", function()
    check_all("produce", {
      ['topic = "o", topics = { "p" }, partition = "same", max_buffer_bytes = "1MiB"'] = true,
      [""] = 'option "topic": missing; it is where a message goes that names no topic; topics are further ones',
      ['topic = "o", partition = "sam"'] = 'option "partition" = "sam": unknown; it is "key" or "same"; did you mean '
        .. '"same"?',
      ['topic = "o", max_buffer_size = 0'] = 'option "max_buffer_size" = 0: must be more than 0',
      ['topic = "o", rdkafka = { ["queue.buffering.max.messages"] = 1 }'] = 'option "rdkafka" = {...}: '
        .. "queue.buffering.max.messages is an option of its own: say max_buffer_size",
    })
  end)

  it("commit_offsets refuses wrong options", function()
    local wanted = '"immediate" or "once_per_second" or a table'
    check_all("commit_offsets", {
      ['policy = "immediate"'] = true,
      ['policy = { min_time = "5s" }'] = true,
      ['policy = { min_messages = 10, min_time = 1 }'] = true,
      ['policy = "imediate"'] = 'option "policy" = "imediate": unknown; it is ' .. wanted
        .. '; did you mean "immediate"?',
      ["policy = 5"] = 'option "policy" = 5: must be ' .. wanted .. ", not a number",
      ["policy = {}"] = 'option "policy" = {}: needs min_time, min_messages or both',
      ["policy = { min_time = 0 }"] = { 'option "policy.min_time" = 0: must be more than 0',
        'option "policy" = {}: needs min_time, min_messages or both' },
      ["policy = { min_tim = 1, min_messages = 1 }"] = 'option "policy.min_tim": unknown; did you mean "min_time"?',
    })
  end)

  it("dlq refuses wrong options", function()
    local function faults(options)
      local _, texts = pipeline_file.load(pipeline_file.around(nil, nil, "dlq = tide.dlq { " .. options .. " }"))
      for i, text in ipairs(texts or {}) do texts[i] = text:gsub("^p:%d+: ", "") end
      return texts
    end
    assert.is_nil(faults('topic = "d", max_invalid_ratio = 0.01, max_consecutive_count = 100'))
    assert.is_nil(faults('path = "d.jsonl"'))
    assert.same({ 'option "topic": missing; say topic = "name" or path = "file"' }, faults(""))
    assert.same({ 'options "topic" and "path" exclude each other: keep one of them' },
      faults('topic = "d", path = "d"'))
    assert.same({ 'option "max_invalid_ratio" = 2: too large, the most is 1' },
      faults('path = "d", max_invalid_ratio = 2'))
    assert.same({ 'option "max_invalid_ratio" = -0.5: too small, the least is 0' },
      faults('path = "d", max_invalid_ratio = -0.5'))
    assert.same({ 'option "topic" = "t": the pipeline reads it, so a dead letter would come back for ever; '
      .. 'name another '
      .. "topic" }, faults('topic = "t"'))
  end)

  it("pipeline refuses wrong options", function()
    local function faults(settings)
      local _, texts = pipeline_file.load(pipeline_file.around(nil, nil, settings))
      return texts
    end
    assert.is_nil(faults('delivery = "at_least_once", trust = "full", join_timeout = "5s", broker_timeout = 1'))
    assert.same({ 'p:2: option "dlq" = "d": must be tide.dlq { ... }, not a string' }, faults('dlq = "d"'))
    assert.same({ 'p:2: option "trust" = "none": unknown; it is "full" or "standard" or "hardened"' },
      faults('trust = "none"'))
    assert.same({ 'p:2: option "core_dumps" = 1: must be true or false, not a number' }, faults('core_dumps = 1'))
    assert.same({ 'p:2: option "message_timeout" = "0s": must be more than 0' }, faults('message_timeout = "0s"'))
    assert.same({ 'p:2: option "delivry": unknown; did you mean "delivery"?' }, faults('delivry = "x"'))
    local _, texts = pipeline_file.load('return tide.pipeline(5) { tide.file_source { path = "-" } }')
    assert.same({ 'p:2: tide.pipeline: takes a text first, as ' .. list.pipeline.example .. "; this is a number" },
      texts)
    _, texts = pipeline_file.load('return tide.pipeline "x" (tide.file_source "a")')
    assert.same({ 'p:2: tide.file_source: takes a table of options, as tide.file_source { path = "events.jsonl" }; '
      .. "this is a string", 'p:2: tide.pipeline: takes a name and a table, as ' .. list.pipeline.example,
      "p:2: the first step must be a source: kafka_source or file_source" }, texts)
  end)

  it("file_source and file_sink refuse what spans two steps", function()
    local function faults(text)
      local _, texts = pipeline_file.load('return tide.pipeline "x" {\n' .. text .. "}")
      return texts
    end
    assert.same({ 'p:3: option "path": missing' }, faults("tide.file_source {}"))
    assert.same({ 'p:4: option "format" = "xml": unknown; it is "lines" or "json"' },
      faults('tide.file_source { path = "a" },\ntide.file_sink { path = "b", format = "xml" }'))
    assert.same({ 'p:4: option "brokers": missing; the source is no Kafka to take them from' },
      faults('tide.file_source { path = "a" },\ntide.produce { topic = "b" }'))
    assert.same({ 'p:4: option "topic" = "d": the pipeline has neither kafka_source nor produce, so there '
      .. "are no brokers to write it to; say path = FILE" },
      faults('tide.file_source { path = "a" },\ndlq = tide.dlq { topic = "d" }'))
  end)
end)
