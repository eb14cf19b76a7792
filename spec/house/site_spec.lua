-- SPDX-License-Identifier: MIT
-- The list of pages of the site (scripts/site/mkdocs.yml): all documents but the how-to pages, which have an index of
-- their own, and no other.
local files = require "spec.house.files"

-- Beside docs/ and the packaging, what scripts/site/build.sh copies.
local function is_on_site(path)
  return path:find "^docs/" or path:find "^packaging/" or path:find "^scripts/?$" or path:find "^scripts/[%w_]+%.lua$"
    or path == "README.md" or path:find "^[A-Z]+%.md$"
end

-- A path without what "folder/.." in it takes back.
local function plain(path)
  local count
  repeat path, count = path:gsub("[^/]+/%.%./", "") until count == 0
  return path
end

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

  it("has all that its pages link to", function()
    local faults = {}
    for _, path in ipairs(files.list({ "." }, { "*.md" })) do
      path = path:gsub("^%./", "")
      for target in files.read(path):gsub("```.-```", ""):gmatch "%]%(([^)%s#]+)#?[^)%s]*%)" do
        local linked = plain(path:match "^(.-)[^/]*$" .. target)
        if not (target:find "^https?:" or is_on_site(linked)) then faults[#faults + 1] = path .. ": " .. target end
      end
    end
    assert.same({}, faults)
  end)

  -- A row without a head above it is shown as it is written.
  it("shows each row as a part of a table", function()
    local faults = {}
    for _, path in ipairs(files.list({ "." }, { "*.md" })) do
      local number, before, two_before, inside = 0, "", "", false
      for line in (files.read(path) .. "\n"):gmatch "(.-)\n" do
        number = number + 1
        if line:find "^```" then inside = not inside end
        local is_second = before:find "^|" and not two_before:find "^|"
        if is_second and not inside and not line:find "^|[-:| ]+|$" then
          faults[#faults + 1] = ("%s:%d"):format(path, number - 1)
        end
        two_before, before = before, line
      end
    end
    assert.same({}, faults)
  end)
end)
