-- SPDX-License-Identifier: MIT
-- What a transform prints goes to standard error, all of it, also where that is no terminal.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

describe("print", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- The lines of standard error after a run of a transform over 1000 messages, of which one worker may run all.
  local function printed(transform)
    local path, folder = pipeline_file.write([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_log_lines = 100000 },
  tide.file_sink { path = "-" }, dlq = tide.dlq { path = "dead" } }]],
      { ["t.lua"] = transform, ["in"] = ("x\n"):rep(1000) })
    local code, _, err = process.run({ PROGRAM, "run", path, "--input", "in", "--dead-letters", "dead" },
      { cwd = folder })
    assert.equal(0, code, err)
    return err
  end

  local function count(text, pattern)
    return select(2, text:gsub(pattern, ""))
  end

  it("print loses no line, nor what has no end of line", function()
    local err = printed [[return { start = function() print "begun" end, close = function() io.write "closed|" end,
      process = function(m) print("line", m.offset) io.write("part|") return m end }]]
    assert.same({ 1000, 1000, 2, 2 }, { count(err, "line\t%d+\n"), count(err, "part|"), count(err, "begun\n"),
      count(err, "closed|") })
  end)

  it("print loses no line before a crash", function()
    local err = printed [[local ffi = require "ffi"
      return function(m)
        print("at", m.offset)
        if m.offset == 500 then ffi.cast("int *", 8)[0] = 1 end
        return m
      end]]
    for offset = 0, 999 do assert.is_truthy(err:find("at\t" .. offset .. "\n", 1, true), offset) end
  end)
end)
