-- SPDX-License-Identifier: MIT
-- Where files go is the user's to say, so a path may hold spaces: no recipe and no script splits one into words, and
-- what is removed with all that is below it is one quoted path. (shellcheck, in `make lint`, finds the other unquoted
-- uses; it does not read recipes.)
local files = require "spec.house.files"

-- What is wrong with a line of a recipe.
local function in_recipe(line)
  if line:sub(1, 1) ~= "\t" then return nil end
  local where = line:match("%$%([%w%s]*PREFIX[^)]*%)") or line:match("%$%(DESTDIR%)") or line:match("%$%(SHARE%)")
  if where then return where .. " in a recipe: export it, and use it quoted in a script" end
  if line:find("rm %-%a*r") and line:find("rm %-%a*r[^;|&]*%$") then return "rm -r of what a variable says" end
end

-- What is wrong with a line of a script.
local function in_script(line)
  local paths = line:match("rm %-%a*r%a*%f[%s]([^;|&}#]*)")
  if not paths then return nil end
  for path in paths:gsub("%-%-[%w-]+", ""):gmatch("%S+") do
    if path:find("[$`]") and not path:find('^".*"$') then return "rm -r of an unquoted path: " .. path end
  end
end

local function faults_of(path, lines, judge)
  local faults = {}
  for number, line in ipairs(lines) do
    local fault = judge(line)
    if fault then faults[#faults + 1] = ("%s:%d: %s"):format(path, number, fault) end
  end
  return faults
end

describe("a path that the user says", function()
  it("stands in no recipe of the Makefile", function()
    assert.same({}, faults_of("Makefile", files.lines("Makefile"), in_recipe))
  end)

  it("is quoted where a script removes what is below it", function()
    local scripts = files.list({ "scripts", ".ci" }, { "*.sh", "run" })
    assert.is_true(#scripts > 8)
    for _, path in ipairs(scripts) do assert.same({}, faults_of(path, files.lines(path), in_script)) end
  end)

  it("would be found", function()
    local old = "\trm -rf $(DESTDIR)$(PREFIX)/bin/tidemill $(SHARE)"
    for _, line in ipairs { old, "\tinstall -d $(PREFIX)/bin", "\tcp -r lua $(SHARE)/", "\trm -rf $(BUILD)" } do
      assert.is_truthy(in_recipe(line), line)
    end
    for _, line in ipairs { "rm -rf $dir", 'rm -rf "$a" $b/c', "  rm -fr -- $(mktemp)" } do
      assert.is_truthy(in_script(line), line)
    end
    for _, line in ipairs { 'rm -rf "$dir/data"', "rm -rf build/x", "rm -f $file", '  rm -rf --one-fs "$root"' } do
      assert.is_nil(in_script(line), line)
    end
  end)
end)
