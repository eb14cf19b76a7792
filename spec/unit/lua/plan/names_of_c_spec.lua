-- SPDX-License-Identifier: MIT
-- Lua names C's constants by strings, which the FFI takes where it converts, but which a comparison does not check.
local C = require("tidemill.run.ffi").C
local exit_code = require "tidemill.plan.exit_code"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "*a"
  file:close()
  return text
end

-- Each constant that a Lua file names, with the file.
local function named_constants()
  local found, count = {}, 0
  local files = assert(io.popen "find lua/tidemill -name '*.lua'")
  for path in files:lines() do
    for name in read(path):gmatch '"(TIDE_[A-Z0-9_]*[A-Z0-9])"' do found[name], count = path, count + 1 end
  end
  files:close()
  return found, count
end

describe("the constants of C that Lua files name", function()
  it("are there in the headers", function()
    local named, count = named_constants()
    assert.is_true(count > 50, count .. " names found")
    for name, path in pairs(named) do
      -- run/ffi.lua asks the environment for TIDE_BUILD, which is no constant
      if name ~= "TIDE_BUILD" then
        assert.is_true(pcall(function() return C[name] end), path .. ": " .. name)
      end
    end
  end)
end)

describe("the exit codes", function()
  it("are the statuses of base/status.h, each of them explained", function()
    local explained, count = {}, 0
    for _, row in ipairs(exit_code.list) do explained[row[1]] = row[2] end
    for name, code in read "engine/base/status.h":gmatch "(TIDE_E%u+) = %-(%d+)" do
      assert.is_string(explained[tonumber(code)], name)
      count = count + 1
    end
    assert.equal(8, count)
    for name, code in pairs(exit_code) do
      if name ~= "list" then assert.is_string(explained[code], name) end
    end
  end)
end)
