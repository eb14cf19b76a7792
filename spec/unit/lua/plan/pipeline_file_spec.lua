-- SPDX-License-Identifier: MIT
local loader = require "tidemill.plan.pipeline_file"
local foreign = require "tidemill.plan.foreign"
local list = require "tidemill.steps.list"
local pipeline_file = require "spec.support.pipeline_file"

local GOOD = pipeline_file.around()

describe("a pipeline file", function()
  after_each(pipeline_file.remove_all)

  it("a pipeline file is loaded with its steps in order and defaults filled in", function()
    local pipeline = pipeline_file.load(GOOD)
    assert.equal("x", pipeline.name)
    local names = {}
    for i, step in ipairs(pipeline.steps) do names[i] = step.name end
    assert.same({ "kafka_source", "run_task_with_multiprocessing", "produce", "commit_offsets" }, names)
    assert.equal("auto", pipeline.steps[2].values.max_batch_size)
    assert.equal(25e6, pipeline.settings.values.join_timeout)
  end)

  it("a pipeline file that is not there is exit 66, and so is a folder", function()
    local pipeline, texts, status = loader.load("/no/such.lua")
    assert.is_nil(pipeline)
    assert.same({ "/no/such.lua: No such file or directory" }, texts)
    assert.equal(66, status)
    assert.equal(66, select(3, loader.load("/tmp")))
  end)

  it("a pipeline file with broken Lua is exit 78 with the line, however long its path", function()
    local _, texts, status = pipeline_file.load("return {\n  =\n}")
    assert.same({ "p:3: unexpected symbol near '='" }, texts)
    assert.equal(78, status)
    local folder = pipeline_file.folder() .. "/" .. ("long"):rep(30)
    os.execute("mkdir " .. folder)
    local file = assert(io.open(folder .. "/p.lua", "w"))
    file:write("local x = nil\nx.y = 1\n")
    file:close()
    _, texts = loader.load(folder .. "/p.lua")
    assert.same({ folder .. "/p.lua:2: attempt to index local 'x' (a nil value)" }, texts)
  end)

  it("a pipeline file that is compiled is refused, as its bytes could do anything", function()
    local compiled = string.dump(function() return 1 end)
    local path = pipeline_file.write(compiled)
    local _, texts, status = loader.load(path)
    assert.same({ path .. ": is compiled Lua, which nothing checks; give the file with its text" }, texts)
    assert.equal(78, status)
    path = pipeline_file.write("#!/usr/bin/env tidemill\n" .. compiled)
    _, texts, status = loader.load(path)
    assert.truthy(texts[1]:find(path .. ":2: unexpected symbol", 1, true), texts[1])
    assert.equal(78, status)
  end)

  it("a pipeline file that is a symbolic link finds what lies beside the file itself, over several links", function()
    local path = pipeline_file.write([[local tide = require "tidemill"
      return tide.pipeline "x" { tide.file_source { path = "-" }, tide.run_task { "t.lua" } }]],
      { ["t.lua"] = "return print" })
    local elsewhere = pipeline_file.folder()
    assert(os.execute(("cd %s && ln -s %s first.lua && mkdir deeper && ln -s ../first.lua deeper/second.lua"):format(
      elsewhere, path)))
    for _, link in ipairs { "first.lua", "deeper/second.lua" } do
      local pipeline = assert(loader.load(elsewhere .. "/" .. link))
      assert.equal(loader.folder(path) .. "/t.lua", pipeline.steps[2].values.functions[1].path)
      assert.equal(elsewhere .. "/" .. link, pipeline.file)
    end
  end)

  it("a pipeline file must return a pipeline", function()
    for result, told in pairs { ["nil"] = "nil", ["{}"] = "table", ["tide.noop {}"] = "tide.noop" } do
      local _, texts = pipeline_file.load("return " .. result)
      assert.same({ 'FOLDER/p.lua: must return tide.pipeline "name" { ... }; it returned ' .. told }, texts)
    end
  end)

  it("a pipeline file may begin with a #! line", function()
    local path = pipeline_file.write("#!/usr/bin/env tidemill\nlocal tide = require 'tidemill'\n" .. GOOD)
    assert.is_table((loader.load(path)))
  end)

  it("a pipeline file finds modules and transforms from its own folder", function()
    local pipeline =
      pipeline_file.load('local f = require("mine_" .. "spec")\nreturn tide.pipeline(f) { tide.file_source '
      .. '{ path = "-" }, tide.run_task_with_multiprocessing { "t.lua" } }', nil,
      { ["mine_spec.lua"] = 'return "mine"', ["t.lua"] = "return print" })
    package.loaded.mine_spec = nil
    assert.equal("mine", pipeline.name)
    assert.equal(pipeline.folder .. "/t.lua", pipeline.steps[2].values.functions[1].path)
  end)

  it("a pipeline file has all its faults told at once, by line, with the nearest name", function()
    local _, texts, status = pipeline_file.load [[
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", gruop = "g" },
  tide.run_task_with_multiprocessing { "none.lua", max_bach_size = 10, processes = 0, max_batch_time = "1 sek" },
  tide.prodce {},
  tide.produce { topic = "o", partition = 3 },
  delivery = "exactly_once",
}]]
    assert.equal(78, status)
    assert.same({
      'p:2: option "delivery" = "exactly_once": needs commit_offsets: its policy says when a transaction ends',
      'p:3: option "gruop": unknown; did you mean "group"?',
      'p:3: option "group": missing',
      'p:4: option "max_bach_size": unknown; did you mean "max_batch_size"?',
      'p:4: option "processes" = 0: must be more than 0',
      'p:4: option "max_batch_time" = "1 sek": not a time; write seconds, or a number with us, ms, s, min, h or d, '
        .. 'as "500ms", or "auto"',
      "p:4: transform cannot be read: FOLDER/none.lua: No such file or directory",
      'p:5: tide.prodce: unknown; did you mean "produce"?',
      'p:6: option "partition" = 3: must be "key" or "same", not a number',
    }, texts)
  end)

  it("a pipeline file has exactly_once refused where the transaction could not take outputs, dead"
    .. " letters and offsets", function()
    local _, texts = pipeline_file.load [[
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "bad" },
  delivery = "exactly_once",
}]]
    assert.same({
      'p:2: option "delivery" = "exactly_once": needs commit_offsets: its policy says when a transaction ends',
      'p:3: option "delivery" = "exactly_once": needs kafka_source, not file_source',
      'p:4: option "delivery" = "exactly_once": needs produce, not file_sink',
      'p:5: option "delivery" = "exactly_once": dead letters are part of the transaction; say dlq topic, not path',
    }, texts)
    _, texts = pipeline_file.load [[
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", group = "g" },
  tide.produce { brokers = "other", topic = "o" },
  tide.commit_offsets {},
  delivery = "exactly_once",
}]]
    assert.same({ 'p:4: option "delivery" = "exactly_once": the offsets are the source\'s, so produce must write to '
      .. "its brokers; leave out brokers" }, texts)
    _, texts = pipeline_file.load [[
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", group = "g" },
  tide.produce { topic = "o" },
  tide.commit_offsets { policy = { min_time = "6min" } },
  delivery = "exactly_once",
}]]
    assert.same({ 'p:5: option "delivery" = "exactly_once": policy.min_time: a transaction may be open for 5min at the '
      .. "most" }, texts)
  end)

  it("a pipeline file names steps that are refused, with the reason, and steps that are not there", function()
    local _, texts = pipeline_file.load('return tide.pipeline "x" { tide.file_source { path = "-" },\n'
      .. "tide.run_task_in_threads {},\ntide.run_taks {},\ntide.colour {} }")
    assert.same({
      'p:3: tide.run_task_in_threads: refused: threads would share one Lua state; use '
        .. "run_task_with_multiprocessing, which has processes",
      'p:4: tide.run_taks: unknown; did you mean "run_task"?',
      'p:5: tide.colour: unknown',
    }, texts)
  end)

  it("a pipeline file points from names that steps and options have elsewhere to ours", function()
    local _, texts = pipeline_file.load('return tide.pipeline "x" { workers = 2,\n'
      .. 'tide.kafka_source { bootstrap_servers = "b", ["bootstrap.servers"] = "b", group_id = "g", topic = "in",\n'
      .. '["auto.offset.reset"] = "earliest", ["client-id"] = "c" },\n'
      .. "tide.map_values { print },\ntide.kafka_sink { topic = 'x' },\n"
      .. 'tide.produce { topic = "o", compression = "zstd", acks = 1, colour = 1 } }')
    assert.same({
      'p:2: option "workers": unknown; "processes" is an option of run_task_with_multiprocessing, keyed, window '
        .. 'and pool',
      'p:3: option "auto.offset.reset": unknown; here it is "start" or "auto_offset_reset"',
      'p:3: option "bootstrap.servers": unknown; here it is "brokers"',
      'p:3: option "bootstrap_servers": unknown; here it is "brokers"',
      'p:3: option "client-id": unknown; librdkafka has it as a property: rdkafka = { ["client.id"] = ... }',
      'p:3: option "group_id": unknown; here it is "group"',
      'p:3: option "brokers": missing',
      'p:3: option "group": missing',
      'p:5: tide.map_values: unknown; here it is "run_task"',
      'p:6: tide.kafka_sink: unknown; here it is "produce"',
      'p:7: option "acks": unknown; librdkafka property "acks" cannot be set: a message is delivered once all replicas '
        .. "in sync have it",
      'p:7: option "colour": unknown; it takes topic, topics, brokers, partition, max_buffer_size, max_buffer_bytes, '
        .. "rdkafka",
      'p:7: option "compression": unknown; librdkafka has it as a property: rdkafka = { ["compression.type"] = ... }',
    }, texts)
  end)

  it("a pipeline file takes tide.map as a short name of run_task_with_multiprocessing", function()
    local pipeline = loader.load((pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "p" { '
      .. 'tide.file_source { path = "-" }, tide.map { print, processes = 3 }, tide.file_sink { path = "-" } }')))
    assert.same({ "run_task_with_multiprocessing", 3 }, { pipeline.steps[2].name, pipeline.steps[2].values.processes })
  end)

  it("a pipeline file has tide.map in its faults by the name that was written", function()
    local _, texts = pipeline_file.load('return tide.pipeline "x" {\n'
      .. 'tide.file_source { path = tide.map { print } },\ntide.map "f.lua",\n'
      .. 'tide.file_sink { path = "-" },\ntide.map { print } }')
    assert.same({
      'p:3: option "path" = tide.map: must be a text, not a tide.map',
      'p:4: tide.map: takes a table of options, as tide.map { "transform.lua", processes = 4, max_batch_size = 1000 }; '
        .. "this is a string",
      "p:6: tide.map: stands after file_sink; only commit_offsets may follow it",
    }, texts)
  end)

  it("a pipeline file points only to steps that there are", function()
    for _, name in ipairs { "map_values", "flat_map", "fold", "where", "consume", "sink", "file", "to_file", "commit",
      "dead_letter_queue", "parallel", "aggregate" } do
      local ours = foreign.step(name):match '^; here it is "([%w_]+)"$'
      assert.is_table(list[ours], name)
      assert.is_nil(list[name])
    end
  end)

  it("a pipeline file keeps the faults found before a Lua error", function()
    local _, texts = pipeline_file.load("tide.colour {}\nlocal x = nil\nreturn x.y")
    assert.same({ 'p:2: tide.colour: unknown', "p:4: attempt to index local 'x' (a nil value)" }, texts)
  end)
