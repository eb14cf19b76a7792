-- SPDX-License-Identifier: MIT
-- docs/troubleshooting.md has each line of level warn and error that tidemill may log, each exit code and each limit.
local exit_code = require "tidemill.plan.exit_code"
local files = require "spec.house.files"
local limits = require "tidemill.tuning.limits"

local SHORTEST = 8 -- of the words between two values: what is shorter is a text of librdkafka or of the system

local page = files.read("docs/troubleshooting.md"):gsub('[%s"]+', " ")

-- The texts of all such lines of the engine are added to a list: { text, path }.
local function add_engine(list)
  for _, path in ipairs(files.list({ "engine" }, { "*.c" })) do
    for text in files.read(path):gmatch 'tide_log%(%s*TIDE_LOG_[WE]%u+,(%s*".-[^\\]")%s*[,)]' do
      list[#list + 1] = { text:gsub('"%s*"', ""):match '^%s*"(.*)"$', path }
    end
  end
end

-- The literal of Lua that begins at `at`, and those that `..` joins to it; nil when there is none.
local function literal_at(source, at)
  local whole, quote, text, after = nil, source:match("^[%s(]*([\"'])(.-)%1()", at)
  while quote do
    whole = (whole or "") .. text
    quote, text, after = source:match("^%s*%.%.%s*([\"'])(.-)%1()", after)
  end
  return whole
end

-- In Lua the level is the constant's name, or the function is called warn. What is no literal was made elsewhere, as
-- the warnings of a transform, which `tidemill check` shows.
local function add_lua(list)
  for _, path in ipairs(files.list({ "lua" }, { "*.lua" })) do
    local source = files.read(path)
    for _, call in ipairs { 'TIDE_LOG_[WE]%u+"?,()', "%f[%w]warn%(()" } do
      for at in source:gmatch(call) do
        local text = literal_at(source, at)
        if text and text ~= "TIDE_LOG_TEXT" then list[#list + 1] = { text, path } end
      end
    end
  end
end

-- The pieces of a format between its values.
local function pieces(format)
  local list = {}
  local text = format:gsub('\\"', '"'):gsub('[%s"]+', " "):gsub("%%[%d.]*[lz]*%a", "\0")
  for piece in (text .. "\0"):gmatch "([^%z]*)%z" do
    piece = piece:match '^[%s"/:;,().]*(.-)[%s"/:;,().]*$'
    if #piece >= SHORTEST then list[#list + 1] = piece end
  end
  return list
end

describe("docs/troubleshooting.md", function()
  it("has each line of the log", function()
    local faults, lines = {}, {}
    add_engine(lines)
    local engine_lines = #lines
    add_lua(lines)
    for _, line in ipairs(lines) do
      for _, piece in ipairs(pieces(line[1])) do
        if not page:find(piece, 1, true) then faults[#faults + 1] = line[2] .. ": " .. piece end
      end
    end
    assert.same({}, faults)
    assert.is_true(engine_lines > 50 and #lines - engine_lines > 15, #lines)
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
