-- SPDX-License-Identifier: MIT
-- The marks by which libFuzzer sees what Lua a target runs (scripts/fuzz/coverage.lua): what is marked does the same.
local TEXT = [[
local function kind(n, ...)
  if n == 0 then return "none", ...
  elseif n < 0 then return "less"
  else local more = n > 9 and "many" or (n > 4 and "some") or "few" return more, select("#", ...) end
end
local t, sum = { f = function(self, x) return self and x or nil end }, 0
for i = 1, 3 do sum = sum + i end
for _, n in ipairs { 0, -1, 10, 5, 2 } do t[#t + 1] = kind(n, nil, 7) end
while sum > 0 do sum = sum - 1 if sum == 2 then goto out end end
::out::
repeat local last = sum sum = sum - 1 until last < 1
do t[#t + 1] = t:f "\\0é" end
return #t, table.concat(t, ","), sum, (debug.getinfo(1, "l").currentline)
]]

describe("the marks of the fuzz targets in Lua", function()
  local marks, path, load_marked = {}, os.tmpname(), nil

  setup(function()
    load_marked = assert(loadfile "scripts/fuzz/coverage.lua")(function(number) marks[#marks + 1] = number end)
  end)

  teardown(function()
    rawset(_G, "fuzz_mark", nil)
    table.remove(package.loaders, 2)
    os.remove(path)
  end)

  it("change nothing of what a file does, and differ where it goes another way", function()
    local file = assert(io.open(path, "wb"))
    file:write(TEXT)
    file:close()
    local plain, marked = { assert(loadstring(TEXT))() }, { load_marked(path)() }
    assert.same(plain, marked)
    local seen, count = {}, 0
    for _, number in ipairs(marks) do
      count = count + (seen[number] and 0 or 1)
      seen[number] = true
    end
    -- Of 23 statements and 6 right sides, all but a label that is only jumped to, and the side that is not reached.
    assert.equal(27, count)
  end)

  it("go into every Lua file of the program", function()
    local pipe, count = assert(io.popen "find lua -name '*.lua'"), 0
    for name in pipe:lines() do
      assert.is_function(load_marked(name), name)
      count = count + 1
    end
    pipe:close()
    assert.is_true(count > 100)
  end)
end)
