-- SPDX-License-Identifier: MIT
-- What every file must say, and what none may.
local files = require "spec.house.files"

local FOLDERS = { "engine", "lua", "scripts", "spec" }
local SOURCES = { "*.c", "*.h", "*.lua", "*.sh", "*.py", "*.cc", "*.cpp", "*.hpp" }

-- In pieces, so that this file is none of those it finds.
local UNFINISHED = { "TO" .. "DO", "FIX" .. "ME", "X" .. "XX", "HA" .. "CK" }
local PLACES = { "/wo" .. "rk/", "/ro" .. "ot/", "/ho" .. "me/" }

local function find_all(paths, find)
  local faults = {}
  for _, path in ipairs(paths) do
    for number, line in ipairs(files.lines(path)) do
      local what = find(line)
      if what then faults[#faults + 1] = ("%s:%d: %s"):format(path, number, what) end
    end
  end
  return faults
end

describe("every file", function()
  it("names its licence in the first line", function()
    local faults = {}
    for _, path in ipairs(files.list(FOLDERS, SOURCES)) do
      local lines = files.lines(path)
      local first = (lines[1] or ""):find("^#!") and lines[2] or lines[1] or ""
      if not first:find("SPDX-License-Identifier: MIT", 1, true) then faults[#faults + 1] = path end
    end
    assert.same({}, faults)
  end)

  it("is finished", function()
    assert.same({}, find_all(files.list(FOLDERS, SOURCES), function(line)
      for _, word in ipairs(UNFINISHED) do
        if line:find("%f[%w]" .. word .. "%f[%W]") then return word end
      end
    end))
  end)

  it("names no place of the machine it was written on", function()
    local paths = files.list({ ".", ".ci" }, { "*.c", "*.h", "*.lua", "*.sh", "*.md", "*.xml", "*.properties",
      "Makefile",
      "run" })
    assert.same({}, find_all(paths, function(line)
      for _, place in ipairs(PLACES) do
        if line:find(place, 1, true) then return place end
      end
    end))
  end)

  it("has no tab, no space at the end of a line, and a newline at its end", function()
    local paths = files.list(FOLDERS, { "*.c", "*.h", "*.cpp", "*.hpp", "*.lua" })
    assert.same({}, find_all(paths, function(line)
      if line:find("\t") then return "tab" end
      if line:find("%s$") then return "space at the end" end
    end))
    for _, path in ipairs(paths) do assert.equal("\n", files.read(path):sub(-1), path) end
  end)
end)

describe("the documents", function()
  it("are what scripts/dev/docs.lua writes", function()
    local status = os.execute("luajit scripts/dev/docs.lua --check")
    assert.is_true(status == 0 or status == true, "run `make docs`")
  end)
end)
