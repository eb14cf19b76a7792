-- SPDX-License-Identifier: MIT
-- tide.log, tide.metric and tide.env, where functions run: in workers.
local ffi = require "ffi"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local child = require "spec.support.child"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

describe("in a worker", function()
  local test

  local function transform(fn, processes, settings)
    test = testing.steps({ tide.run_task_with_multiprocessing { fn, processes = processes or 1, max_batch_size = 2 } },
      { settings = settings })
    return test
  end

  after_each(function()
    if test then test:close() end
    test = nil
    child.stop_all()
  end)

  it("tide.metric counts, over all workers, into the metrics as script.NAME", function()
    transform(function(m)
      tide.metric.count "seen"
      tide.metric.count("bytes", #m.value)
      tide.metric.gauge("level", 3)
      tide.metric.timing("took", m.offset)
      return m
    end, 2)
    test:feed("a", "bb", "ccc", "dddd")
    local metrics = test:metrics()
    assert.equal(4, metrics["script.seen"])
    assert.equal(10, metrics["script.bytes"])
    assert.same({ 4, 6, 0, 3 }, { metrics["script.took"].count, metrics["script.took"].sum,
      metrics["script.took"].min, metrics["script.took"].max })
    assert.is_true(metrics["script.level"].last == 3 or metrics["script.level"].last == 6)
  end)

  it("tide.metric costs no message: what cannot be counted is dropped, counted, and told once", function()
    local function run(m)
      if m.value == "many" then for i = 1, 66 do tide.metric.count("n" .. i) end end
      if m.value == "name" then
        tide.metric.count "a b"
        tide.metric.gauge(nil, 1)
        tide.metric.count(("x"):rep(48))
      end
      if m.value == "kind" then tide.metric.gauge("n1", 1) end
      if m.value == "value" then
        for _, value in ipairs { "x", 0 / 0, math.huge, -1, {} } do tide.metric.count("n1", value) end
        tide.metric.timing "n2"
      end
      tide.metric.count("n1", 2LL)
      return m
    end
    local code, _, log = child.run(function()
      transform(run)
      test:feed("many", "name", "kind", "value", "many", "name", "kind", "value"):finish()
      assert.produces(test, { "many", "name", "kind", "value", "many", "name", "kind", "value" })
      local metrics = test:metrics()
      assert.equal(8 * 2 + 2, metrics["script.n1"])
      assert.equal(2 * (2 + 3 + 1 + 6), metrics["consumer.script_metrics.dropped"])
      test:close()
    end)
    assert.equal(0, code, log)
    for _, problem in ipairs { "a name has up to 47", "64 names already", "another kind", "no number" } do
      local _, count = log:gsub("library_spec%.lua:%d+: tide%.metric%.%l+ of \"[^\n]*" .. problem, "")
      assert.equal(1, count, log)
    end
  end)

  it("tide.metric costs no message when two steps use a name for two kinds; the first keeps it", function()
    local code, _, log = child.run(function()
      test = testing.steps {
        tide.run_task_with_multiprocessing { processes = 1, function(m)
          tide.metric.count "both"
          return m
        end },
        tide.run_task_with_multiprocessing { processes = 1, function(m)
          tide.metric.gauge("both", 3)
          return m
        end },
      }
      test:feed("a", "b")
      for _ = 1, 2 do assert.equal(2, test:metrics()["script.both"]) end
      test:close()
    end)
    assert.equal(0, code, log)
    assert.equal(1, select(2, log:gsub('tide%.metric: "both" is a count in one worker and a gauge in another', "")))
  end)

  it("tide.log costs no message, whatever it is given", function()
    local code, _, log = child.run(function()
      transform(function(m)
        tide.log.info("%d of %d", "x")
        tide.log.info("%y", 1)
        tide.log.info(setmetatable({}, { __tostring = function() error "mine" end }))
        tide.log.info(setmetatable({}, { __tostring = function() return 5 end }))
        tide.log.info()
        tide.log.info("%s and %s", {}, nil)
        tide.log.info "before\0behind"
        tide.log.info(("ä"):rep(5000))
        return m
      end)
      test:feed "a"
      assert.produces(test, { "a" })
      test:close()
    end)
    assert.equal(0, code, log)
    for _, line in ipairs { "%d of %d x (", "%y 1 (", "a table without text", "nil\n", "before\\x00behind\n",
      "table: 0x" } do
      assert.truthy(log:find(line, 1, true), line .. "\n" .. log)
    end
    assert.truthy(log:find(("ä"):rep(4000) .. "\n", 1, true))
  end)

  it("texts of rejections and errors are whole, with a NUL in them too", function()
    transform(function(m)
      if m.value == "reject" then return tide.reject "bad\0x" end
      if m.value == "long" then return tide.reject(("ä"):rep(2000)) end
      error "worse\0y"
    end)
    test:feed("reject", "error", "long")
    local rejects = test:rejects()
    assert.equal("bad\\x00x", rejects[1].error)
    assert.is_nil(rejects[1].traceback)
    assert.matches("library_spec%.lua:%d+: worse\\x00y$", rejects[2].error)
    assert.matches("^stack traceback:\n", (rejects[2].traceback:gsub("^%s+", "")))
    assert.equal(("ä"):rep(750), rejects[3].error)
  end)

  it("integers beyond 2^53 are written by their digits: joined, by tostring, as a key", function()
    transform(function(m)
      local id, number = m.json.id, m.json.number
      m.key = id
      m.headers = { { "text", tide.json.text(id) }, { "tostring", tostring(id) }, { "join", "user-" .. id },
        { "join", id .. "-" .. id .. number }, { "format", ("%s"):format(id) }, { "number", tide.json.text(number) } }
      return tide.many { m, { key = number } }
    end)
    for _, id in ipairs { "9007199254740993", "-9007199254740993", "18446744073709551615" } do
      test:feed(('{"id":%s,"number":1700000000000123}'):format(id))
    end
    local results = test:results()
    assert.equal(6, #results)
    for i, id in ipairs { "9007199254740993", "-9007199254740993", "18446744073709551615" } do
      local one, other = results[2 * i - 1], results[2 * i]
      assert.equal(id, one.key)
      assert.same({ { "text", id }, { "tostring", id }, { "join", "user-" .. id },
        { "join", id .. "-" .. id .. "1.7000000000001e+15" }, { "format", id }, { "number", "1700000000000123" } },
        one.headers)
      assert.equal("1700000000000123", other.key)
    end
  end)

  it("errors about values and keys say how a number is written", function()
    transform(function(m)
      if m.value == "value" then m.value = 5 end
      if m.value == "key" then m.key = 0 / 0 end
      if m.value == "table" then m.value = {} end
      if m.value == "{}" then m.json.x = { print } end
      if m.value == "json" then m.json = { print } end
    end)
    test:feed("value", "key", "table", "{}", "json")
    assert.rejects(test, { "library_spec.lua:%d+: message.value takes a string or nil, got a number; tide.json.text",
      "message.key takes a string, a number or nil, got a number", "got a table; tide.json.encode",
      "library_spec.lua:%d+: .*function has no JSON", "library_spec.lua:%d+: .*function has no JSON" })
  end)

  it("math.random differs in the file, in init, in each worker and in each run", function()
    local path, seen = os.tmpname(), {}
    local file = assert(io.open(path, "w"))
    file:write([[
      local at_file, at_init = math.random(2 ^ 31), nil
      return { init = function() at_init = math.random(2 ^ 31) end,
        process = function() return ("%d %d %d"):format(at_file, at_init, math.random(2 ^ 31)) end }
    ]])
    file:close()
    for _ = 1, 3 do
      transform(path)
      test:feed "a"
      for number in test:values()[1]:gmatch "%d+" do
        assert.is_nil(seen[number])
        seen[number] = true
      end
      test:close()
    end
    os.remove(path)
  end)

  it("a transform is refused when it names a module whose library is not there", function()
    local missing_libraries = require "tidemill.run.missing_libraries"
    missing_libraries.add("zstd", "tide.zstd needs libzstd.so.1: install the Debian package libzstd1")
    local ok, problem = pcall(transform, function(m)
      return tide.zstd.compress(m.value)
    end)
    local other = transform(function(m) return m.value .. "zstd" end)
    missing_libraries.add("zstd", nil)
    assert.is_false(ok)
    assert.matches("library_spec.lua:%d+: tide.zstd needs libzstd.so.1: install the Debian package libzstd1", problem)
    other:feed "a"
    assert.produces(other, { "azstd" })
  end)

  it("the library is open before a function takes all file descriptors", function()
    ffi.cdef "int setrlimit(int resource, const uint64_t limits[2]);"
    transform(function(m)
      local NOFILE, files = 7, {}
      ffi.C.setrlimit(NOFILE, ffi.new("uint64_t[2]", 64, 64))
      repeat files[#files + 1] = io.open "/dev/null" until #files > 64 or not io.open "/dev/null"
      if io.open "/dev/null" then return "there are file descriptors left" end
      local text = tide.zstd.decompress(tide.zstd.compress(m.value)) .. tide.gzip.decompress(tide.gzip.compress "b")
        .. tide.regex.gsub("x", "x", "c") .. tide.msgpack.decode(tide.msgpack.encode "d") .. tide.base64.encode "e"
        .. tide.hash.sha256(""):sub(1, 1) .. tide.hash.hex(tide.hash.xxhash64 ""):sub(1, 1) .. tide.time.format(0)
      return text
    end, 1, { trust = "full" })
    test:feed "a"
    assert.produces(test, { "abcdZQ==ee1970-01-01T00:00:00.000Z" })
  end)

  it("tide.env of a variable that is not set and has no default is an error", function()
    transform(function(m)
      if m.value == "nil" then return tostring(tide.env("TIDE_NOT_SET_ANYWHERE", nil)) end
      return tide.env "TIDE_NOT_SET_ANYWHERE"
    end, 1)
    test:feed("nil", "a")
    assert.produces(test, { "nil" })
    assert.rejects(test, { "error: .*library_spec.lua:%d+: tide.env: the variable TIDE_NOT_SET_ANYWHERE is not set, " })
  end)

  it("tide.env is the variable itself, and tide.log writes to the log", function()
    transform(function()
      tide.log.debug("%s is not shown at this level", "debug")
      return (tide.env "HOME" or "") .. tide.env("TIDE_NOT_SET_ANYWHERE", "default")
    end, 1, { env = { "HOME" } })
    test:feed("a")
    assert.produces(test, { os.getenv "HOME" .. "default" })
  end)
end)

describe("a module whose library is not there", function()
  local program = require("spec.support.program").path

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function names(transform, more)
    local files = more or {}
    files["in"], files["transform.lua"] = "x\n", transform
    local path, folder = pipeline_file.write([[
local missing_libraries = require "tidemill.run.missing_libraries"
missing_libraries.add("zstd", "tide.zstd needs libzstd.so.1: install the Debian package libzstd1")
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "transform.lua", processes = 1 }, tide.file_sink { path = "-" } }]], files)
    return path, folder
  end

  local function assert_refused(place, path, folder)
    for _, verb in ipairs { "check", "run" } do
      local code, out, err = process.run({ program, verb, path }, { cwd = folder })
      assert.equal(78, code, err)
      assert.matches(place .. ": tide.zstd needs libzstd.so.1: install the Debian package libzstd1", err)
      assert.equal("", out)
    end
  end

  it("a module whose library is not there is told by check and by run, before the first message, with"
    .. " the line of the transform", function()
    assert_refused("transform%.lua:2",
      names "return function(m)\n  return require('tidemill').zstd.compress(m.value)\nend")
  end)

  it("a module whose library is not there is told when a module names it that the transform requires", function()
    assert_refused("helper%.lua:1", names("return require 'helper'",
      { ["helper.lua"] = "return function(m) return require('tidemill').zstd.compress(m.value) end" }))
  end)

  it("a module whose library is not there stops nothing that does not name it", function()
    local path, folder = names "return function(m) return m.value .. 'zstd' end"
    local code, out = process.run({ program, "run", path, "--input", "in" }, { cwd = folder })
    assert.same({ 0, "xzstd\n" }, { code, out })
  end)
end)
