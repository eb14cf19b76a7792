-- SPDX-License-Identifier: MIT
local cores = require "tidemill.plan.cores"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

describe("the processors that may be used", function()
  after_each(pipeline_file.remove_all)

  -- Files of control groups, by path.
  local function root(files)
    local folder = pipeline_file.folder()
    for path, text in pairs(files) do
      os.execute(("mkdir -p '%s'"):format((folder .. "/" .. path):match("^(.*)/")))
      local file = assert(io.open(folder .. "/" .. path, "w"))
      file:write(text)
      file:close()
    end
    return folder
  end

  local all = cores.usable("/no/such/folder", "")

  it("the processors that may be used are those of the process's affinity", function()
    local _, out = process.run({ "taskset", "-c", "0", "luajit", "-e",
      "package.path = './lua/?.lua;' .. package.path; io.write(require('tidemill.plan.cores').usable())" })
    assert.equal("1", out)
    assert.is_true(all >= 1)
  end)

  it("the processors that may be used are no more than the quota of a group, or of one it is in", function()
    local nested = { ["a/b/cpu.max"] = "max 100000\n", ["a/cpu.max"] = "50000 100000\n" }
    assert.equal(1, cores.usable(root(nested), "0::/a/b\n"))
    assert.equal(math.min(all, 2), cores.usable(root { ["a/cpu.max"] = "150000 100000\n" }, "0::/a\n"))
    assert.equal(1, cores.usable(root { ["cpu.max"] = "100000 100000\n" }, "0::/\n"))
    assert.equal(all, cores.usable(root { ["a/cpu.max"] = "max 100000\n" }, "0::/a\n"))
    assert.equal(all, cores.usable(root { ["a/cpu.max"] = "100000000 100000\n" }, "0::/a\n"))
  end)

  it("the processors that may be used hold for the first version of control groups, in a container too", function()
    local v1 = { ["cpu/x/cpu.cfs_quota_us"] = "100000\n", ["cpu/x/cpu.cfs_period_us"] = "100000\n" }
    assert.equal(1, cores.usable(root(v1), "4:memory:/y\n3:cpu,cpuacct:/x\n"))
    local own = { ["cpu/cpu.cfs_quota_us"] = "100000\n", ["cpu/cpu.cfs_period_us"] = "100000\n" }
    assert.equal(1, cores.usable(root(own), "3:cpu,cpuacct:/docker/123\n"))
    v1["cpu/x/cpu.cfs_quota_us"] = "-1\n"
    assert.equal(all, cores.usable(root(v1), "3:cpuacct,cpu:/x\n"))
  end)
end)
