-- SPDX-License-Identifier: MIT
-- Patterns of topics: checked by the engine that finds topics by them, and by what they must not find.
local advice = require "tidemill.plan.advice"
local pipeline_file = require "spec.support.pipeline_file"
local plan = require "tidemill.plan.plan"
local tide = require "tidemill.run.ffi"

describe("a pattern of topics", function()
  after_each(pipeline_file.remove_all)

  local function faults(source)
    local _, texts = pipeline_file.load(pipeline_file.around("kafka_source", 'brokers = "b", group = "g", ' .. source))
    return texts or {}
  end

  for pattern, why in pairs {
    ["^(?!test).*"] = "POSIX extended regular expressions, which have no (?...)", ["^[a"] = "[",
    ["^in("] = "(", ["^in-\\d+$"] = "\\d is not of POSIX extended regular expressions",
    ["^a\\D"] = "\\D is not of POSIX", ["^a\\"] = "backslash",
  } do
    it("a pattern of topics is refused by name: " .. pattern, function()
      for option, value in pairs { pattern = "pattern = %q", topics = 'topics = { "one", %q }' } do
        local texts = faults(value:format(pattern))
        assert.equal(1, #texts, table.concat(texts, "\n"))
        local named = ('p:3: option "%s": pattern "%s": '):format(option, pattern)
        assert.equal(named, texts[1]:sub(1, #named))
        assert.is_truthy(texts[1]:lower():find(why:lower(), 1, true), texts[1])
      end
    end)
  end

  it("a pattern of topics may have all that POSIX extended regular expressions have", function()
    for _, pattern in ipairs { "^in-[0-9]+$", "^(a|b)[.]x{2,3}$", "^in\\.[[:alpha:]]+", "^\\w+$", "^a\\\\d" } do
      assert.same({}, faults(("pattern = %q"):format(pattern)))
    end
    assert.is_true(tide.C.tide_kafka_pattern_matches("^in-[0-9]+$", "in-12"))
    assert.is_false(tide.C.tide_kafka_pattern_matches("^in-[0-9]+$", "in-12x"))
  end)

  local TEXT = [[return tide.pipeline "x" {
    tide.kafka_source { brokers = "b:1,c:2", group = "g", start = "latest", %s },
    tide.produce { topic = "events.clean", topics = { "events.other" }, %s }, tide.commit_offsets {},
    dlq = tide.dlq { topic = "events.dlq" } }]]

  local function own(source, sink, options)
    local checked = plan.new(assert(pipeline_file.load(TEXT:format(source, sink or ""))), options)
    return checked.tables.source.own_topics, advice.about(checked.pipeline, checked.tables.source.own_topics)
  end

  it("a pattern of topics is told what the pipeline itself writes to the same brokers, and check says"
    .. " what is left out", function()
    local topics, warnings = own 'pattern = "^events[.](clean|dlq|raw)"'
    assert.same({ "events.clean", "events.other", "events.dlq" }, topics)
    assert.equal(2, #warnings)
    for i, topic in ipairs { "events.clean", "events.dlq" } do
      assert.is_truthy(warnings[i]:find(('matches "%s", which this pipeline writes to: it is not read'):format(topic),
        1, true), warnings[i])
    end
    assert.same({ "events.clean", "events.other", "events.dlq" }, (own('pattern = "^e"', 'brokers = "c:2"')))
  end)

  it("a pattern of topics is told nothing of other brokers' topics, and leaves what is named", function()
    assert.same({}, (own('pattern = "^e"', 'brokers = "d:1"')))
    -- A mock Kafka stands in for both.
    local mocked = own('pattern = "^e"', 'brokers = "d:1"', { mock = true })
    assert.same({ "events.clean", "events.other", "events.dlq" }, mocked)
    local _, warnings = own 'topics = { "^events[.](clean|raw)", "events.clean" }'
    assert.equal(1, #warnings)
    assert.is_truthy(warnings[1]:find("every result comes back as an input", 1, true), warnings[1])
  end)
end)
