-- SPDX-License-Identifier: MIT
-- A file that a pipeline reads, or writes as something else, is not written over: refused before anything is opened.
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path
local INPUT = "one\ntwo\n"

local function pipeline_of(source, sink, dlq)
  return ([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.file_source { path = %q },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 },
  tide.file_sink { path = %q },
  dlq = tide.dlq { path = %q } }
]]):format(source, sink, dlq)
end

local path, folder

local function write(name, text)
  local file = assert(io.open(folder .. "/" .. name, "wb"))
  file:write(text)
  file:close()
end

-- A pipeline in a new folder, its files named by what they hold in `places`.
local function new(places)
  path, folder = pipeline_file.write("", { ["t.lua"] = "return function() error 'bad' end", ["in"] = INPUT })
  local full = {}
  for i, name in ipairs(places) do full[i] = folder .. "/" .. name end
  write("p.lua", pipeline_of(unpack(full)))
end

-- Refused with 78 and a text that names both; nothing was written.
local function assert_refused(words, ...)
  local before = files.read(folder .. "/p.lua")
  local script = ('cd "%s" && exec "%s" "$@"'):format(folder, PROGRAM)
  local code, _, text = process.run { "/bin/sh", "-c", script, "sh", ... }
  assert.equal(78, code, text)
  for _, word in ipairs(words) do assert.is_truthy(text:find(word, 1, true), word .. " in " .. text) end
  assert.equal(INPUT, files.read(folder .. "/in"))
  assert.equal(before, files.read(folder .. "/p.lua"))
end

describe("one file twice in a pipeline", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("one file twice in a pipeline is refused by check and by run: dead letters into the input, or into"
    .. " the output", function()
    for _, verb in ipairs { "check", "run" } do
      new { "in", "out", "in" }
      assert_refused({ "the dlq's file", "file_source", "which is read" }, verb, "p.lua")
      new { "in", "out", "out" }
      assert_refused({ "the dlq's file", "file_sink", "both are written" }, verb, "p.lua")
      new { "in", "in", "letters" }
      assert_refused({ "file_sink", "file_source" }, verb, "p.lua")
    end
  end)

  it("one file twice in a pipeline is found under another name: a hard link, a symbolic one, one that"
    .. " leads nowhere yet, another folder", function()
    new { "in", "linked", "letters" }
    assert(os.execute(("ln %s/in %s/linked"):format(folder, folder)) == 0)
    assert_refused({ "file_sink" }, "check", "p.lua")
    new { "in", "linked", "letters" }
    assert(os.execute(("ln -s in %s/linked"):format(folder)) == 0)
    assert_refused({ "file_sink" }, "check", "p.lua")
    new { "in", "out", "later" }
    assert(os.execute(("ln -s out %s/later"):format(folder)) == 0)
    assert_refused({ "both are written" }, "check", "p.lua")
    new { "in", "out", "sub/../out" }
    assert(os.execute(("mkdir %s/sub"):format(folder)) == 0)
    assert_refused({ "both are written" }, "check", "p.lua")
  end)

  it("one file twice in a pipeline is refused on the command line: the input, the pipeline, the"
    .. " transform, the report", function()
    new { "in", "out", "letters" }
    assert_refused({ '--output "in"', '--input "in"' }, "run", "p.lua", "--input", "in", "--output", "in")
    assert_refused({ '--output "p.lua"', "the pipeline file" }, "run", "p.lua", "--input", "in", "--output", "p.lua")
    assert_refused({ '--output "t.lua"', "the transform" }, "run", "p.lua", "--input", "in", "--output", "t.lua")
    assert_refused({ '--report "in"', "file_source" }, "run", "p.lua", "--report", "in")
    assert_refused({ '--report "out"', "file_sink" }, "run", "p.lua", "--report", "out")
    assert_refused({ '--dead-letters "in"' }, "run", "p.lua", "--input", "in", "--dead-letters", "in")
    assert_refused({ '--out "in"', '--input "in"' }, "record", "p.lua", "--input", "in", "--out", "in")
    assert_refused({ '--out "t.lua"', "the transform" }, "record", "p.lua", "--input", "in", "--out", "t.lua")
  end)

  it("one file twice in a pipeline is refused when it is a module of the pipeline, or of a transform,"
    .. " or of another module", function()
    new { "in", "out", "letters" }
    write("p.lua", 'local first = require "first"\n' .. files.read(folder .. "/p.lua"))
    write("t.lua", "local second = require('lib.second') return function() error 'bad' end")
    write("first.lua", "return {}")
    assert(os.execute(("mkdir -p %s/lib/third"):format(folder)) == 0)
    write("lib/second.lua", 'return { third = require "lib.third" }')
    write("lib/third/init.lua", "return {}")
    for _, name in ipairs { "first.lua", "lib/second.lua", "lib/third/init.lua" } do
      local before = files.read(folder .. "/" .. name)
      local full = ('the module "./%s"'):format(name)
      assert_refused({ '--output "' .. name, full }, "run", "p.lua", "--input", "in", "--output", name)
      assert_refused({ '--report "' .. name, full }, "run", "p.lua", "--report", name)
      assert_refused({ '--out "' .. name, full }, "record", "p.lua", "--input", "in", "--out", name)
      assert.equal(before, files.read(folder .. "/" .. name))
    end
    local code, _, text = process.run { PROGRAM, "run", path, "--output", folder .. "/other.lua" }
    assert.equal(0, code, text)
  end)

  it("one file twice in a pipeline is found behind a standard stream", function()
    new { "in", "out", "letters" }
    local function shell(redirect)
      return { "/bin/sh", "-c", ('cd "%s" && exec "%s" run p.lua --input in %s'):format(folder, PROGRAM, redirect) }
    end
    for _, redirect in ipairs { "--output - >> in", "--output both --dead-letters - 2>> both", "2>> in" } do
      local code, _, text = process.run(shell(redirect))
      assert.equal(78, code, redirect .. text)
    end
    write("in", INPUT) -- which has what the log said
    for _, verb in ipairs { "run p.lua --input - --output in", "record p.lua --input - --out in" } do
      local command = ('cd "%s" && exec "%s" %s < in'):format(folder, PROGRAM, verb)
      local code, _, text = process.run { "/bin/sh", "-c", command }
      assert.equal(78, code, verb .. text)
      assert.is_truthy(text:find('--input "-", which is read', 1, true), text)
      assert.equal(INPUT, files.read(folder .. "/in"))
    end
    local code, _, text = process.run(shell("--output - --dead-letters - > both 2>&1")) -- as a terminal has it
    assert.equal(0, code, text)
  end)

  it("one file twice in a pipeline may be one that holds nothing, as /dev/null", function()
    new { "in", "out", "letters" }
    write("p.lua", pipeline_of(folder .. "/in", "/dev/null", "/dev/null"))
    local code, _, text = process.run { PROGRAM, "run", path, "--report", "/dev/null" }
    assert.equal(0, code, text)
  end)
end)
