-- SPDX-License-Identifier: MIT
-- Dead letters that are not the message that was read: what an earlier step made of it, and timers.
local cjson = require "cjson"
local base64 = require "tidemill.lib.base64"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local support = require "spec.support.dlq"

local PROGRAM = require("spec.support.program").path

local dlq, lines_of = support.run, support.lines

describe("dead letters of a later step", function()
  local letters

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- The dead letters' values with whether they are intermediate, after a pipeline of these steps.
  local function letters_of(steps, input, more)
    local folder = pipeline_file.folder()
    letters = folder .. "/letters.jsonl"
    local file = assert(io.open(folder .. "/in", "w"))
    file:write(input)
    file:close()
    local pipeline = pipeline_file.write(([[
      local tide = require "tidemill"
      local function bad() error "no good" end
      return tide.pipeline "x" { tide.file_source { path = %q }, %s tide.file_sink { path = "/dev/null" },
        dlq = tide.dlq { path = %q }, %s }]]):format(folder .. "/in", steps, letters, more or ""))
    local code, _, err = process.run { PROGRAM, "run", pipeline }
    assert.equal(0, code, err)
    local found = {}
    local shown, out, words = dlq("show", letters, "--format", "json")
    assert.equal(0, shown, words)
    for i, line in ipairs(lines_of(out)) do
      local seen = cjson.decode(line)
      found[i] = { seen.value == cjson.null and "" or base64.decode(seen.value), seen.intermediate }
    end
    return found
  end

  local MAKE = [[tide.run_task_with_multiprocessing { processes = 1, function(m)
      if m.value == "twice" then return tide.many { m, m } end
      if m.value == "later" then return { value = m.value, timestamp = 5 } end
      if m.value == "made" then m.value = "MADE" end
      return m
    end }, ]]
  local REJECT = "tide.run_task_with_multiprocessing { processes = 1, bad }, "

  it("a dead letter that is not the message itself says so, and is replayed only with --to", function()
    assert.same({ { "same", false }, { "MADE", true }, { "twice", true }, { "twice", true }, { "later", true } },
      letters_of(MAKE .. REJECT, "same\nmade\ntwice\nlater\n"))
    local code, out, err = dlq("replay", letters, "--dry-run")
    assert.same({ 65, 1, "0/0" }, { code, #lines_of(out), out:match "^[^\t]+" }, err)
    assert.truthy(err:find("dead letter 0/1: holds what an earlier step made of in/0/1", 1, true), err)
    assert.truthy(err:find("--to TOPIC", 1, true), err)
    assert.truthy(err:find("would replay 1 dead letter to in; 4 refused", 1, true), err)
    code, out, err = dlq("replay", letters, "--dry-run", "--to", "other")
    assert.same({ 0, 5 }, { code, #lines_of(out) }, err)
    local rows = lines_of((select(2, dlq("list", letters))))
    assert.truthy(rows[1]:find("no good\tin/0$"), rows[1])
    assert.truthy(rows[2]:find("no good (intermediate)\t-", 1, true), rows[2])
    assert.truthy((select(2, dlq("show", letters, "0/1"))):find("holds       what an earlier step made", 1, true))
    assert.falsy((select(2, dlq("show", letters, "0/0"))):find("holds", 1, true))
  end)

  -- Its key with no value would delete that key in a compacted topic.
  it("a dead letter of a timer says so, and is not replayed, since there is no message", function()
    local KEYED = [[tide.keyed { function(m, state)
        if m.timer then error "bad timer" end
        state:timer(m.timestamp + 1)
      end, by = "json:k", time = "json:t", state = "s", processes = 1 }, ]]
    local more = ("state_dir = %q"):format(pipeline_file.folder())
    assert.same({ { "", false } }, letters_of(KEYED, '{"k":"a","t":1}\n{"k":"b","t":9}\n', more))
    for _, to in ipairs { {}, { "--to", "other" } } do
      local code, out, err = dlq("replay", letters, "--dry-run", unpack(to))
      assert.same({ 65, "" }, { code, out }, err)
      assert.truthy(err:find("dead letter 0/0: is a timer of tide.keyed that failed, and no message", 1, true), err)
      assert.truthy(err:find("would replay 0 dead letters to no topic; 1 refused", 1, true), err)
    end
    local row = lines_of((select(2, dlq("list", letters))))[1]
    assert.truthy(row:find("bad timer (timer)\t-", 1, true), row)
    assert.truthy((select(2, dlq("show", letters, "0/0"))):find("holds       a timer of this key", 1, true))
    assert.equal(0, (dlq("drop", letters, "0/0", "--yes")))
    assert.equal(0, (dlq("replay", letters, "--dry-run")))
  end)

  it("a dead letter stays intermediate through further steps and tide.retry", function()
    local pass = "tide.run_task_with_multiprocessing { processes = 1, function(m) return m end }, "
    local again = [[tide.run_task_with_multiprocessing { processes = 1, (function()
        local tried = {}
        return function(m)
          if tried[m.value] then error "no good" end
          tried[m.value] = true
          return tide.retry "not yet"
        end
      end)() }, ]]
    assert.same({ { "same", false }, { "MADE", true } }, letters_of(MAKE .. pass .. again, "same\nmade\n"))
  end)

  it("a dead letter of a reduce's result is intermediate, one of its members is the message", function()
    local reduce = "tide.reduce { %s, initial_value = '', result = function(text) %s return { value = text } end }, "
    local join = "function(text, m) return text .. m.value end"
    assert.same({ { "ab", true } }, letters_of(reduce:format(join, "") .. REJECT, "a\nb\n"))
    assert.same({ { "a", false }, { "b", false } }, letters_of(reduce:format(join, "bad()"), "a\nb\n"))
    assert.same({ { "a", false }, { "MADE", true } }, letters_of(MAKE .. reduce:format(join, "bad()"), "a\nmade\n"))
    assert.same({ { "made", false } }, letters_of([[tide.run_task_with_multiprocessing { processes = 1,
      function(m) return tide.many { "x", "y" } end, bad }, ]], "made\n"))
  end)
end)
