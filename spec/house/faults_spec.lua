-- SPDX-License-Identifier: MIT
-- The release library knows no fault point; the one for tests has each of them, each in one place.
local faults = require "spec.support.faults"
local files = require "spec.house.files"

local function points()
  local seen, list = {}, {}
  for _, path in ipairs(files.list({ "engine" }, { "*.c" })) do
    for name in files.read(path):gmatch('tide_fault%("([^"]+)"%)') do
      seen[name] = seen[name] or {}
      table.insert(seen[name], path)
      list[#list + 1] = name
    end
  end
  return list, seen
end

describe("fault points", function()
  it("are of one place each, and named module.place", function()
    local _, seen = points()
    for name, paths in pairs(seen) do
      assert.same({ paths[1] }, paths, name)
      assert.truthy(name:find "^[a-z_]+%.[a-z_]+$", name)
    end
  end)

  it("are in the library for tests only", function()
    local release = files.read((faults.folder:gsub("/faults$", "")) .. "/libtidemill.so")
    local tests = files.read(faults.library)
    local list = points()
    assert.is_nil(release:find("tide_fault_", 1, true))
    assert.truthy(tests:find("tide_fault_pass", 1, true))
    for _, name in ipairs(list) do
      assert.is_nil(release:find(name .. "\0", 1, true), name .. " is in the release")
      assert.truthy(tests:find(name .. "\0", 1, true), name .. " is not in build/faults: run make faults")
    end
  end)
end)
