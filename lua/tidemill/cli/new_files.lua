-- SPDX-License-Identifier: MIT
-- cli/new_files.lua: what `tidemill new NAME` writes; NAME stands for the name.
return {
  { path = "pipeline.lua", text = [[
-- Reads NAME.in, runs transform.lua over each message, writes NAME.out. Without a broker:
--   tidemill run pipeline.lua --input messages.jsonl
local tide = require "tidemill"

return tide.pipeline "NAME" {
  tide.kafka_source {
    brokers = tide.param("brokers", "127.0.0.1:9092"), topic = "NAME.in", group = "NAME", start = "earliest",
  },
  tide.run_task_with_multiprocessing { "transform.lua", processes = tide.param("processes", 2) },
  tide.produce { topic = "NAME.out" },
  tide.commit_offsets {},
  dlq = tide.dlq { topic = "NAME.dlq", max_consecutive_count = 100 },
}
]] },
  { path = "transform.lua", text = [[
-- Called for each message. Return the message, a string (the new value), a table, several by tide.many { ... },
-- tide.reject("reason"), or tide.drop (or nil) to filter it.
local tide = require "tidemill"

return function(message)
  local event = message.json -- a view: other bytes stay as they are; a value that is not JSON makes a dead letter
  if tide.json.type(event) ~= "object" then return message end -- null (the key is deleted), a number: as it came
  if event.level == "debug" then return nil end
  event.seen = true
  return message
end
]] },
  { path = "messages.jsonl", text = [[
{"level":"info","text":"to try it with"}
{"level":"debug","text":"this one is filtered"}
]] },
  { path = "spec/transform_spec.lua", text = [[
-- Run by `tidemill test`, with the transform in a worker process as in production.
local testing = require "tidemill.testing"

describe("NAME", function()
  after_each(testing.close)

  it("marks events as seen, filters debug ones", function()
    local test = testing.transform "transform.lua"
    test:feed('{"level":"info"}', '{"level":"debug"}', '{"level":"info"}\r')
    assert.produces(test, { '{"level":"info","seen":true}', '{"level":"info","seen":true}' })
    assert.filtered(test, 1)
  end)

  it("lets null and other JSON pass, rejects what is none", function()
    local test = testing.transform "transform.lua"
    test:feed({ key = "k" }, "5", '"x"', "[]", "broken")
    assert.produces(test, { { key = "k" }, "5", '"x"', "[]" })
    assert.rejects(test, { "not JSON" })
  end)

  it("is a whole pipeline", function()
    local test = testing.pipeline "pipeline.lua"
    test:feed({ value = '{"level":"info"}', key = "k", partition = 1 })
    assert.produces(test, { { key = "k" } })
    assert.equal(1, test:committed(1))
  end)
end)
]] },
}
