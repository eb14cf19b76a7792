-- SPDX-License-Identifier: MIT
-- Each example of scripts/ is run, and does what it says.
local cjson = require "cjson"
local testing = require "tidemill.testing"

describe("scripts/", function()
  local test

  local function pipeline(name)
    test = testing.pipeline("scripts/" .. name .. ".lua", { set = {} })
    return test
  end

  local function decoded()
    local objects = {}
    for i, value in ipairs(test:values()) do objects[i] = cjson.decode(value) end
    return objects
  end

  after_each(function()
    if test then test:close() end
    test = nil
  end)

  it("identity.lua copies", function()
    pipeline "identity":feed("a", "b")
    assert.produces(test, { "a", "b" })
  end)

  it("clean_events.lua drops debug events, edits the others", function()
    pipeline "clean_events":feed('{"level":"debug"}', '{"v":2,"value":1}', "x")
    assert.same({ { v = 2, seen = true } }, decoded())
    assert.rejects(test, { "transform.lua:4: the value is not JSON" })
  end)

  it("edit_field.lua adds the gross price", function()
    pipeline "edit_field":feed('{"net":100}')
    assert.same({ { net = 100, gross = 119 } }, decoded())
  end)

  it("filter_by_key.lua keeps what is from the EU", function()
    pipeline "filter_by_key":feed({ key = "eu-1", value = "a" }, { key = "us-1", value = "b" }, "c")
    assert.produces(test, { "a" })
    assert.filtered(test, 2)
  end)

  it("enrich.lua adds the country's name", function()
    pipeline "enrich":feed('{"country":"de"}', '{"country":"xx"}')
    assert.same({ "Germany", "unknown" }, { decoded()[1].country_name, decoded()[2].country_name })
  end)

  it("split.lua makes a message of each item", function()
    pipeline "split":feed('{"items":[{"id":"a"},{"id":"b"}]}', '{"items":[]}')
    assert.produces(test, { { key = "a" }, { key = "b" } })
    assert.equal(2, test:committed())
  end)

  it("aggregate.lua counts once a minute", function()
    pipeline "aggregate":feed('{"page":"x"}', '{"page":"y"}', '{"page":"x"}'):advance(30)
    assert.produces(test, {})
    test:advance(31)
    assert.same({ { x = 2, y = 1 } }, decoded())
    assert.equal(3, test:committed())
  end)

  it("route.lua sends each level to its topic", function()
    pipeline "route":feed('{"level":"error"}', '{"level":"info"}', '{"level":"warning"}')
    local results = test:results()
    assert.same({ "logs.error", false, "logs.warning" },
      { results[1].topic, results[2].topic or false, results[3].topic })
  end)

  it("redact.lua leaves no card number and no address", function()
    pipeline "redact":feed("card 4111 1111 1111 1234 of ann.b@example.org, order 12345")
    assert.produces(test, { "card ****1234 of [mail], order 12345" })
  end)

  it("csv_to_json.lua knows quotes", function()
    pipeline "csv_to_json":feed('1,"Ada, ""Countess""",London', "1,2", '1,"x,y')
    assert.same({ { id = "1", name = 'Ada, "Countess"', city = "London" } }, decoded())
    assert.rejects(test, { "not a line of three fields", "not a line" })
  end)

  it("dead_letter.lua rejects with a reason", function()
    pipeline "dead_letter":feed('{"amount":5}', '{"amount":"5"}', '{"amount":-1}', "none")
    assert.produces(test, { '{"amount":5}' })
    assert.rejects(test, { "amount is no number", "amount is %-1", "Expected value" })
    assert.equal(4, test:committed())
  end)

  it("batch_lookup.lua asks once for a batch", function()
    pipeline "batch_lookup":feed("u1", "u3", "u2")
    assert.produces(test, { "Ada", "Grace" })
    assert.filtered(test, 1)
  end)

  it("are all named here", function()
    local this = io.open("spec/flow/scripts_spec.lua"):read "*a"
    local pipe = io.popen "ls scripts/*.lua"
    for path in pipe:lines() do
      local text = io.open(path):read "*a"
      local name = path:match "([%w_]+)%.lua$"
      local is_run = this:find('pipeline "' .. name .. '"', 1, true)
      assert.is_true(is_run ~= nil or not text:find("tide.pipeline", 1, true), name)
    end
    pipe:close()
  end)
end)
