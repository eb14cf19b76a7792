-- SPDX-License-Identifier: MIT
-- Where functions before reduce and batch sent messages, and where what is made of them goes.
local tide = require "tidemill"
local testing = require "tidemill.testing"

local function new_list() return {} end

local function join(acc, m)
  acc[#acc + 1] = m.value
  return acc
end

describe("where a message was sent", function()
  local test

  after_each(function() test:close() end)

  it("reduce sends its result where the result says, and not where the newest message was sent", function()
    test = testing.steps({ tide.run_task { function(m)
      m.topic, m.partition = "x", 3
      return m
    end }, tide.reduce { join, initial_value = new_list, max_batch_size = 2, max_batch_time = "1h",
      result = function(acc)
        return acc[1] == "c" and { value = "cd", topic = "y" } or table.concat(acc)
      end } }, { topics = { "x", "y" } })
    test:feed("a", "b", "c", "d")
    local results = test:results()
    assert.same({ value = "ab", headers = {}, timestamp = 0 }, results[1])
    assert.same({ value = "cd", topic = "y", headers = {}, timestamp = 0 }, results[2])
  end)

  it("reduce refuses a topic or partition that is written where it would be lost", function()
    test = testing.steps({ tide.reduce { function(acc, m)
      if m.value == "t" then m.topic = "x" end
      if m.value == "p" then m.partition = 3 end
      return join(acc, m)
    end, initial_value = new_list, max_batch_size = 4, max_batch_time = "1h", result = table.concat } },
      { topics = { "x" } })
    test:feed("a", "t", "p", "b")
    assert.produces(test, { "ab" })
    assert.rejects(test, {
      "bad_return: .*destination_spec.lua:%d+ wrote message.topic, which is lost: where it goes",
      "wrote message.partition, which is lost",
    })
  end)

  it("batch and unbatch keep where each message was sent, and that others were not", function()
    test = testing.steps({
      tide.run_task { function(m)
        if m.value ~= "b" then m.topic = m.value end
        if m.value == "x" then m.partition = 3 end
        return m
      end },
      tide.batch { max_batch_size = 3, max_batch_time = "1h" }, tide.unbatch {},
    }, { topics = { "x", "y" } })
    test:feed("x", "b", "y")
    local places = {}
    for i, result in ipairs(test:results()) do places[i] = { result.topic or "", result.partition or -1 } end
    assert.same({ { "x", 3 }, { "", -1 }, { "y", -1 } }, places)
  end)
end)
