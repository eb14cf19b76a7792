-- SPDX-License-Identifier: MIT
-- What the fuzz targets (scripts/fuzz) have kept, run once more: the corpus of each, and the inputs that found
-- something once. The programs are those of this build, without libFuzzer, so this takes no clang and a moment.
local build = require("spec.support.program").build

local function lines_of(command)
  local pipe, lines = assert(io.popen(command)), {}
  for line in pipe:lines() do lines[#lines + 1] = line end
  pipe:close()
  return lines
end

local targets = lines_of "cd scripts/fuzz/targets && ls | sed 's/[.].*//'"

-- Runs a target on what is in the folders; returns how many files were run (nil when it did not come to its end),
-- and the last lines that it printed.
local function replay(target, environment)
  local folders = {}
  for _, kind in ipairs { "corpus", "regressions" } do
    local folder = ("scripts/fuzz/%s/%s"):format(kind, target)
    if os.execute("test -d " .. folder) == 0 then folders[#folders + 1] = folder end
  end
  local printed = lines_of(("%s %s/targets/%s %s 2>&1 | tail -n 4"):format(environment or "",
    build, target, table.concat(folders, " ")))
  return tonumber(printed[#printed]), table.concat(printed, "\n")
end

describe("the inputs that were kept", function()
  it("of each fuzz target are there", function()
    assert.is_true(#targets >= 10)
    for _, target in ipairs(targets) do
      assert.is_true(#lines_of("ls scripts/fuzz/corpus/" .. target) > 3, target)
    end
  end)

  for _, target in ipairs(targets) do
    it("of the fuzz target " .. target .. " find nothing", function()
      local count, printed = replay(target)
      assert.is_true(count ~= nil and count > 3, printed)
    end)
  end

  it("of the fuzz target json find nothing on a processor without AVX2", function()
    local count, printed = replay("json", "SIMDJSON_FORCE_IMPLEMENTATION=fallback")
    assert.is_true(count ~= nil and count > 3, printed)
  end)
end)
