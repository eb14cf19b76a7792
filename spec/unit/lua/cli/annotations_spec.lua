-- SPDX-License-Identifier: MIT
-- lua/tidemill.d.lua: what the Lua language server reads.
local annotations = require "tidemill.cli.annotations"
local list = require "tidemill.steps.list"

describe("the annotations", function()
  local text = annotations.text()

  it("the annotations are Lua", function()
    assert(loadstring(text))
  end)

  it("the annotations have every step and setting with every option", function()
    for _, spec in ipairs(list) do
      assert.is_truthy(text:find("function tide." .. spec.name .. "(", 1, true), spec.name)
      local class = text:match("%-%-%-@class tide%." .. spec.name .. "%.Options\n(.-)\n\n") or ""
      for _, option in ipairs(spec.options) do
        local mark = option.required and " " or "? "
        assert.is_truthy(class:find("---@field " .. option.name .. mark, 1, true), spec.name .. "." .. option.name)
      end
    end
  end)
end)
