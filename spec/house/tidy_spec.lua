-- SPDX-License-Identifier: MIT
-- Each check of clang-tidy that is left out is named with a reason in .clang-tidy, and so is each that a line of code
-- leaves out.
local files = require "spec.house.files"

-- Checks that are left out and have no comment in front that names them and goes on with words.
local function unexplained(text)
  local list = {}
  local comments = text:match "^(.-)\nChecks:"
  for check in text:match("\nChecks:.*"):gmatch "\n%s+%-([%w.-]+[%w])" do
    local explained = false
    for line in comments:gmatch "[^\n]+" do
      local from, to = line:find(check, 1, true)
      explained = explained or (from and #line:sub(to + 1):gsub("[%w.-]+%-[%w.-]+,?", "") > 12)
    end
    if not explained then list[#list + 1] = check end
  end
  return list
end

describe("clang-tidy", function()
  it("leaves out no check without a reason", function()
    local text = files.read ".clang-tidy"
    assert.same({}, unexplained(text))
    local planted = text:gsub("\n  %-bugprone", "\n  -bugprone-use-after-move,\n  -bugprone", 1)
    assert.same({ "bugprone-use-after-move" }, unexplained(planted))
  end)

  it("is told the check and the reason where a line leaves one out", function()
    local wrong = {}
    for _, path in ipairs(files.list({ "engine", "lua", "scripts" }, { "*.c", "*.h", "*.cpp", "*.hpp" })) do
      for number, line in ipairs(files.lines(path)) do
        local rest = line:match "NOLINT%u*(.*)"
        if rest and not rest:find "^%([%w.-]+%):? %w+ %w+" then wrong[#wrong + 1] = path .. ":" .. number end
      end
    end
    assert.same({}, wrong)
  end)
end)
