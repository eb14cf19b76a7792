-- SPDX-License-Identifier: MIT
-- Files stay below 400 lines, functions below 60, examples at 40 or less.
local files = require "spec.house.files"
local util = require "jit.util"

local FILE, FUNCTION, EXAMPLE = 400, 60, 40

-- Calls found(name, lines) for each function of a C file: from its signature to the brace in column 0.
local function each_c_function(path, found)
  local start, name
  for number, line in ipairs(files.lines(path)) do
    if line:find("^[%a_].*%(") and not line:find(";%s*$") and not line:find("^#") then
      start, name = number, line:match("([%w_]+)%(")
    elseif line:find("^}") and start then
      found(name, number - start + 1)
      start = nil
    end
  end
end

-- The same for a Lua file, by what the compiler knows of its functions. What `describe` takes is no function to count:
-- it holds the specs of a file or of a part of it.
local function each_lua_function(path, found)
  local lines = files.lines(path)
  local function walk(proto)
    local info = util.funcinfo(proto)
    local first = info.linedefined
    if first > 0 and not lines[first]:find("^%s*[%w_.]*describe%(") then
      found("line " .. first, info.lastlinedefined - first + 1)
    end
    local index = -1
    while true do
      local constant = util.funck(proto, index)
      if constant == nil then break end
      if type(constant) == "proto" then walk(constant) end
      index = index - 1
    end
  end
  walk((assert(loadfile(path))))
end

local function too_long(paths, each)
  local faults = {}
  for _, path in ipairs(paths) do
    each(path, function(name, lines)
      if lines >= FUNCTION then faults[#faults + 1] = ("%s: %s has %d lines"):format(path, name, lines) end
    end)
  end
  return faults
end

describe("lengths", function()
  it("of files are below 400 lines", function()
    local faults = {}
    local paths = files.list({ "engine", "lua", "scripts", "spec" },
      { "*.c", "*.h", "*.cpp", "*.hpp", "*.lua", "*.sh", "*.py" })
    for _, path in ipairs(paths) do
      local count = #files.lines(path)
      local made = path == "lua/tidemill.d.lua" -- by make docs, from the option tables
      if count >= FILE and not made then faults[#faults + 1] = ("%s has %d lines"):format(path, count) end
    end
    assert.same({}, faults)
  end)

  it("of functions are below 60 lines", function()
    assert.same({}, too_long(files.list({ "engine", "scripts", "lua" }, { "*.c", "*.cpp" }), each_c_function))
    assert.same({}, too_long(files.list({ "lua", "scripts", "spec" }, { "*.lua" }), each_lua_function))
  end)

  it("are measured at all", function()
    local seen = {}
    each_c_function("engine/base/status.c", function(name, lines) seen[name] = lines end)
    assert.is_true(seen.tide_fail > 3)
    local count = 0
    each_lua_function("lua/tidemill/plan/units.lua", function() count = count + 1 end)
    assert.is_true(count > 8)
    local longest = 0
    each_lua_function("spec/house/lengths_spec.lua", function(_, lines) longest = math.max(longest, lines) end)
    assert.is_true(longest > 10 and longest < FUNCTION)
  end)

  it("of examples are at most 40 lines", function()
    local faults = {}
    local pipe = assert(io.popen("ls scripts/*.lua"))
    for path in pipe:lines() do
      local count = #files.lines(path)
      if count > EXAMPLE then faults[#faults + 1] = ("%s has %d lines"):format(path, count) end
    end
    pipe:close()
    assert.same({}, faults)
  end)
end)
