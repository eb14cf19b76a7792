-- SPDX-License-Identifier: MIT
-- The release library knows no fault point; the one for tests has each of them, each in one place.
local faults = require "spec.support.faults"
local files = require "spec.house.files"

local function points()
  local seen, list = {}, {}
  for _, path in ipairs(files.list({ "engine" }, { "*.c", "*.cpp", "*inside.h" })) do
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

  it("that are planted mistakes have their row in docs/torture.md, and are found by the specs named there", function()
    local rows, count = {}, 0
    for name, found_by in files.read("docs/torture.md"):gmatch("\n| (bug%.[a-z_]+) | [^|]+ | ([^|]+) |") do
      rows[name] = found_by
    end
    for _, name in ipairs((points())) do
      local mistake = name:match("^bug%.(.*)")
      count = count + (mistake and 1 or 0)
      for path in (mistake and assert(rows[name], name .. " has no row") or ""):gmatch("[%w_/]+_spec") do
        local text = files.read("spec/" .. path .. ".lua")
        assert.truthy(text:find("%f[%w_]" .. mistake .. "%f[^%w_]"), path .. " does not name " .. name)
      end
      rows[name] = nil
    end
    assert.is_true(count >= 12)
    assert.is_nil((next(rows)), "a row without its mistake")
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
