-- SPDX-License-Identifier: MIT
-- A random spec has its seed from spec/support/seed.lua, which prints it before anything is drawn: one that fails once
-- in a thousand times can be run again.
local files = require "spec.house.files"

describe("a random spec", function()
  it("prints its seed", function()
    local faults = {}
    for _, path in ipairs(files.list({ "spec" }, { "*_spec.lua" })) do
      for number, line in ipairs(files.lines(path)) do
        if line:lower():find "seed.*os%.time" and path ~= "spec/house/seeds_spec.lua" then
          faults[#faults + 1] = ("%s:%d: the seed is not that of spec/support/seed.lua"):format(path, number)
        end
      end
    end
    assert.same({}, faults)
  end)
end)
