-- SPDX-License-Identifier: MIT
local memory = require "tidemill.plan.memory"
local pipeline_file = require "spec.support.pipeline_file"

local MIB = 2 ^ 20

describe("the memory for loading transforms", function()
  after_each(pipeline_file.remove_all)

  -- A control group with this file.
  local function root(path, text)
    local folder = pipeline_file.folder()
    assert(os.execute(("mkdir -p '%s'"):format((folder .. "/" .. path):match "^(.*)/")) == 0)
    local file = assert(io.open(folder .. "/" .. path, "w"))
    file:write(text)
    file:close()
    return folder
  end

  local MACHINE = "MemTotal:       8388608 kB\nMemAvailable:    1048576 kB\n"

  it("the memory for loading transforms is three quarters of what the machine has available", function()
    assert.equal(768 * MIB, memory.for_loading("/no/such/folder", "", MACHINE))
    assert.is_true(memory.for_loading() >= 64 * MIB)
  end)

  it("the memory for loading transforms is no more than three quarters of what a group may have", function()
    assert.equal(384 * MIB, memory.for_loading(root("a/memory.max", "536870912\n"), "0::/a/b\n", MACHINE))
    assert.equal(384 * MIB, memory.for_loading(root("memory/x/memory.limit_in_bytes", "536870912\n"),
      "3:cpu:/y\n4:memory:/x\n", MACHINE))
    assert.equal(768 * MIB, memory.for_loading(root("a/memory.max", "max\n"), "0::/a\n", MACHINE))
    assert.equal(768 * MIB, memory.for_loading(root("memory/x/memory.limit_in_bytes", "9223372036854771712\n"),
      "4:memory:/x\n", MACHINE))
  end)

  it("the memory for loading transforms is enough for a small one, and unlimited where nothing is known", function()
    assert.equal(64 * MIB, memory.for_loading("/no/such/folder", "", "MemAvailable: 1024 kB\n"))
    assert.equal(0, memory.for_loading("/no/such/folder", "", ""))
  end)
end)
