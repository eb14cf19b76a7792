-- SPDX-License-Identifier: MIT
-- The first hour: tidemill new, test, run, record, and a spec that replays what was recorded.
local pipeline_file = require "spec.support.pipeline_file"
local testing = require "tidemill.testing"

local program = ("'%s' "):format(require("spec.support.program").path) -- a folder may have a space

-- Exit code and output of a command line in a folder.
local function run(folder, line)
  line = line:gsub("tidemill ", program)
  local pipe = io.popen(("cd '%s' && { %s; } 2>&1; echo \"code=$?\""):format(folder, line))
  local text = pipe:read "*a"
  pipe:close()
  local out, code = text:match "^(.*)code=(%d+)\n$"
  return tonumber(code), out
end

describe("a new pipeline", function()
  local folder

  before_each(function() folder = pipeline_file.folder() end)
  after_each(pipeline_file.remove_all)

  it("a new pipeline passes its own spec at once, checks, and runs", function()
    local code, out = run(folder, "tidemill new first-one")
    assert.equal(0, code, out)
    assert.matches("cd first%-one\n  tidemill test\n", out)
    code, out = run(folder .. "/first-one", "tidemill test")
    assert.equal(0, code, out)
    assert.matches("3 successes / 0 failures", out)
    code, out = run(folder .. "/first-one", "tidemill check pipeline.lua")
    assert.equal(0, code, out)
    code, out = run(folder .. "/first-one",
      [[tidemill run pipeline.lua --input messages.jsonl --log-level error]])
    assert.same({ 0, '{"level":"info","text":"to try it with","seen":true}\n' }, { code, out })
    code, out = run(folder .. "/first-one",
      [[printf 'null\n5\n{}\r\n' | tidemill run pipeline.lua --input - --log-level error]])
    assert.same({ 0, 'null\n5\n{"seen":true}\r\n' }, { code, out })
  end)

  it("a new pipeline fails `tidemill test` when a spec fails, names what is not there", function()
    run(folder, "tidemill new one")
    run(folder .. "/one", "echo 'return function(m) return m end' >transform.lua")
    local code, out = run(folder .. "/one", "tidemill test spec/transform_spec.lua")
    assert.equal(65, code, out)
    code, out = run(folder .. "/one", "tidemill test --filter whole")
    assert.equal(0, code, out)
    code, out = run(folder, "tidemill test nowhere_spec.lua")
    assert.same({ 66, true }, { code, out:find "nowhere_spec.lua: No such file" ~= nil })
  end)

  it("a new pipeline is tested by several specs, from its folder and from the one above", function()
    run(folder, "tidemill new one; cp one/spec/transform_spec.lua one/spec/second_spec.lua")
    local code, out = run(folder .. "/one", "tidemill test")
    assert.same({ 0, true }, { code, out:find("6 successes / 0 failures / 0 errors", 1, true) ~= nil }, out)
    code, out = run(folder, "tidemill test one/spec")
    assert.same({ 0, true }, { code, out:find("6 successes / 0 failures / 0 errors", 1, true) ~= nil }, out)
    run(folder, "rm one/transform.lua")
    code, out = run(folder, "tidemill test one/spec/transform_spec.lua")
    assert.same({ 65, true }, { code, out:find("0 successes / 0 failures / 3 errors", 1, true) ~= nil }, out)
  end)

  it("a new pipeline is a failure without any test, and says what a spec is", function()
    run(folder, "mkdir none some; echo 'local x = 1' >some/x_spec.lua; echo 'x x' >some/broken.lua")
    for _, arguments in ipairs { "none", "some", "some --filter nothing" } do
      local code, out = run(folder, "tidemill test " .. arguments)
      assert.same({ 64, true }, { code, out:find("tidemill: no test ran: ", 1, true) ~= nil }, out)
    end
    assert.equal(65, (run(folder, "tidemill test some/broken.lua")))
  end)

  it("a new pipeline needs busted, and says where it is", function()
    local argparse = package.searchpath("argparse", package.path)
    local code, out = run(folder, ("mkdir spec only; cp '%s' only; LUA_PATH=\"$PWD/only/?.lua\" tidemill test"):format(
      argparse))
    assert.same({ 69, true }, { code, out:find("install the Debian package lua-busted", 1, true) ~= nil }, out)
  end)

  it("a new pipeline shows where results differ, JSON by value, and what was rejected", function()
    run(folder, "tidemill new one")
    local file = io.open(folder .. "/one/spec/transform_spec.lua", "w")
    file:write([[
local testing = require "tidemill.testing"
describe("x", function()
  after_each(testing.close)
  local function fed(...)
    return testing.transform(function(m) if m.value == "no" then error "because" end return m end):feed(...)
  end
  it("by value", function() assert.produces(fed('{ "a":1,"b":[1, 2] }'), { '{"b":[1,2],"a":1}' }) end)
  it("differs", function() assert.produces(fed('{"a":{"b":[1,2]}}'), { '{"a":{"b":[1,3]}}' }) end)
  it("kind", function() assert.produces(fed('{"a":[]}'), { '{"a":{}}' }) end)
  it("count", function() assert.produces(fed("no", "x"), { "no", "x" }) end)
  it("key", function() assert.produces(fed({ value = "x", key = "k" }), { { value = "x", key = "l" } }) end)
end)
]])
    file:close()
    local code, out = run(folder .. "/one", "tidemill test")
    assert.equal(65, code, out)
    assert.matches("1 success / 4 failures / 0 errors", out)
    for _, text in ipairs { "result 1.a.b.2 is 2, expected 3", "result 1.a is [], expected {}",
      "1 results, expected 2", 'rejected:\n  1: "error: ', "because", 'result 1.key is "k", expected "l"' } do
      assert.is_truthy(out:find(text, 1, true), text .. "\n" .. out)
    end
  end)

  it("a new pipeline is not written over what is there, nor under a name that is none", function()
    assert.equal(0, (run(folder, "tidemill new one")))
    assert.equal(66, (run(folder, "tidemill new one")))
    assert.equal(64, (run(folder, "tidemill new ../one")))
  end)
end)

