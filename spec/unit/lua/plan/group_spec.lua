-- SPDX-License-Identifier: MIT
-- Which steps share a loop.
local list = require "tidemill.steps.list"
local group = require "tidemill.plan.group"

local function step(name)
  local functions = { name }
  return { name = name, spec = list[name], values = { functions = functions } }
end

-- "run_task filter" -> "filter+run_task"-like text of the units.
local function units(text)
  local steps, shown = {}, {}
  for word in text:gmatch "%S+" do steps[#steps + 1] = step(word) end
  for _, unit in ipairs(group.units(steps)) do
    local names = {}
    for i, entry in ipairs(unit.entries or {}) do
      names[i] = type(entry) == "table" and (entry.form or entry.kind) or entry
    end
    shown[#shown + 1] = (unit.step and unit.step.name or "alone") .. "(" .. table.concat(names, " ") .. ")"
  end
  return table.concat(shown, " ")
end

local MULTI = "run_task_with_multiprocessing"

describe("functions without state", function()
  for text, expected in pairs {
    ["file_source run_task produce"] = "file_source() alone(run_task) produce()",
    ["filter unfold unbatch"] = "alone(filter unfold unbatch)",
    ["filter M unfold"] = "M(filter M unfold)",
    ["M filter M"] = "M(M filter) M(M)",
    ["reduce filter M"] = "reduce(reduce) M(filter M)",
    ["reduce filter unfold"] = "reduce(reduce filter unfold)",
    ["filter reduce"] = "alone(filter) reduce(reduce)",
    ["M filter reduce run_task batch unbatch"] = "M(M filter) reduce(reduce run_task) batch(batch unbatch)",
    ["M noop filter"] = "M(M) noop() alone(filter)",
    ["filter healthcheck M"] = "alone(filter) healthcheck() M(M)",
  } do
    it("functions without state of " .. text .. " go to their neighbours", function()
      local seen = units((text:gsub("%f[%w]M%f[%W]", MULTI)))
      assert.equal(expected, (seen:gsub(MULTI, "M")))
    end)
  end
end)
