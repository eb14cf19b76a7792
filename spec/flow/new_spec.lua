-- SPDX-License-Identifier: MIT
-- The first hour: tidemill new, test, run, record, and a spec that replays what was recorded.
local pipeline_file = require "spec.support.pipeline_file"
local testing = require "tidemill.testing"

local here = io.popen("pwd"):read "*l"
local program = here .. "/" .. (os.getenv "TIDE_BUILD" or "build") .. "/tidemill"

-- Exit code and output of a command line in a folder.
local function run(folder, line)
  line = line:gsub("tidemill ", program .. " ")
  local pipe = io.popen(("cd '%s' && { %s; } 2>&1; echo \"code=$?\""):format(folder, line))
  local text = pipe:read "*a"
  pipe:close()
  local out, code = text:match "^(.*)code=(%d+)\n$"
  return tonumber(code), out
end

describe("a new pipeline", function()
  local folder

  before_each(function() folder = pipeline_file.folder() end)
  after_each(pipeline_file.remove_all)

  it("passes its own spec at once, checks, and runs", function()
    local code, out = run(folder, "tidemill new first-one")
    assert.equal(0, code, out)
    assert.matches("cd first%-one\n  tidemill test\n", out)
    code, out = run(folder .. "/first-one", "tidemill test")
    assert.equal(0, code, out)
    assert.matches("2 successes / 0 failures", out)
    code, out = run(folder .. "/first-one", "tidemill check pipeline.lua")
    assert.equal(0, code, out)
    code, out = run(folder .. "/first-one",
      [[echo '{"level":"info"}' | tidemill run pipeline.lua --input - --log-level error]])
    assert.equal(0, code, out)
    assert.matches('"seen":true', out)
  end)

  it("fails `tidemill test` when a spec fails, names what is not there", function()
    run(folder, "tidemill new one")
    run(folder .. "/one", "echo 'return function(m) return m end' >transform.lua")
    local code, out = run(folder .. "/one", "tidemill test spec/transform_spec.lua")
    assert.equal(65, code, out)
    code, out = run(folder .. "/one", "tidemill test --filter whole")
    assert.equal(0, code, out)
    code, out = run(folder, "tidemill test nowhere_spec.lua")
    assert.same({ 66, true }, { code, out:find "nowhere_spec.lua: No such file" ~= nil })
  end)

  it("is not written over what is there, nor under a name that is none", function()
    assert.equal(0, (run(folder, "tidemill new one")))
    assert.equal(66, (run(folder, "tidemill new one")))
    assert.equal(64, (run(folder, "tidemill new ../one")))
  end)
end)

describe("tidemill record", function()
  after_each(pipeline_file.remove_all)

  it("takes messages of the source to a file that a spec replays", function()
    local path, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.run_task { function(m) return m.value .. "!" end } }',
      { ["in.txt"] = "one\ntw\"o\n\255\nfour\nfive\n" })
    local code, out = run(folder, "tidemill record p.lua --count 4 --out r.jsonl")
    assert.equal(0, code, out)
    assert.equal("4 messages in r.jsonl\n", out)
    local test = testing.pipeline(path)
    test:replay(folder .. "/r.jsonl")
    assert.produces(test, { "one!", 'tw"o!', "\255!", "four!" })
    test:close()
    assert.equal(64, (run(folder, "tidemill record p.lua --count 0")))
    assert.equal(66, (run(folder, "tidemill record p.lua --count 1 --out no/where")))
  end)
end)
