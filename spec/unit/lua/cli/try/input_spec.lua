-- SPDX-License-Identifier: MIT
local input = require "tidemill.cli.try.input"

describe("what is typed", function()
  it("is a value unless it looks like a record of tidemill record", function()
    for _, text in ipairs { "a", "", "5", '{"value":1}', '{"value":"v"}', '{"key":"k","value":"v","more":1}', "[1]",
      '{"key":"k"}', "{broken" } do
      assert.same({ value = text }, input.message(text))
    end
    assert.equal("v", input.message('{"key":"k","value":"v"}').value)
    assert.equal("\255", input.message('{"key_base64":"/w==","value":"v"}').key)
    assert.same({ { "h", "1" } }, input.message('{"headers":{"h":"1"},"value":"v"}').headers)
  end)

  it("is what the format says", function()
    local record = '{"key":"k","value":"v"}'
    assert.equal(record, input.message(record, "lines").value)
    local made, reason = input.message('{"a":1}', "json")
    assert.is_nil(made)
    assert.matches("no record as tidemill record", reason)
    assert.matches("it is not JSON", select(2, input.message("{", "json")))
  end)

  it("with a wrong field is refused with the reason", function()
    local made, reason = input.message '{"key":5,"value":"v"}'
    assert.is_nil(made)
    assert.matches('"key" is of type number, not a string', reason)
  end)

  it("goes on while JSON has brackets that are not closed", function()
    assert.equal(2, input.open_after '{"a": [1,')
    assert.equal(1, input.open_after('"}\\"]", 2],', 2))
    assert.equal(0, input.open_after("}", 1))
    assert.equal(0, input.open_after '{"a": [1]}')
    assert.equal(0, input.open_after "text {")
  end)
end)
