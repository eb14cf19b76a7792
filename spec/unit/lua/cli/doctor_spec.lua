-- SPDX-License-Identifier: MIT
local advisor = require "tidemill.tuning.advisor"
local cjson = require "cjson"
local doctor = require "tidemill.cli.doctor"
local process = require "spec.support.process"
local program = require "spec.support.program"

local VERDICT = {
  limit = "workers", step = 2, since = 12, text = "the workers are the limit: 2 processes of step 2 are 99 % in use",
  advice = "raise processes from 2 to 4", evidence = { workers_in_use = 0.99 },
  procedure = { { name = "input_block", state = "done", text = "no overflow" },
    { name = "batch", state = "now", text = "1 message a batch" } },
}

describe("doctor", function()
  local path

  before_each(function() path = os.tmpname() end)
  after_each(function()
    os.remove(path)
    process.stop_all()
  end)

  local function write(text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end

  local function run(...)
    return process.run { program.path, "doctor", ... }
  end

  it("doctor shows the limit, its evidence, the advice and where the procedure stands", function()
    local text = doctor.text(VERDICT)
    for _, part in ipairs { "limit: workers (step 2)\n", "for 12 s: the workers are the limit",
      "advice: raise processes",
      "workers_in_use = 0.99", "1. done  input_block", "2. NOW   batch" } do
      assert.is_truthy(text:find(part, 1, true), part)
    end
  end)

  it("doctor reads a report, and writes its verdict as JSON when asked to", function()
    write(cjson.encode { metrics = { a = 1 }, verdict = VERDICT })
    local code, out = run("--json", path)
    assert.equal(0, code)
    assert.same(VERDICT, cjson.decode(out))
  end)

  it("doctor does not judge a run that was too short", function()
    local verdict = advisor.judge { seconds = 0.01, messages = 100 }
    assert.equal("limit: none\n0.010 s are too short to be judged\n", doctor.text(verdict))
    assert.equal("nothing was read in this time", advisor.judge({ seconds = 9, messages = 0 }).text)
  end)

  it("doctor names what is no report, and what is neither file nor address", function()
    write "{}"
    local code, out, err = run(path)
    assert.same({ 65, "" }, { code, out })
    assert.is_truthy(err:find("this is not a report", 1, true), err)
    write(cjson.encode { metrics = { a = 1 } })
    assert.equal(65, (run(path)))
    assert.equal(66, (run("/no/such/file")))
    assert.equal(69, (run("127.0.0.1:1")))
  end)

  it("doctor refuses a verdict of another form, and shows none of its control characters", function()
    local wrong = { { limit = false }, { step = "2" }, { since = {} }, { advice = 1 }, { evidence = { a = "b" } },
      { evidence = 3 }, { procedure = { { state = "done" } } }, { procedure = { 5 } } }
    for _, change in ipairs(wrong) do
      local verdict = {}
      for name, value in pairs(VERDICT) do verdict[name] = value end
      for name, value in pairs(change) do verdict[name] = value end
      write(cjson.encode { metrics = { a = 1 }, verdict = verdict })
      local code, out, err = run(path)
      assert.same({ 65, "" }, { code, out }, err)
      assert.is_truthy(err:find("the verdict is not in a form that this tidemill knows", 1, true), err)
    end
    assert.is_nil(doctor.text({ limit = "none", text = "a\27[31mb" }):find("\27", 1, true))
  end)
end)
