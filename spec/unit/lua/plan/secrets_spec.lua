-- SPDX-License-Identifier: MIT
-- Which environment variables of a pipeline its workers must not have.
local pipeline_file = require "spec.support.pipeline_file"
local plan_table = require "tidemill.plan.plan_table"
local secrets = require "tidemill.plan.secrets"

local TEXT = [=[
return tide.pipeline "x" {
  tide.kafka_source { brokers = tide.env "BROKERS", topic = "t", group = "g", rdkafka = {
    ["sasl.password"] = tide.env "PASSWORD", ["client.id"] = tide.env "HOSTNAME",
    ["ssl.keystore.password"] = tide.env "SECRET" .. tide.env "PART" .. tide.secret_file "/file" } },
  tide.produce { topic = "o", rdkafka = { ["ssl.key.password"] = tide.env "PASSWORD",
    ["ssl.key.pem"] = tide.env "KEY" } },
}]=]

describe("the secret variables of a pipeline", function()
  after_each(pipeline_file.remove_all)

  it("are those that stand for a password or a key, each once, and not those that name a client or the brokers",
    function()
      local tables = plan_table.new(assert(pipeline_file.load(TEXT)))
      local names = secrets.variables { tables.source_properties, tables.sink_properties }
      table.sort(names)
      assert.same({ "KEY", "PART", "PASSWORD", "SECRET" }, names)
    end)
end)
