-- SPDX-License-Identifier: MIT
local engines = require "tidemill.plan.engines"
local pipeline_file = require "spec.support.pipeline_file"
local plan = require "tidemill.plan.plan"

local TEXT = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "a:1", topic = "t", group = "g", start = "latest", %s },
  tide.run_task_with_multiprocessing { function(m) return m end, processes = %s },
  tide.produce { topic = "o" },
  tide.commit_offsets {},
  %s
}]]

local function load(source, processes, settings, options)
  local path = pipeline_file.write(TEXT:format(source, processes, settings))
  return plan.load(path, options or { engines = true })
end

describe("several engines", function()
  after_each(pipeline_file.remove_all)

  it("several engines are as many as are given, or one for each four processors", function()
    assert.same({ 1, 3 }, { engines.count(nil), engines.count(3) })
    local counts = {}
    for i, usable in ipairs { 1, 2, 4, 7, 8, 16, 64 } do counts[i] = engines.count("auto", usable) end
    assert.same({ 1, 1, 1, 1, 2, 4, 16 }, counts)
  end)

  it("several engines share the processors, each has one at least", function()
    assert.same({ 16, 8, 5, 1 }, { engines.cores(1, 16), engines.cores(2, 16), engines.cores(3, 16),
      engines.cores(8, 4) })
  end)

  it("several engines have each the processes that the file says, and check tells the sum", function()
    local planned = assert(load('instance = "me"', "4", "engines = 2"))
    assert.same({ 2, { 4 } }, { planned.tables.engines, planned.tables.pools })
    assert.equal("2 engines, each with 4 worker processes: 8 in all; members me-1 to me-2 of the group",
      engines.text(planned))
  end)

  it("several engines share memory_limit", function()
    local planned = assert(load("", "1", 'engines = 4, memory_limit = "64MiB"'))
    assert.equal(16 * 2 ^ 20, planned.tables.memory_limit)
    local none, faults = load("", "4", 'engines = 4, memory_limit = "4MiB"')
    assert.is_nil(none)
    assert.is_truthy(faults[1]:find('"memory_limit" = 1MiB for each of 4 engines: too small', 1, true), faults[1])
  end)

  it("several engines are one where a command does not ask for them, with all the processors", function()
    local planned = assert(load("", '"auto"', "engines = 4", {}))
    assert.same({ 1, engines.cores(1) }, { planned.tables.engines, planned.tables.cores })
    assert.is_nil(engines.text(planned))
  end)

  it("several engines have names of their own in the group", function()
    local ffi = require "ffi"
    local planned = assert(load('instance = "me"', "1", "engines = 2"))
    engines.become(planned, 2)
    assert.equal("me-2", ffi.string(planned.c.source.instance))
    planned = assert(load("", "1", "engines = 2"))
    engines.become(planned, 2)
    assert.equal(nil, planned.tables.source.instance)
    planned = assert(load('instance = "me"', "1", "engines = 2", { engines = true, until_end = true }))
    engines.become(planned, 2)
    assert.is_true(planned.c.source.instance == nil)
  end)

  it("several engines are refused where only one can read or write", function()
    local function faults_of(text)
      local _, faults = plan.load(pipeline_file.write('local tide = require "tidemill"\n' .. text), { engines = true })
      return table.concat(faults or {}, "\n")
    end
    local steps = 'tide.run_task { function(m) return m end },'
    local from_kafka = 'return tide.pipeline "x" {\ntide.kafka_source { brokers = "a:1", topic = "t", group = "g" },\n'
    local read = faults_of('return tide.pipeline "x" { tide.file_source { path = "f" },\n' .. steps .. " engines = 2 }")
    local fault = ':2: option "engines" = 2: file_source: one engine alone can read a file'
    assert.is_truthy(read:find(fault, 1, true), read)
    local written = faults_of(from_kafka .. steps .. '\ntide.file_sink { path = "f" }, engines = "auto" }')
    fault = ':5: option "engines" = auto: file_sink: one engine alone can write'
    assert.is_truthy(written:find(fault, 1, true), written)
    local tagged = faults_of(from_kafka .. steps
      .. ' engines = 2, metrics = tide.metrics { tags = { engine = "a" } } }')
    assert.is_truthy(tagged:find('option "engines" = 2: tags: by the label "engine"', 1, true), tagged)
  end)

  it("several engines cannot be less than one, or more than 64", function()
    for value, word in pairs { ["0"] = "more than 0", ["65"] = "the most is 64", ['"two"'] = 'or "auto"' } do
      local _, faults = load("", "1", "engines = " .. value)
      assert.is_truthy(faults[1]:find(word, 1, true), faults[1])
    end
  end)
end)