end)

describe("the order of steps", function()
  after_each(pipeline_file.remove_all)

  local SOURCE, SINK = 'tide.file_source { path = "-" }', 'tide.file_sink { path = "-" }'

  local function faults(...)
    local _, texts = pipeline_file.load('return tide.pipeline "x" {\n' .. table.concat({ ... }, ",\n") .. "}")
    return texts
  end

  it("the order of steps is a source, tasks, a sink, commit_offsets", function()
    assert.is_nil(faults(SOURCE, "tide.noop {}", SINK, "tide.commit_offsets {}"))
    assert.is_nil(faults(SOURCE, "tide.noop()", "tide.noop()"))
  end)

  it("the order of steps names what stands at a wrong place", function()
    assert.same({ "p:3: the first step must be a source: kafka_source or file_source" }, faults("tide.noop {}", SINK))
    assert.same({ 'p:4: tide.file_source: a second source, after file_source in line 3; a pipeline has one' },
      faults(SOURCE, SOURCE))
    assert.same({ 'p:5: tide.noop: stands after file_sink; only commit_offsets may follow it' },
      faults(SOURCE, SINK, "tide.noop {}"))
    assert.same({ 'p:5: tide.file_sink: a second sink, after file_sink in line 4; a pipeline has one' },
      faults(SOURCE, SINK, SINK))
    assert.same({ 'p:5: tide.file_sink: stands after commit_offsets, which comes last' },
      faults(SOURCE, "tide.commit_offsets {}", SINK))
    assert.same({ 'p:5: tide.commit_offsets: a second commit_offsets, after commit_offsets in line 4; a '
      .. 'pipeline has one' },
      faults(SOURCE, "tide.commit_offsets {}", "tide.commit_offsets {}"))
    assert.same({ "p:2: the first step must be a source: kafka_source or file_source" }, faults())
  end)

  it("the order of steps names what is no step", function()
    assert.same({ 'p:4: tide.dlq: is no step; write dlq = tide.dlq { ... }' }, faults(SOURCE,
      'tide.dlq { path = "d" }'))
    assert.same({ 'p:4: tide.pool: is no step; write pool = tide.pool { ... } in run_task_with_multiprocessing' },
      faults(SOURCE, "tide.pool {}"))
    assert.same({ "p:2: step 2 = 5: must be a step, as tide.produce { ... }" }, faults(SOURCE, "5"))
    assert.same({ "p:2: step 2 = nil: must be a step, as tide.produce { ... }" }, faults(SOURCE, "nil", SINK))
  end)
end)

