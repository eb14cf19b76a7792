-- SPDX-License-Identifier: MIT
-- The list of pages of the site (scripts/site/mkdocs.yml): all documents but the how-to pages, which have an index of
-- their own, and no other.
local files = require "spec.house.files"

local ELSEWHERE = { ["ARCHITECTURE.md"] = true, ["CONTRIBUTING.md"] = true, ["CHANGELOG.md"] = true }

describe("the site", function()
  it("names each document once, and none that is not there", function()
    local named, faults = {}, {}
    for path in files.read("scripts/site/mkdocs.yml"):gmatch "\n +%- [^\n]-: (%S+%.md)" do
      if named[path] then faults[#faults + 1] = path .. " twice" end
      named[path] = true
    end
    for _, path in ipairs(files.list({ "docs" }, { "*.md" })) do
      local page = path:match "^docs/(.*)$"
      if not named[page] and (page == "how-to/index.md" or not page:find "^how%-to/") then
        faults[#faults + 1] = path .. " is not named"
      end
    end
    for path in pairs(named) do
      local file = io.open(path == "index.md" and "README.md" or ELSEWHERE[path] and path or "docs/" .. path)
      if file then file:close() else faults[#faults + 1] = path .. " is not there" end
    end
    assert.same({}, faults)
    assert.is_true(named["index.md"])
  end)
end)
