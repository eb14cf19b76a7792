-- SPDX-License-Identifier: MIT
-- Outputs that cannot be written: standard output closed or full, a report on a full disk.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message) return message end, processes = 1 },
  tide.file_sink { path = "-" }, join_timeout = "10min" }
]]

-- Feeds 10,000 lines; `tail` is what the shell appends. The code of tidemill, and what it wrote.
local function run(tail)
  local script = ('seq 10000 | { "%s" run "%s" %s; echo "code=$?" >&2; }'):format(PROGRAM,
    pipeline_file.write(PIPELINE), tail)
  local _, _, written = process.run { "/bin/sh", "-c", script }
  return tonumber(written:match("code=(%d+)")), written
end

describe("an output that cannot be written", function()
  after_each(process.stop_all)

  it("an output that cannot be written is told at once: a standard output that is closed, or full", function()
    local expected = { [">&-"] = { "Bad file descriptor", 78 }, [">/dev/full"] = { "No space left on device", 75 } }
    for tail, one in pairs(expected) do
      local code, text = run(tail)
      assert.equal(one[2], code)
      assert.is_truthy(text:find("cannot write -: " .. one[1], 1, true), text)
    end
  end)

  it("an output that cannot be written is a failure of every command", function()
    local path = pipeline_file.write(PIPELINE)
    for _, arguments in ipairs { "help", "version", "--version", "help run", "completion bash", "plan " .. path,
      "check " .. path, "run --help", "dlq list " .. path:gsub("[^/]*$", "letters") } do
      local script = ('"%s" %s >/dev/full'):format(PROGRAM, arguments)
      if arguments:find "^dlq" then
        local letters = io.open(arguments:match "(%S+)$", "w")
        letters:write('{"original_topic":"t","original_partition":0,"original_offset":1,"value":null,"headers":[]}\n')
        letters:close()
      end
      local code, _, written = process.run { "/bin/sh", "-c", script }
      assert.equal(75, code, arguments .. written)
      assert.is_truthy(written:find("tidemill: standard output: ", 1, true), arguments .. written)
    end
    assert.equal(0, (process.run { "/bin/sh", "-c", ('"%s" help | head -1'):format(PROGRAM) }))
  end)

  it("an output that cannot be written is a failure of --report too", function()
    local code, text = run(">/dev/null --report /dev/full")
    assert.equal(75, code)
    assert.is_truthy(text:find("--report: cannot write /dev/full: No space left on device", 1, true), text)
  end)

  it("an output that cannot be written is told before anything is read when the report has no place", function()
    local code, text = run(">/dev/null --report /nowhere/report.json")
    assert.equal(78, code)
    assert.is_truthy(text:find("--report: cannot write /nowhere/report.json: No such file or directory", 1, true), text)
    assert.is_nil(text:find("read 10,000", 1, true))
  end)

  it("an output that cannot be written is a file for a pipeline that has none, when --output names one", function()
    local path = os.tmpname()
    local pipeline = pipeline_file.write((PIPELINE:gsub("  tide.file_sink[^\n]*", "}")))
    local code, _, written = process.run({ "/bin/sh", "-c", ('seq 3 | "%s" run "%s" --output "%s"')
      :format(PROGRAM, pipeline, path) })
    assert.equal(0, code, written)
    assert.equal("1\n2\n3\n", io.open(path):read("*a"))
    os.remove(path)
  end)
end)
