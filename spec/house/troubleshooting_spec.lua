-- SPDX-License-Identifier: MIT
-- docs/troubleshooting.md has each line of level warn and error that the engine may log, each exit code and each limit.
local exit_code = require "tidemill.plan.exit_code"
local files = require "spec.house.files"
local limits = require "tidemill.tuning.limits"

local SHORTEST = 8 -- of the words between two values: what is shorter is a text of librdkafka or of the system

local page = files.read("docs/troubleshooting.md"):gsub("%s+", " ")

-- The texts of all such lines: { text, path }.
local function lines()
  local list = {}
  for _, path in ipairs(files.list({ "engine" }, { "*.c" })) do
    for text in files.read(path):gmatch 'tide_log%(TIDE_LOG_[WE]%u+,(%s*".-[^\\]")%s*[,)]' do
      list[#list + 1] = { text:gsub('"%s*"', ""):match '^%s*"(.*)"$', path }
    end
  end
  return list
end

-- The pieces of a format between its values.
local function pieces(format)
  local list = {}
  for piece in (format:gsub('\\"', '"'):gsub("%%[%d.]*[lz]*%a", "\0") .. "\0"):gmatch "([^%z]*)%z" do
    piece = piece:match '^[%s"/:;,().]*(.-)[%s"/:;,().]*$'
    if #piece >= SHORTEST then list[#list + 1] = piece end
  end
  return list
end

describe("docs/troubleshooting.md", function()
  it("has each line of the engine's log", function()
    local faults, count = {}, 0
    for _, line in ipairs(lines()) do
      count = count + 1
      for _, piece in ipairs(pieces(line[1])) do
        if not page:find(piece, 1, true) then faults[#faults + 1] = line[2] .. ": " .. piece end
      end
    end
    assert.same({}, faults)
    assert.is_true(count > 40)
  end)

  it("has each exit code and each limit", function()
    local faults = {}
    for _, one in ipairs(exit_code.list) do
      if not page:find("| " .. one[1] .. " |", 1, true) then faults[#faults + 1] = one[1] end
    end
    for _, limit in ipairs(limits.list) do
      if not page:find("| `" .. limit.name .. "` |", 1, true) then faults[#faults + 1] = limit.name end
    end
    assert.same({}, faults)
  end)
end)
