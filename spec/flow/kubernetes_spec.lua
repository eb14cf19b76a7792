-- SPDX-License-Identifier: MIT
-- packaging/kubernetes: the pipeline runs from a folder of links, as a ConfigMap is mounted, and the manifests name
-- what the program has. That they are as the schemas want them is checked by scripts/dev/kubernetes.sh.
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local program = require "spec.support.program"
local steps = require "tidemill.steps.list"
local units = require "tidemill.plan.units"

local FOLDER = "packaging/kubernetes/"

local function run(line)
  local pipe = assert(io.popen(("{ %s; } 2>&1; echo \"code=$?\""):format(line)))
  local out, code = pipe:read("*a"):match "^(.*)code=(%d+)\n$"
  pipe:close()
  assert(code == "0", out)
  return out
end

describe("packaging/kubernetes", function()
  teardown(pipeline_file.remove_all)

  it("has a pipeline that runs from where a ConfigMap is mounted", function()
    local folder = pipeline_file.folder()
    run(("cd '%s' && mkdir ..1 && ln -s ..1 ..data"):format(folder))
    for _, name in ipairs { "pipeline.lua", "transform.lua" } do
      run(("cp %s%s '%s/..1/' && ln -s ..data/%s '%s/'"):format(FOLDER, name, folder, name, folder))
    end
    local out = run(([[echo '{"id":1}' | HOSTNAME=orders-0 %s/tidemill run '%s/pipeline.lua' --input - \
      --log-level error]]):format(program.build, folder))
    assert.equal('{"id":1,"seen":true}\n', out)
  end)

  it("probes paths that are answered", function()
    local known, count = {}, 0
    for _, path in ipairs(steps.metrics.paths) do known[path[1]] = true end
    for _, file in ipairs { "statefulset.yaml", "podmonitor.yaml" } do
      for path in files.read(FOLDER .. file):gmatch "\n%s+path: (%S+)" do
        assert.is_true(known[path], path)
        count = count + 1
      end
    end
    assert.equal(3, count)
  end)

  it("gives a pod the time to drain", function()
    local text, join_timeout = files.read(FOLDER .. "statefulset.yaml"), nil
    for _, option in ipairs(steps.pipeline.options) do
      if option.name == "join_timeout" then join_timeout = tonumber(units.time(option.default)) / 1e6 end
    end
    local grace = tonumber(text:match "terminationGracePeriodSeconds: (%d+)")
    local before = tonumber(text:match "preStop:\n%s+sleep:\n%s+seconds: (%d+)")
    assert.is_true(grace >= before + join_timeout + 7, "brokers that do not answer take 7 s more (docs/cluster.md)")
  end)
end)
