-- SPDX-License-Identifier: MIT
-- What a reload may change of a pipeline, and what needs a restart.
local pipeline_file = require "spec.support.pipeline_file"
local revision = require "tidemill.plan.revision"

local TEXT = [[
local users = tide.table "users" { topic = "users" }
local pool = tide.pool { processes = 2 }
return tide.pipeline "x" {
  tide.kafka_source { brokers = "a:1", group = "g", topic = "in" },
  tide.run_task_with_multiprocessing { function(m) return m end, pool = pool },
  tide.reduce { function(a, m) return a + 1 end, initial_value = 0, result = tostring, max_batch_size = 5 },
  tide.produce { topic = "out", rdkafka = { ["sasl.password"] = tide.env "PW" } },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "letters" } }
]]

describe("a revision", function()
  after_each(pipeline_file.remove_all)

  local function load(text)
    return assert(pipeline_file.load(text))
  end

  -- What is said of a pipeline that is this one with `from` in place of `to`, without paths.
  local function misfit(from, to)
    local text, count = TEXT:gsub(from, to)
    assert(count > 0, from)
    local said = revision.misfit(load(text), load(TEXT))
    return said and said:gsub("[^\n]*/p%.lua:%d+: ", ""):gsub("\n?only the transforms can be[^\n]*$", "")
  end

  it("a revision may have other functions, and stand in other lines", function()
    assert.is_nil(misfit("tide.pool", "tide.pool "))
    assert.is_nil(misfit("function%(m%) return m end", "function(m) return nil end, function(m) return m end"))
    assert.is_nil(misfit("a %+ 1 end, initial_value = 0, result = tostring", "a + 2 end, initial_value = function() "
      .. "return 1 end"))
  end)

  it("a revision that changes anything else is told so by name", function()
    for _, case in ipairs {
      { "a:1", "b:1", 'kafka_source: option "brokers" = b:1, and the run has a:1' },
      { '"PW"', '"PASS"', 'produce: option "rdkafka" = sasl.password=[redacted], and the run has '
        .. "sasl.password=[redacted]" },
      { "processes = 2", "processes = 3",
        'run_task_with_multiprocessing: pool: option "processes" = 3, and the run has 2' },
      { ", pool = pool", "", "other steps share a pool than in the run" },
      { 'pipeline "x"', 'pipeline "y"', 'the name is "y", and "x" runs' },
      { 'topic = "letters"', 'topic = "l", max_consecutive_count = 3',
        'dlq: option "topic" = l, and the run has letters\n'
          .. 'dlq: option "max_consecutive_count" = 3, and the run has none' },
      { ",\n  dlq = [^\n]*}", " }", "dlq: is gone, and the run has it" },
      { 'topic = "users"', 'topic = "people"', 'table "users": option "topic" = people, and the run has users' },
      { "local users[^\n]*", "", "the tables are none, and the run has users" },
      { "  tide.produce", "  tide.healthcheck { path = 'x' },\n  tide.produce",
        "the steps are kafka_source, run_task_with_multiprocessing, reduce, healthcheck, produce, commit_offsets, and "
          .. "the run has kafka_source, run_task_with_multiprocessing, reduce, produce, commit_offsets" },
    } do
      assert.equal(case[3], misfit(case[1], case[2]))
    end
  end)
end)
