-- SPDX-License-Identifier: MIT
local tap_match = require "tidemill.metrics.tap_match"

local function parsed(text)
  local condition, reason = tap_match.parse(text)
  return condition or reason
end

describe("a condition of a tap", function()
  it("is on the whole of a text, or on a part of it", function()
    assert.same({ field = "key", contains = false, text = "a=b" }, parsed "key=a=b")
    assert.same({ field = "value", contains = true, text = "err or~" }, parsed "value~err or~")
    assert.same({ field = "topic", contains = false, text = "" }, parsed "topic=")
  end)

  it("names a header after a point", function()
    assert.same({ field = "header", name = "a.b", contains = true, text = "1" }, parsed "header.a.b~1")
  end)

  it("takes a number or a range", function()
    assert.same({ field = "partition", least = 3, most = 3 }, parsed "partition=3")
    assert.same({ field = "offset", least = 3, most = 2 ^ 53 }, parsed "offset=3..")
    assert.same({ field = "offset", least = 0, most = 7 }, parsed "offset=..7")
  end)

  it("names a fate", function()
    local taps = require "tidemill.run.tap"
    assert.same({ field = "fate", least = taps.fates.retry, most = taps.fates.retry }, parsed "fate=retry")
  end)

  it("is refused with what is wrong", function()
    assert.matches('"colour" is no field', parsed "colour=1")
    assert.matches("it has neither = nor ~", parsed "key")
    assert.matches("what is looked for is empty", parsed "value~")
    assert.matches("partition is a number: write partition=N", parsed "partition~1")
    assert.matches('"1%.5" is neither a number nor a range', parsed "offset=1.5")
    assert.matches("the range is empty", parsed "offset=5..2")
    assert.matches("a fate is one of accumulated, dropped, filtered, forwarded, rejected, retry, waits",
      parsed "fate=lost")
    assert.matches("at most 512 bytes", parsed("key=" .. ("x"):rep(600)))
  end)

  it("comes before others that cost more to test", function()
    local fields = {}
    for i, condition in ipairs(tap_match.all { "value~a", "key=b", "fate=retry", "value~c" }) do
      fields[i] = condition.field .. " " .. (condition.text or "")
    end
    assert.same({ "fate ", "key b", "value a", "value c" }, fields)
  end)

  it("is one of at most sixteen", function()
    local texts = {}
    for i = 1, 17 do texts[i] = "key=" .. i end
    assert.same({ n = 2, nil, "--match: at most 16 conditions, these are 17" }, { n = 2, tap_match.all(texts) })
  end)
end)
