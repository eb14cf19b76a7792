-- SPDX-License-Identifier: MIT
-- The setting trust, and what it makes of the Lua that functions have: the whole program, on files.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

local SPEC = "t" .. "_spec.lua" -- which the pipelines below have beside them

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { %s, processes = 1 }, tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "-" }, %s }]]

-- Runs a pipeline of `functions` over lines, from the folder that it is in. Returns the code, output and log.
local function run(functions, settings, files, input, options)
  files.input = input or "x\n"
  local path, folder = pipeline_file.write(PIPELINE:format(functions, settings), files)
  local argv = { PROGRAM, "run", path, "--input", "input", "--log-level", "warn" }
  for _, argument in ipairs(options and options.argv or {}) do argv[#argv + 1] = argument end
  return process.run(argv, { cwd = folder, env = options and options.env })
end

-- A transform that returns what the text says, which is a list of expressions; for each of them its text.
local function showing(...)
  local shown = {}
  for i, expression in ipairs { ... } do shown[i] = ("tostring((%s))"):format(expression) end
  return "local tide = require 'tidemill'\nreturn function(message)\n  return table.concat({ "
    .. table.concat(shown, ", ") .. " }, ' ')\nend\n"
end

describe("trust", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("trust hardened leaves no library that reaches out of Lua, in a transform nor in the pipeline's own functions",
    function()
    local names = { "ffi", "io", "debug", "jit", "newproxy", "getfenv", "setfenv", "module", "os.execute", "os.exit",
      "os.remove", "os.rename", "os.tmpname", "os.setlocale", "string.dump", "('').dump", "package.loadlib",
      "package.cpath", "package.loaders", "package.searchers", "package.seeall", "package.loaded.io",
      "rawget(_G, 'io')" }
    local wanted = ("nil "):rep(#names):sub(1, -2) .. "\n"
    local transform = showing(unpack(names))
    local code, out, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = transform })
    assert.same({ 0, wanted }, { code, out }, err)
    local inline = transform:match "(function.*end)\n$"
    code, out, err = run(inline, 'trust = "hardened"', {})
    assert.same({ 0, wanted }, { code, out }, err)
    code, out, err = run(inline, "", {}, nil, { argv = { "--trust", "hardened" } })
    assert.same({ 0, wanted }, { code, out }, err)
    code, out, err = run(inline, 'trust = "full"', {})
    assert.same({ 0, false }, { code, out == wanted }, err)
  end)

  it("trust hardened has require for files of Lua alone, which have the same globals", function()
    local code, out, err = run('"t.lua"', 'trust = "hardened"', {
      ["helper.lua"] = "local own = ...\nreturn { name = own, io = io, ffi = pcall(require, 'ffi') }",
      ["t.lua"] = [[
local helper = require "helper"
local texts = {}
for i, name in ipairs { "ffi", "io", "cjson", "jit.util", "tidemill.run.ffi", "debug", "string.buffer", "no.such" } do
  local ok, text = pcall(require, name)
  texts[i] = tostring(ok) .. (text:find("refused", 1, true) and "!" or "?")
end
assert(require "string" == string and require "helper" == helper and package.loaded.helper == helper)
return function(message)
  return table.concat(texts, " ") .. tostring(helper.io) .. tostring(helper.ffi) .. helper.name
end
]] })
    assert.same({ 0, "false! false! false! false! false! false! false? false?nilfalsehelper\n" }, { code, out }, err)
  end)

  it("trust hardened locks metatables that are not the script's own, and the methods of strings", function()
    local code, out, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = [[
local tide = require "tidemill"
function string.upper() return "hijacked" end
local own = setmetatable({}, { __index = function() return "own" end })
return function(message)
  local marks = { getmetatable(""), getmetatable(message), getmetatable(message.json), getmetatable(message.headers),
    getmetatable(tide), getmetatable(tide.drop), getmetatable(message:copy()), getmetatable(message.json.big) }
  for i, mark in ipairs(marks) do assert(mark == false, i) end
  assert(#marks == 8 and own.x == "own" and getmetatable(own).__index)
  assert(not pcall(setmetatable, message, {}) and not pcall(setmetatable, message.json, {}))
  message.json.up = ("x"):upper()
  return message
end
]] }, '{"big":12345678901234567890123}\n')
    assert.same({ 0, '{"big":12345678901234567890123,"up":"X"}\n' }, { code, out }, err)
  end)

  it("trust hardened hands out no cdata, whatever a script looks at", function()
    local code, out, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = [[
local tide = require "tidemill"
local seen_cache, count_cache = {}, 0
local function look(value, path)
  assert(type(value) ~= "cdata", path)
  if type(value) ~= "table" or seen_cache[value] then return end
  seen_cache[value], count_cache = true, count_cache + 1
  for key, item in rawpairs(value) do
    look(key, path .. "/key")
    look(item, path .. "/" .. tostring(key))
  end
end
function rawpairs(t) -- what is really in a table, also where pairs asks a metamethod
  local keys, key = {}, nil
  repeat
    local ok, following = pcall(next, t, key)
    key = ok and following or nil
    keys[#keys + 1] = key
  until key == nil
  local i = 0
  return function() i = i + 1 if keys[i] ~= nil then return keys[i], rawget(t, keys[i]) end end
end
local function all(...) look({ ... }, "results") return ... end
return function(message)
  look(_G, "_G")
  all(message, message.value, message.key, message.headers, message.topic, message.partition, message.offset,
    message.timestamp, message.json, message:header "a", message.headers[1])
  local json, copy = message.json, message:copy()
  all(json.int, json.natural, json.big, json.list, json.list[1], json.object)
  all(copy.json, copy.json.int, copy.headers, copy)
  all(tide.json.each(json))
  all(pairs(json))
  for key, value in tide.json.each(json) do all(key, value) end
  for key, value in pairs(json) do all(key, value) end
  all(tide.json.table(json), tide.json.table('{"a":9223372036854775807,"b":[18446744073709551615]}'))
  all(tide.time.now "ns", tide.time.now "us", tide.time.parse("2026-01-31T12:00:00Z", "ns"),
    tide.time.convert(1, "s", "ns"), tide.hash.xxhash64 "x", tide.hash.crc32c "x", tide.null, tide.drop)
  all(tide.msgpack.decode(tide.msgpack.encode { json.int, json.natural }), tide.msgpack.bin "x")
  all(tide.unpack(tide.pack { message, copy }), tide.many { copy }, tide.reject "x", tide.array {})
  all(pcall(load, "return 1LL"))
  all(pcall(function() return message.json.int + 1 end))
  json.seen = count_cache > 20
  return message
end
]] }, '{"int":9223372036854775807,"natural":18446744073709551615,"big":123456789012345678901234567890,"list":[{}],'
      .. '"object":{"a":1}}\n')
    assert.equal("", err)
    assert.equal(0, code)
    assert.matches('"seen":true}\n$', out)
  end)

  it("trust hardened keeps a view and a message in their bounds, whatever a script writes into them", function()
    local code, out, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = [[
local tide = require "tidemill"
local cache
return function(message)
  local view = message.json
  assert(not pcall(next, view) and not pcall(next, message))
  for _, wrong in ipairs { 0/0, 1/0, -1, 1.5, "x" } do
    assert(not pcall(rawset, view, 1, wrong) and not pcall(rawset, message, "serial", wrong))
    assert(not pcall(function() message.serial = wrong end))
    assert(not pcall(function() return view[wrong].x end))
  end
  if cache then
    assert(not pcall(function() return cache[1].a end) and not pcall(function() return cache[2].value end))
  end
  cache = { view, message }
  return tostring(view.a)
end
]] }, '{"a":1}\n{"a":1}\n')
    assert.equal("", err)
    assert.same({ 0, "1\n1\n" }, { code, out })
  end)

  it("trust hardened tells what to use where a view is given to a function for tables", function()
    local code, out, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = [[
local calls = { function(v) return table.concat(v, ",") end, function(v) return next(v) end,
  function(v) table.insert(v, 1) end, function(v) table.sort(v) end, function(v) return unpack(v) end }
return function(message)
  local texts = {}
  for i, call in ipairs(calls) do
    local _, text = pcall(call, message.json.list)
    texts[i] = tostring(text):match "bad argument #1 to '(%w+)' %(table expected" or text
  end
  return table.concat(texts, " ")
end
]] }, '{"list":[1]}\n')
    assert.same({ 0, "concat next insert sort unpack\n", "" }, { code, out, err })
  end)

  it("trust hardened refuses bytecode, and literals of cdata, with the line", function()
    local code, _, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] = string.dump(function(m) return m end) })
    assert.equal(78, code)
    assert.matches("t%.lua: this is bytecode", err)
    code, _, err = run('"t.lua"', 'trust = "hardened"', { ["t.lua"] =
      "local a = 1\n\nlocal function f() return { 1LL } end\nreturn function(m) return m end" })
    assert.equal(78, code)
    assert.matches("t%.lua: in the function of line 3: there are no numbers with LL", err)
  end)

  it("trust standard loads no bytecode either, trust full does", function()
    local files = { ["t.lua"] = string.dump(function() return function(m) return m end end) }
    local code, _, err = run('"t.lua"', "", files)
    assert.equal(78, code)
    assert.matches("t%.lua: this is bytecode", err)
    local out
    code, out = run('"t.lua"', 'trust = "full"', files)
    assert.same({ 0, "x\n" }, { code, out })
    local loading = "local code = string.dump(function() end)\n"
      .. "return function(m) return tostring(load(code) ~= nil) .. tostring(load 'return 1' ~= nil) end"
    assert.equal("falsetrue\n", select(2, run('"t.lua"', "", { ["t.lua"] = loading })))
    assert.equal("truetrue\n", select(2, run('"t.lua"', 'trust = "full"', { ["t.lua"] = loading })))
  end)

  it("trust hardened has globals for each file that begin with those of the pipeline file", function()
    local path, folder = pipeline_file.write("limit = 5\nfunction twice(x) return tostring(io) .. 2 * x end\n"
      .. PIPELINE:format('"a.lua", "b.lua"', 'trust = "hardened"'), { input = "x\n",
      ["a.lua"] = "local was = limit\nlimit = 6\nreturn function(m) return m.value .. twice(was) end",
      ["b.lua"] = "return function(m) return m.value .. limit end" })
    local code, out, err = process.run({ PROGRAM, "run", path, "--input", "input", "--log-level", "warn" },
      { cwd = folder })
    assert.same({ 0, "xnil105\n" }, { code, out }, err)
  end)

  describe("lets functions see", function()
    local TRANSFORM = { ["t.lua"] = "local tide = require 'tidemill'\nlocal named = tide.env('TIDE_SPEC_A', 'none')\n"
      .. "return function(m) return named .. tostring(os.getenv 'TIDE_SPEC_A') end" }
    local SET = { env = { TIDE_SPEC_A = "set" } }

    it("lets functions see the environment variables that the pipeline names, under each level", function()
      for _, level in ipairs { "standard", "hardened" } do
        local settings = ('trust = "%s", env = { "TIDE_SPEC_A" }'):format(level)
        local code, out, err = run('"t.lua"', settings, TRANSFORM, nil, SET)
        assert.same({ 0, "setset\n", "" }, { code, out, err })
      end
      assert.equal("setset\n", select(2, run('"t.lua"', 'trust = "full"', TRANSFORM, nil, SET)))
    end)

    it("lets functions see no other, and says so where one is asked for that is set", function()
      local code, _, err = run('"t.lua"', "", TRANSFORM, nil, SET)
      assert.equal(78, code)
      assert.matches('t%.lua:2: tide%.env: the variable TIDE_SPEC_A is set, but functions see only those that the '
        .. 'pipeline names: env = { "TIDE_SPEC_A" }', err)
      assert.equal("nonenil\n", select(2, run('"t.lua"', "", TRANSFORM)))
      local quiet = { ["t.lua"] = "return function(m) return tostring(os.getenv 'TIDE_SPEC_A') end" }
      code, _, err = run('"t.lua"', "", quiet, "x\ny\n", SET)
      assert.equal(0, code)
      assert.equal(1, select(2, err:gsub("os%.getenv: the variable TIDE_SPEC_A is set, but", "")), err)
    end)
  end)

  it("trust is shown by plan and taken by check, test and try", function()
    local path, folder = pipeline_file.write(PIPELINE:format('"t.lua"', ""),
      { ["t.lua"] = showing("tostring(io ~= nil)"), [SPEC] = [[
local testing = require "tidemill.testing"
describe("t", function()
  after_each(testing.close)
  it("shows", function()
    print(testing.pipeline("p.lua"):feed("x"):values()[1], testing.transform("t.lua"):feed("x"):values()[1])
  end)
end)]] })
    local function output(...)
      local code, out, err = process.run({ PROGRAM, ... }, { cwd = folder, stdin = "/dev/null" })
      assert.equal(0, code, err)
      return out
    end
    assert.matches("trust +standard  %(default%)", output("plan", path))
    assert.matches("trust full", output("check", path, "--trust", "full"))
    assert.matches("trust standard", output("check", path))
    assert.matches("true\ttrue", output("test", SPEC))
    assert.matches("false\tfalse", output("test", "--trust", "hardened", SPEC))
    local file = assert(io.open(folder .. "/lines", "w"))
    file:write("x\n")
    file:close()
    assert.matches("false", output("try", path, "--trust", "hardened", "--input", "lines"))
  end)
end)
