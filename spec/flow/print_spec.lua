-- SPDX-License-Identifier: MIT
-- What a transform prints goes to standard error, all of it, also where that is no terminal.
local piped_run = require "spec.support.piped_run"
local wait = require "spec.support.wait"

describe("print", function()
  after_each(piped_run.stop)

  local function count(text, pattern)
    return select(2, text:gsub(pattern, ""))
  end

  -- Standard error after a run of a transform over 1000 messages, of which one worker may run all. It ends only once
  -- both have begun, and so many messages have come out.
  local function printed(transform, results)
    local run = piped_run.start([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2, max_log_lines = 100000 },
  tide.file_sink { path = "-" }, dlq = tide.dlq { path = "dead" } }]], "--dead-letters FOLDER/dead",
      { ["t.lua"] = transform })
    piped_run.feed(("x\n"):rep(1000))
    wait.until_true(function()
      return count(run:stderr(), "begun\n") >= 2 and count(piped_run.read "out", "\n") == results
    end, function() return "two workers and the results: " .. run:stderr():sub(-1000) end)
    local code = run:stop(60)
    assert.equal(0, code, run:stderr())
    return run:stderr()
  end

  it("print loses no line, nor what has no end of line", function()
    local err = printed([[return { start = function() print "begun" end, close = function() io.write "closed|" end,
      process = function(m) print("line", m.offset) io.write("part|") return m end }]], 1000)
    assert.same({ 1000, 1000, 2, 2 }, { count(err, "line\t%d+\n"), count(err, "part|"), count(err, "begun\n"),
      count(err, "closed|") })
  end)

  it("print loses no line before a crash", function()
    local err = printed([[local ffi = require "ffi"
      return { start = function() print "begun" end, process = function(m)
        print("at", m.offset)
        if m.offset == 500 then ffi.cast("int *", 8)[0] = 1 end
        return m
      end }]], 999)
    for offset = 0, 999 do assert.is_truthy(err:find("at\t" .. offset .. "\n", 1, true), offset) end
  end)
end)
