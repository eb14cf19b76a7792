-- SPDX-License-Identifier: MIT
-- docs/tutorial.md as it stands (spec/support/page.lua).
local files = require "spec.house.files"
local kafka = require "spec.support.kafka"
local page = require "spec.support.page"
local pipeline_file = require "spec.support.pipeline_file"
local port = require "spec.support.port"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path
local TOPICS = { "orders.in", "orders.out", "orders.dlq" }

kafka.describe("docs/tutorial.md", {}, function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
    for _, topic in ipairs(TOPICS) do kafka.delete_topic(topic) end
  end)

  it("the commands of the tutorial give the answers that it shows", function()
    for _, topic in ipairs(TOPICS) do kafka.topic(2, nil, topic) end
    local text = files.read("docs/tutorial.md"):gsub("9464", tostring(port.keep()))
    local wanted, found, err = page.play(text, pipeline_file.folder(), PROGRAM:match "^(.*)/",
      { KAFKA = kafka.bootstrap() })
    assert.is_true(#wanted > 1500)
    assert.equal(wanted, found, err)
  end)
end)
