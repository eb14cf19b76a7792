-- SPDX-License-Identifier: MIT
-- The document of `make torture` keeps the rows of other parts and modes, and one of each.
local pipeline_file = require "spec.support.pipeline_file"
local checker = require "scripts.torture.checker"
local recovery = require "scripts.torture.recovery"
local report = require "scripts.torture.report"

local EMPTY = { input = {}, output = {}, second = {}, dead_letters = {}, ends = {}, committed = {}, disturbances = 0 }

local function write(path, part, mode, seed)
  report.write(path, { part = part, mode = mode, seed = seed, injected = { kill_worker = 7 }, workers = { 1 },
    engines = {}, seconds = 5, findings = checker.run(EMPTY) })
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read "*a"
  file:close()
  return text
end

describe("the report of a torture", function()
  after_each(pipeline_file.remove_all)

  it("keeps the rows of other runs, and replaces its own", function()
    local path = pipeline_file.folder() .. "/torture.md"
    for _, run in ipairs { { "workers", "at_least_once", 1 }, { "workers", "exactly_once", 2 },
      { "engines", "at_least_once", 3 }, { "workers", "at_least_once", 4 } } do
      write(path, run[1], run[2], run[3])
    end
    local rows = {}
    for line in io.lines(path) do rows[#rows + 1] = line:match("^| (%w+ | [%w_]+ | %d+) |") end
    assert.same({ "engines | at_least_once | 3", "workers | at_least_once | 4", "workers | exactly_once | 2" }, rows)
  end)

  it("changes nothing else of the document", function()
    local path, page = pipeline_file.folder() .. "/torture.md", read "docs/torture.md"
    local file = assert(io.open(path, "w"))
    file:write(page)
    file:close()
    write(path, "workers", "exactly_once", 99)
    local function without(text) return (text:gsub("\n| workers | exactly_once | [^\n]+", "")) end
    assert.equal(without(page), without(read(path)))
    assert.is_truthy(read(path):find("\n| workers | at_least_once | [^\n]+\n| workers | exactly_once | 99 |"))
  end)

  it("tells how long a replacement took, by the journal", function()
    local function entry(time, event, pid) return { time = time, run = "a.1", event = event, pid = pid, id = 0 } end
    local entries = { entry(0, "start", 1), entry(0, "start", 2), entry(100, "crash", 1), entry(104, "start", 3),
      entry(200, "hang", 2), entry(300, "kill_worker", 3), entry(309, "start", 4), entry(710, "start", 5) }
    assert.same({ 4, 9 }, recovery.workers(entries, 2, 500)) -- the hang ends by itself: nobody knows when
  end)

  it("tells how many stops of a worker were long, by the journal", function()
    local function entry(time, event, pid) return { time = time, run = "a.1", event = event, pid = pid, id = 0 } end
    local entries = { entry(0, "stop_worker", 1), entry(10, "stop_worker", 2), entry(100, "stop_worker", 1),
      entry(509, "resume_worker", 2), entry(510, "resume_worker", 1), entry(800, "resume_worker", 1),
      entry(900, "stop_worker", 2), entry(1400, "resume_worker", 2), entry(1500, "stop_worker", 2) }
    assert.equal(2, recovery.long_stops(entries, 500))
  end)
end)