describe("a parameter", function()
  after_each(pipeline_file.remove_all)

  local TEXT = 'return tide.pipeline "x" { tide.file_source { path = tide.param("path", "a") },\n'
    .. 'tide.run_task_with_multiprocessing { print, processes = tide.param("processes", 2), '
    .. 'eager = tide.param("eager", true) } }'

  it("a parameter is the value of --set, else the default, and of the default's type", function()
    local pipeline = pipeline_file.load(TEXT, { processes = "3", eager = "false" })
    assert.equal("a", pipeline.steps[1].values.path)
    assert.equal(3, pipeline.steps[2].values.processes)
    assert.is_false(pipeline.steps[2].values.eager)
  end)

  it("a parameter of the wrong type is a fault", function()
    local _, texts = pipeline_file.load(TEXT, { processes = "many", eager = "perhaps" })
    assert.same({ 'p:3: parameter "processes" = "many": not a number, as its default is',
      'p:3: parameter "eager" = "perhaps": not a boolean, as its default is' }, texts)
  end)

  it("a parameter that nothing asks for is exit 64 and names those that are", function()
    local _, texts, status = pipeline_file.load(TEXT, { proceses = "3" })
    assert.equal(64, status)
    assert.same({ "--set proceses: the pipeline has no such parameter, it asks for path, processes, eager; "
      .. "did you mean "
      .. '"processes"?' }, texts)
  end)

  it("a parameter without default must be set, and causes no further fault", function()
    local _, texts =
      pipeline_file.load('return tide.pipeline "x" { tide.file_source { path = tide.param "path" .. "x" } }')
    assert.same({ 'p:2: parameter "path": not set and without default; add --set path=VALUE' }, texts)
  end)
end)

describe("a value from the environment", function()
  after_each(pipeline_file.remove_all)

  it("a value from the environment may stand in any option, a secret file only where it is not shown", function()
    local pipeline =
      pipeline_file.load('return tide.pipeline "x" { tide.file_source { path = tide.env("TIDE_NONE", "d") } }')
    assert.equal("d", pipeline.steps[1].values.path)
    local _, texts = pipeline_file.load('return tide.pipeline "x" { tide.file_source { path = tide.env "TIDE_NONE", '
      .. 'topic = tide.secret_file "/etc/hostname" } }')
    assert.same({ 'p:2: option "path" = [redacted]: environment variable "TIDE_NONE" is not set',
      'p:2: option "topic" = [redacted]: a secret cannot stand here, only in brokers and rdkafka: it would be shown' },
      texts)
  end)

  it("a value from the environment is not asked for before the engine connects where it may be a secret", function()
    assert.is_table(pipeline_file.load(pipeline_file.around("kafka_source",
      'brokers = tide.env "TIDE_NONE", topic = "t", group = "g", rdkafka = { ["sasl.password"] = '
        .. 'tide.secret_file "/none" }')))
  end)
end)