describe("tidemill record", function()
  after_each(pipeline_file.remove_all)

  it("tidemill record takes messages of the source to a file that a spec replays", function()
    local path, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.run_task { function(m) return m.value .. "!" end } }',
      { ["in.txt"] = "one\ntw\"o\n\255\nfour\nfive\n" })
    local code, out = run(folder, "tidemill record p.lua --count 4 --out r.jsonl")
    assert.equal(0, code, out)
    assert.equal("4 messages in r.jsonl, as many as --count says\n", out)
    local test = testing.pipeline(path)
    test:replay(folder .. "/r.jsonl")
    assert.produces(test, { "one!", 'tw"o!', "\255!", "four!" })
    test:close()
    code, out = run(folder, "tidemill record p.lua --match o --partition 0 --count 2 --out r2.jsonl; cat r2.jsonl")
    assert.equal(0, code, out)
    assert.equal("2 messages in r2.jsonl, as many as --count says\n"
      .. '{"topic":"in.txt","key":null,"headers":[],"value":"one"}\n'
      .. '{"topic":"in.txt","key":null,"headers":[],"value":"tw\\"o"}\n', out)
    code, out = run(folder, "tidemill record p.lua --partition 1 --out r2.jsonl")
    assert.same({ 0, "0 messages in r2.jsonl\n" }, { code, out })
    code, out = run(folder, "tidemill record p.lua --count 1 --out - && [ ! -e - ]")
    assert.equal(0, code)
    assert.equal(1, select(2, out:gsub('"value":', "")))
    assert.is_nil(out:find("messages in", 1, true))
    assert.equal(64, (run(folder, "tidemill record p.lua --latest --input in.txt")))
    assert.equal(64, (run(folder, "tidemill record p.lua --count 0")))
    assert.equal(78, (run(folder, "tidemill record p.lua --count 1 --out no/where")))
  end)
end)

