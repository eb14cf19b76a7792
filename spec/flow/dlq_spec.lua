-- SPDX-License-Identifier: MIT
-- tidemill dlq on dead-letter files: what a pipeline wrote there comes out as it went in.
local cjson = require "cjson"
local base64 = require "tidemill.lib.base64"
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local support = require "spec.support.dlq"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = %q },
  tide.run_task_with_multiprocessing { processes = 1, function(message)
    if message.value:find "^late" then return tide.reject("late by\ta day") end
    if message.value:find "^bad" then error("no good") end
    return message
  end },
  tide.file_sink { path = "/dev/null" },
  dlq = tide.dlq { path = %q } }
]]

local letters, pipeline

local dlq, lines_of = support.run, support.lines

-- The first cells: which letters.
local function places(...)
  local code, out, err = dlq("list", ...)
  assert.equal(0, code, err)
  local found = {}
  for i, line in ipairs(lines_of(out)) do found[i] = line:match "^[^\t]+" end
  return found
end

describe("tidemill dlq on a file", function()
  before_each(function()
    local folder = pipeline_file.folder()
    letters = folder .. "/letters.jsonl"
    local input = folder .. "/in"
    local file = assert(io.open(input, "wb"))
    file:write("good 0\nbad 1\nlate 2\nbad \0\255 3\ngood 4\nbad 5\n")
    file:close()
    pipeline = pipeline_file.write(PIPELINE:format(input, letters))
    local code, _, err = process.run { PROGRAM, "run", pipeline }
    assert.equal(0, code, err)
  end)
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("list prints one line for each dead letter, and nothing else on standard output", function()
    local code, out, err = dlq("list", letters)
    assert.same({ 0, "" }, { code, err })
    local lines = lines_of(out)
    assert.equal(4, #lines)
    assert.truthy(lines[1]:find("^0/0\tin/0/1\t%S+\trun_task_with_multiprocessing\terror\t0\t%-\t5\t.*no good\tin/0$"),
      lines[1])
    assert.truthy(lines[2]:find("late by\\x09a day", 1, true), lines[2])
    assert.equal(out, (select(2, dlq("list", pipeline)))) -- the pipeline knows its dlq
  end)

  it("list --format json prints one object a line", function()
    local _, out = dlq("list", letters, "--format", "json", "--reason", "rejected")
    local found = cjson.decode(out)
    assert.same({ "0/1", "in", 0, 2, "rejected", "late by\ta day", 0, 6 }, { found.letter, found.original_topic,
      found.original_partition, found.original_offset, found.reason, found.error, found.replays, found.size })
  end)

  it("count tells how many there are of each kind, the most frequent first", function()
    local code, out, err = dlq("count", letters)
    assert.same({ 0, "" }, { code, err })
    local lines = lines_of(out)
    assert.matches("^3\trun_task_with_multiprocessing\terror\t[^\t]*: no good\t0/0$", lines[1])
    assert.equal("1\trun_task_with_multiprocessing\trejected\tlate by\\x09a day\t0/1", lines[2])
    local found = cjson.decode((select(2, dlq("count", pipeline, "--format", "json", "--match", "late"))))
    assert.same({ 1, "rejected", "late by\ta day", "0/1" }, { found.count, found.reason, found.error, found.first })
    assert.matches("^COUNT +STAGE +REASON +ERROR +FIRST\n3 ", (select(2, dlq("count", letters, "--format", "table"))))
    assert.same({ 0, "", "" }, { dlq("count", letters, "--topic", "other") })
  end)

  it("list prints a table with a head, cut to fit", function()
    local _, out = dlq("list", letters, "--format", "table")
    assert.equal(5, #lines_of(out))
    assert.truthy(out:find("^LETTER +FROM +TIMESTAMP +STAGE"))
  end)

  it("list chooses by reason, stage, coordinates, error, number, and by name", function()
    assert.same({ "0/0", "0/2", "0/3" }, places(letters, "--reason", "error"))
    assert.same({ "0/1" }, places(letters, "--match", "a day"))
    assert.same({}, places(letters, "--stage", "produce"))
    assert.same({ "0/1", "0/2" }, places(letters, "--offset", "2-3"))
    assert.same({ "0/3" }, places(letters, "--offset", "5"))
    assert.same({ "0/2", "0/3" }, places(letters, "--offset", "3-"))
    assert.same({ "0/0", "0/1" }, places(letters, "--offset", "-2"))
    assert.same({ "0/0", "0/1" }, places(letters, "--offset=-2"))
    local code, _, err = dlq("list", letters, "--offset", "5-1")
    assert.same({ 64, true }, { code, err:find("--offset 5-1: FROM is above TO", 1, true) ~= nil }, err)
    assert.same({ "0/0", "0/1", "0/2", "0/3" }, places(letters, "--topic", "in", "--partition", "0"))
    assert.same({}, places(letters, "--topic", "other"))
    assert.same({}, places(letters, "--until", "2001-01-01T00:00:00Z"))
    assert.same({ "0/0", "0/1" }, places(letters, "--limit", "2"))
    assert.same({ "0/3" }, places(letters, "0/3", "--reason", "error"))
  end)

  it("show prints a dead letter whole, and its value to the byte", function()
    local code, out = dlq("show", letters, "0/2")
    assert.equal(0, code)
    assert.truthy(out:find("from        in/0/3\n", 1, true), out)
    assert.truthy(out:find("\ntraceback   ", 1, true), out)
    assert.truthy(out:find("\nvalue       bad \\x00\\xff 3\n", 1, true), out)
    assert.equal("bad \0\255 3", (select(2, dlq("show", letters, "0/2", "--value"))))
    local _, json = dlq("show", letters, "0/2", "--format", "json")
    local found = cjson.decode(json)
    assert.equal("bad \0\255 3", base64.decode(found.value))
    assert.equal(66, (dlq("show", letters, "0/9")))
    assert.equal(64, (dlq("show", letters, "--value")))
  end)

  it("drop asks first, remembers what it did, and deletes nothing", function()
    local before = files.read(letters)
    local code, out, err = dlq("drop", letters, "--reason", "rejected", "--dry-run")
    assert.same({ 0, "0/1" }, { code, out:match "^[^\t]+" }, err)
    assert.equal(64, (dlq("drop", letters, "--reason", "rejected"))) -- nobody can be asked
    assert.equal(4, #places(letters))
    code, out, err = dlq("drop", letters, "--reason", "rejected", "--yes")
    assert.same({ 0, "" }, { code, out }, err)
    assert.same({ "0/0", "0/2", "0/3" }, places(letters))
    assert.equal(0, (dlq("drop", letters, "0/0", "0/2", "--yes")))
    assert.same({ "0/3" }, places(letters))
    assert.same({ "0/0", "0/1", "0/2", "0/3" }, places(letters, "--all"))
    assert.equal(before, files.read(letters))
    assert.equal(0, (process.run { PROGRAM, "run", pipeline })) -- the same again, after them
    assert.same({ "0/3", "0/4", "0/5", "0/6", "0/7" }, places(letters))
  end)

  it("replay --dry-run lists dead letters without brokers, which sending needs", function()
    local code, out, err = dlq("replay", letters, "--dry-run")
    assert.same({ 0, 4 }, { code, #lines_of(out) }, err)
    code, out, err = dlq("replay", letters)
    assert.equal("", out)
    assert.same({ 64, true }, { code, err:find("--brokers HOST:PORT", 1, true) ~= nil }, err)
  end)

  it("replay --value wants one dead letter and a file", function()
    local code, _, err = dlq("replay", letters, "0/0", "--dry-run", "--value", "/no/such/file")
    assert.same({ 66, "tidemill: --value: /no/such/file: No such file or directory\n" }, { code, err })
    code, _, err = dlq("replay", letters, "--dry-run", "--value", letters)
    assert.same({ 64, "tidemill: --value: needs one dead letter, and 4 are chosen\n" }, { code, err })
    assert.equal(0, (dlq("replay", letters, "0/0", "--dry-run", "--value", letters)))
  end)

  it("what is remembered of another file of the same name is not used, and a warning says so", function()
    assert.equal(0, (dlq("drop", letters, "--yes")))
    assert.same({}, places(letters))
    for _, away in ipairs { os.remove, function(path) io.open(path, "wb"):close() end } do -- as copytruncate does
      away(letters)
      assert.equal(0, (process.run { PROGRAM, "run", pipeline }))
      local code, out, err = dlq("list", letters)
      assert.same({ 0, 4 }, { code, #lines_of(out) })
      assert.truthy(err:find(letters .. ".processed is of another file that had this name before", 1, true), err)
    end
    assert.equal(0, (dlq("drop", letters, "0/0", "--yes")))
    assert.same({ "0/1", "0/2", "0/3" }, places(letters))
  end)

  it("files are told apart by their first dead letter when both begin with another line", function()
    local function begin(line)
      local file = assert(io.open(letters, "wb"))
      file:write(line)
      file:close()
      assert.equal(0, (process.run { PROGRAM, "run", pipeline }))
    end
    for _, line in ipairs { "# dead letters of today\n", "\n", '{"original_topic":7}\n' } do
      begin(line)
      assert.equal(0, (dlq("drop", letters, "--yes")))
      assert.same({}, places(letters))
      begin(line)
      local code, out, err = dlq("list", letters)
      assert.same({ 0, 4 }, { code, #lines_of(out) }, err)
      assert.truthy(err:find(letters .. ".processed is of another file that had this name before", 1, true), err)
    end
  end)

  it("a file that is moved with its FILE.processed keeps what is remembered of it", function()
    assert.equal(0, (dlq("drop", letters, "0/0", "--yes")))
    local moved = letters .. ".1"
    assert(os.rename(letters, moved))
    assert(os.rename(letters .. ".processed", moved .. ".processed"))
    assert.same({ "0/1", "0/2", "0/3" }, places(moved))
  end)

  it("a FILE.dealt of an older tidemill is refused by an error that names FILE.processed", function()
    assert.equal(0, (dlq("drop", letters, "0/0", "--yes")))
    assert(os.rename(letters .. ".processed", letters .. ".dealt"))
    for _, command in ipairs { "list", "drop" } do
      local code, out, err = dlq(command, letters)
      assert.same({ 65, "" }, { code, out })
      assert.truthy(err:find(letters .. ".dealt: what was replayed and dropped is remembered in " .. letters
        .. ".processed now; rename it", 1, true), err)
    end
    assert(os.rename(letters .. ".dealt", letters .. ".processed"))
    assert.same({ "0/1", "0/2", "0/3" }, places(letters))
  end)

  it("a dead letter of a group names the first of its messages", function()
    local folder = pipeline_file.folder()
    local file = assert(io.open(folder .. "/in", "wb"))
    file:write("1\n2\n3\n4\n5\n6\n")
    file:close()
    local bulks = pipeline_file.write(([[
      local tide = require "tidemill"
      return tide.pipeline "x" {
        tide.file_source { path = "%s/in" },
        tide.reduce { function(all, message) return all .. message.value end, initial_value = "", max_batch_size = 3,
          max_batch_time = "60s" },
        tide.run_task_with_multiprocessing { processes = 1, function() error("no good") end },
        tide.file_sink { path = "/dev/null" },
        dlq = tide.dlq { path = "%s/letters" } }]]):format(folder, folder))
    local code, _, err = process.run { PROGRAM, "run", bulks }
    assert.equal(0, code, err)
    local found = {}
    for i, line in ipairs(lines_of(files.read(folder .. "/letters"))) do
      local letter = cjson.decode(line)
      found[i] = { letter.original_topic, letter.original_partition, letter.original_offset, letter.original_count,
        base64.decode(letter.value) }
    end
    assert.same({ { "in", 0, 0, 3, "123" }, { "in", 0, 3, 3, "456" } }, found)
  end)

  it("lines that are no dead letters are left out, and a message says so", function()
    local file = assert(io.open(letters, "a"))
    file:write('{"torn":\n[]\n')
    file:close()
    local code, out, err = dlq("list", letters)
    assert.same({ 0, 4 }, { code, #lines_of(out) })
    assert.truthy(err:find("2 of 6 records are no dead letters", 1, true), err)
  end)

  it("lines of the right form with fields that are not the engine's are left out", function()
    local file = assert(io.open(letters, "a"))
    for _, line in ipairs { '{"original_topic":5}', '{"original_topic":"in","error":{}}',
      '{"original_topic":"in","headers":[5]}', '{"original_topic":"in","headers":[["!"]]}' } do
      file:write(line, "\n")
    end
    file:write('{"original_topic":"in","headers":5,"attempts":1e999,"original_partition":0.5,',
      '"original_offset":"0x10"}\n')
    file:close()
    for _, verb in ipairs { "list", "show" } do
      local code, out, err = dlq(verb, letters, "--format", "json")
      assert.equal(0, code, err)
      local lines = lines_of(out)
      assert.equal(5, #lines)
      assert.truthy(err:find("4 of 9 records are no dead letters", 1, true), err)
      local last = cjson.decode(lines[5])
      assert.same({ "in", nil, nil, nil }, { last.original_topic, last.attempts, last.original_partition,
        last.original_offset })
    end
    local code, _, err = dlq("replay", letters, "--dry-run")
    assert.equal(0, code, err)
  end)

  it("a wrong command line is explained", function()
    local function says(code, text, ...)
      local seen, _, err = dlq(...)
      assert.equal(code, seen, err)
      assert.truthy(err:find(text, 1, true), err)
    end
    says(66, '"nowhere.jsonl" is no file; if it is a topic, say --brokers', "list", "nowhere.jsonl")
    says(64, '--offset x: must be N, FROM-TO', "list", letters, "--offset", "x")
    says(64, "--since yesterday: must be a moment", "list", letters, "--since", "yesterday")
    says(64, 'dead letter "7": must be PARTITION/OFFSET', "show", letters, "7")
    says(64, "--limit 0: must be a whole number from 1 on", "list", letters, "--limit", "0")
    says(64, "The source names no Kafka", "replay", letters)
    says(64, "unknown option '--reson'", "list", letters, "--reson", "x")
    local none = pipeline_file.write((PIPELINE:format("in", "x"):gsub("dlq = .-}", "")))
    says(78, "the pipeline has no dlq", "list", none)
  end)
end)

describe("a script that kills every worker", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("a script that kills every worker stops at the dlq's limits: 65, with place and cause", function()
    local folder = pipeline_file.folder()
    letters = folder .. "/letters.jsonl"
    local file = assert(io.open(folder .. "/in", "w"))
    file:write(("x\n"):rep(50))
    file:close()
    pipeline = pipeline_file.write(([[
      local tide = require "tidemill"
      local ffi = require "ffi"
      ffi.cdef "int raise(int);"
      return tide.pipeline "x" {
        tide.file_source { path = %q },
        tide.run_task_with_multiprocessing { processes = 1, function() ffi.C.raise(11) end },
        tide.file_sink { path = "/dev/null" },
        dlq = tide.dlq { path = %q, max_consecutive_count = 3 } }]]):format(folder .. "/in", letters))
    local code, _, err = process.run({ PROGRAM, "run", pipeline }, { timeout = 60 })
    assert.equal(65, code, err)
    assert.truthy(err:find("the dlq's max_consecutive_count is reached at in/0/3: 4 of 4 messages", 1, true), err)
    assert.truthy(err:find("4 in a row; the last one: crash: the worker died while it ran this message (SIGSEGV)", 1,
      true), err)
    assert.same({ "0/0", "0/1", "0/2" }, places(letters, "--reason", "crash"))
  end)
end)