describe("tidemill run --input-format json", function()
  after_each(pipeline_file.remove_all)

  it("tidemill run --input-format json reads what record and --output-format json wrote: key, headers,"
    .. " bytes", function()
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.filter { function(m) return m.key ~= "drop" end },\n'
      .. 'tide.file_sink { path = "out.txt", format = "json" }, dlq = tide.dlq { path = "dead.json" } }', {
        ["in.txt"] = '{"key":"k","value":"a\\nb",'
          .. '"headers":[{"name":"h","value":null},{"name":"h","value_base64":"/w=="}]}\n'
          .. '{"topic":"t","key_base64":"/w==","headers":[],"value":null}\n{"key":"drop","value":"x"}\n'
          .. '{"level":"info"}\n5\nbroken\n' })
    local code, out = run(folder, "tidemill run p.lua --input in.txt --input-format json --output-format json "
      .. "--log-level error --dead-letters dead")
    assert.equal(0, code, out)
    local wanted = '{"topic":null,"key":"k","headers":[{"name":"h","value":null},{"name":"h","value_base64":"/w=="}],'
      .. '"value":"a\\nb"}\n{"topic":null,"key_base64":"/w==","headers":[],"value":null}\n'
    assert.equal(wanted, out)
    code, out = run(folder, "tidemill dlq list dead")
    assert.equal(0, code, out)
    assert.equal(3, select(2, out:gsub("\n", "\n")))
    assert.matches("no record as tidemill record", out)
    assert.equal(64, (run(folder, "tidemill run p.lua --input-format json")))
  end)

  it("file_source with format = \"json\" reads the same; --input says anew what is read", function()
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt", format = "json" },\n'
      .. 'tide.file_sink { path = "out.txt", format = "json" }, dlq = tide.dlq { path = "dead" } }', {
        ["in.txt"] = '{"key":"k","value":"a","headers":{"h":"1"}}\n5\n', ["lines.txt"] = '{"key":"k","value":"a"}\n' })
    local code, out = run(folder, "tidemill run p.lua --log-level error; cat out.txt; tidemill dlq count dead")
    assert.equal(0, code, out)
    assert.matches('{"topic":null,"key":"k","headers":[{"name":"h","value":"1"}],"value":"a"}\n', out, 1, true)
    assert.matches("no record as tidemill record", out)
    code, out = run(folder, "tidemill run p.lua --input lines.txt --log-level error")
    assert.same({ 0, '{"key":"k","value":"a"}\n' }, { code, out })
  end)

  it("tidemill run --input says that a file looks like whole messages where its lines are read as values", function()
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.file_sink { path = "out.txt" } }', {
        ["whole.txt"] = '{"key":"k","value":"a"}\n', ["in.txt"] = '{"value":"a","level":"info"}\n' })
    local _, out = run(folder, "tidemill run p.lua --input whole.txt --log-level warn")
    assert.matches('^whole.txt looks like whole messages, as `tidemill record` .*{"key":"k","value":"a"}\n',
      out)
    for _, words in ipairs { "--input whole.txt --input-format lines", "--input in.txt", "--input - <whole.txt" } do
      _, out = run(folder, "tidemill run p.lua --log-level warn " .. words)
      assert.not_matches("looks like", out)
    end
  end)

  it("tidemill run --input-format json keeps a timestamp, and refuses by its name and line what is none"
    .. " of a record", function()
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.run_task { function(m) return tostring(m.timestamp) end },\n'
      .. 'tide.file_sink { path = "out.txt" }, dlq = tide.dlq { path = "dead.json" } }', {
        ["in.txt"] = '{"value":"a","timestamp":1700000000123}\n{"value":"b","timestamp":null}\n{"value":"c"}\n'
          .. '{"value":"d","partition":1}\n{"value":"e","timestamp":1.5}\n' })
    local code, out = run(folder, "tidemill run p.lua --input in.txt --input-format json --output - "
      .. "--log-level error --dead-letters dead")
    assert.same({ 0, "1700000000123\n-1\n-1\n" }, { code, out })
    code, out = run(folder, "tidemill dlq list dead")
    assert.equal(0, code, out)
    assert.matches('in.txt: line 4: a record has no field "partition"', out, 1, true)
    assert.matches("message.timestamp takes an integer", out, 1, true)
  end)

  it("tidemill run --input-format json takes headers in the forms of a script, and names the line of those that"
    .. " are none", function()
    local bad = {
      ['{"h":1}'] = 'the value of header "h" is of type number, not a string', ["5"] = '"headers" is of type number',
      ['[["h","3",""]]'] = "header 1 is neither", ['["h","3"]'] = "header 1 is neither",
      ['[["h"],[5]]'] = "the name of header 2 is of type number", ['[{"h":"1"}]'] = 'header 1 has no field "h"',
      ['[["h",["1"]]]'] = "the value of header 1 is of type array", ['[{"value":"x"}]'] = "header 1 is neither",
      ['[{"name":"h","value":{}}]'] = '"value" of header 1 is of type object',
      ['[{"name":"h","value_base64":"?"}]'] = '"value_base64" of header 1: ',
    }
    local lines, wanted = { '{"value":"a","headers":{"b":"1","a":null}}', '{"value":"b","headers":[["h","3"],["n"]]}',
      '{"value":"c","headers":{}}', '{"value":["x"]}' }, { 'line 4: "value" is of type array, not a string' }
    for headers, text in pairs(bad) do
      lines[#lines + 1] = ('{"value":"x","headers":%s}'):format(headers)
      wanted[#wanted + 1] = ("in.txt: line %d: %s"):format(#lines, text)
    end
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" }, tide.file_sink { path = "out.txt" } }',
      { ["in.txt"] = table.concat(lines, "\n") .. "\n" })
    local code, out = run(folder, "tidemill run p.lua --input in.txt --input-format json --output-format json "
      .. "--log-level error --dead-letters dead")
    assert.same({ 0, '{"topic":null,"key":null,"headers":[{"name":"b","value":"1"},{"name":"a","value":null}],'
      .. '"value":"a"}\n{"topic":null,"key":null,"headers":[{"name":"h","value":"3"},{"name":"n","value":null}],'
      .. '"value":"b"}\n{"topic":null,"key":null,"headers":[],"value":"c"}\n' }, { code, out })
    out = select(2, run(folder, "cat dead")):gsub('\\"', '"')
    for _, text in ipairs(wanted) do assert.matches(text, out, 1, true) end
    assert.not_matches("record_line.lua", out, 1, true)
  end)

  it("tidemill run --input-format json is told that a compressed file is none of lines, and that"
    .. " standard input is closed", function()
    local _, folder = pipeline_file.write('local tide = require "tidemill"\nreturn tide.pipeline "x" {\n'
      .. 'tide.file_source { path = "in.txt" } }', { ["in.txt"] = "one\n" })
    local code, out = run(folder, "gzip -k in.txt; tidemill run p.lua --input in.txt.gz --output /dev/null")
    assert.same({ 0, true }, { code, out:find("gzip -dc in.txt.gz | tidemill run", 1, true) ~= nil }, out)
    code, out = run(folder, "tidemill run p.lua --input - <&-")
    assert.same({ 66, true }, { code, out:find("standard input is closed", 1, true) ~= nil }, out)
  end)
end)
