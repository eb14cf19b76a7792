-- SPDX-License-Identifier: MIT
-- Tables (tide.table) in pipelines, with rows that are given: what functions read, when they see a change, under
-- each level of trust; and what is wrong at the start. With a broker: spec/kafka/table_spec.lua.
local gate = require "spec.support.gate"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local testing = require "tidemill.testing"
local tide = require "tidemill"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

describe("tide.table", function()
  local test

  after_each(function()
    testing.close()
    process.stop_all()
    gate.remove_all()
    pipeline_file.remove_all()
  end)

  local WHOLE = [[
local tide = require "tidemill"
local users = tide.table "users" { topic = "users" }
return tide.pipeline "x" { tide.kafka_source { brokers = "b", topic = "orders", group = "g" },
  tide.map { "t.lua", processes = 2 }, tide.produce { topic = "out" } }]]

  local function open(transform, tables, trust, whole)
    local path = pipeline_file.write(whole or WHOLE, { ["t.lua"] = transform })
    test = testing.pipeline(path, { tables = tables, trust = trust })
    return test
  end

  local NAMES = [[local tide = require "tidemill"
local users = tide.table "users"
return function(message)
  local user = users[message.value]
  return user and user.name or "nobody of " .. #users
end]]

  it("tide.table gives functions the row of a key, and what was put before their message", function()
    open(NAMES, { users = { u1 = { name = "Ann" }, [7] = { name = "Seven" } } })
    test:feed("u1", "7", "u2")
    test:put("users", "u2", { name = "Bob" }):feed("u2")
    test:put("users", "u2", { name = "Bo" }):put("users", "u1", nil):feed("u2", "u1")
    assert.same({ "Ann", "Seven", "nobody of 2", "Bob", "Bo", "nobody of 2" }, test:values())
    local seen = test.engine:tables()[1]
    assert.same({ "users", 2, true, 0 }, { seen.name, seen.rows, seen.ready, seen.lag })
    assert.is_true(seen.bytes > 0)
  end)

  it("tide.table keeps the rows of a message that runs for long, up to its memory, and goes on once that has ended",
    function()
    local one = gate.new()
    open(([[local tide = require "tidemill"
local users = tide.table "users"
return function(message)
  local user = users.u1
  if message.value == "slow" then
    io.open("%s.reached", "w"):close()
    repeat local open = io.open("%s") until open
  end
  return message.value .. " " .. user.name .. " " .. users.u1.name
end]]):format(one.path, one.path), { users = { u1 = { name = "Ann" } } }, "full", [[
local tide = require "tidemill"
local users = tide.table "users" { topic = "users", max_bytes = "1MiB" }
return tide.pipeline "x" { tide.kafka_source { brokers = "b", topic = "orders", group = "g" },
  tide.map { "t.lua", processes = 2, max_batch_size = 1, order = "none" }, tide.produce { topic = "out" },
  message_timeout = "1h" }]])
    test:push { value = "slow" }
    wait.until_true(function()
      test.engine:run(0.01)
      return one:is_reached()
    end, "the worker in its function")
    local function put(i)
      test:put("users", "u1", { name = "Bob" .. i, long = ("x"):rep(60000) })
      test.engine:run(0.001)
    end
    local count, fits = 0, true
    while fits do
      fits, count = pcall(put, count), count + 1
    end
    assert.is_true(count > 10 and count < 30, tostring(count))
    test:push { value = "other" }
    wait.until_true(function()
      test.engine:run(0.01)
      return test:values()[1] == ("other Bob%d Bob%d"):format(count - 2, count - 2)
    end, "the other worker")
    one:open()
    wait.until_true(function()
      test.engine:run(0.01)
      return test:values()[2] == "slow Ann Ann"
    end, "the slow worker")
    for i = 1, 40 do put(i) end
    test:feed "last"
    assert.equal("last Bob40 Bob40", test:values()[3])
    for i = 0, 1 do assert.equal(0, test.engine:worker(0, i).lost) end
  end)

  for _, trust in ipairs { "full", "standard", "hardened" } do
    it("tide.table is read under trust = " .. trust, function()
      open(NAMES, { users = { u1 = { name = "Ann" } } }, trust):feed "u1"
      assert.same({ "Ann" }, test:values())
    end)
  end

  it("tide.table gives a view: nested values, exact integers, null, and it is the function's own to change", function()
    open([[local tide = require "tidemill"
local users = tide.table "users"
return function(message)
  local user = users.u1
  local text = tide.json.encode(user.address) .. user.address.city .. tostring(user.id)
    .. tostring(user.none == tide.null)
  user.name = "changed"
  message.json.user = user
  message.json.fresh = users.u1.name
  message.json.text = text
  return message
end]], { users = {
      u1 = tide.json.table '{"name":"Ann","id":12345678901234567890,"none":null,"address":{"city":"Bonn"}}' } })
    test:feed "{}"
    local value = test:values()[1]
    assert.truthy(value:find('"fresh":"Ann"', 1, true), value)
    assert.truthy(value:find('"name":"changed"', 1, true), value)
    assert.truthy(value:find([["text":"{\"city\":\"Bonn\"}Bonn12345678901234567890true"]], 1, true), value)
  end)

  it("tide.table finds by integers, and nothing by nil, null or a fraction; other keys are errors", function()
    open([[local tide = require "tidemill"
local users = tide.table "users"
return function(message)
  local key = message.json.key
  if message.json.kind == "table" then key = {} end
  return tostring(users[key] and users[key].name)
end]], { users = { ["7"] = { name = "Seven" }, ["12345678901234567890"] = { name = "Long" } } })
    test:feed('{"key":7}', '{"key":12345678901234567890}', '{"key":null}', '{"key":7.5}', "{}", '{"kind":"table"}')
    assert.same({ "Seven", "Long", "nil", "nil", "nil" }, test:values())
    assert.rejects(test, { "t%.lua:6: a table is read by a string or an integer, got a table" })
  end)

  it("tide.table of bytes gives strings", function()
    open([[local tide = require "tidemill"
local raw = tide.table "raw"
return function(message) return raw[message.value] or "none" end]], { raw = { a = "\0\1 no JSON", b = "" } }, nil,
      (WHOLE:gsub('"users" { topic = "users" }', '"raw" { topic = "raw", format = "bytes" }')))
    test:feed("a", "b", "c")
    assert.same({ "\0\1 no JSON", "", "none" }, test:values())
  end)

  it("tide.table does not change within a message, nor within the call of a batch function", function()
    open([[local tide = require "tidemill"
local users = tide.table "users"
return function(message)
  local first = users.u1.version
  for i = 1, 1e6 do if i % 1000 == 0 and users.u1.version ~= first then return "torn" end end
  return tostring(first)
end]], { users = { u1 = { version = 0 } } })
    for i = 1, 8 do test:push { value = "x", key = nil, headers = nil, timestamp = 0, partition = i % 4 } end
    for version = 1, 200 do
      test:put("users", "u1", { version = version })
      test.engine:run(0.001)
    end
    test:feed "x"
    for _, value in ipairs(test:values()) do assert.not_equal("torn", value) end
    assert.equal("200", test:values()[9])
  end)

  it("tide.table works in functions of the pipeline file, in batches and in tests of a transform alone", function()
    local users = tide.table "users"
    test = testing.steps({ tide.batch { max_batch_size = 2, max_batch_time = 1 }, tide.map { function(message)
      local names = {}
      for i, one in ipairs(tide.unpack(message.value)) do names[i] = users[one.value].name end
      return table.concat(names, "+")
    end, processes = 1 } }, { tables = { users = { a = { name = "Ann" }, b = { name = "Bob" } } } })
    test:feed("a", "b")
    assert.same({ "Ann+Bob" }, test:values())
  end)

  it("tide.table that nobody declares is an error of the start, one that is read too early or written too", function()
    local function problem(transform)
      return select(2, pcall(open, transform, {}))
    end
    assert.truthy(problem([[local users = require("tidemill").table "usres"
return function() end]]):find(
      't.lua:1: tide.table "usres": the pipeline file declares no such table; it declares users', 1, true))
    assert.truthy(problem([[local users = require("tidemill").table "users"
return { process = function() end, init = function() return users.u1 end }]]):find(
      "t.lua:2: a table is read for a message", 1, true))
    open([[local users = require("tidemill").table "users"
return function(message) users.u1 = 1 end]], {}):feed "x"
    assert.rejects(test, { "t%.lua:2: a table is not to be changed; its topic is" })
  end)

  local FAULTS = {
    ['tide.table "users" { }'] = 'p:2: option "topic": missing',
    ['tide.table "users" { topic = "^u" }'] = 'p:2: option "topic" = "^u": takes one name, no pattern',
    ['tide.table "users" { topic = "u", key = "id" }'] = 'p:2: option "key" = "id": takes "key" or "json:PATH"',
    ['tide.table "users" { topic = "u", keys = "id" }'] = 'p:2: option "keys": unknown; did you mean "key"?',
    ['tide.table "users" { topic = "u", max_bytes = 1 }'] = 'p:2: option "max_bytes" = 1: too small, the least is 1MiB',
    ['tide.table "a b" { topic = "u" }'] =
      'p:2: tide.table "a b": a name has letters, digits, "_", "." and "-", 100 at most',
    ['tide.table "u" { topic = "u" } tide.table "u" { topic = "v" }'] = 'p:2: tide.table "u": is declared twice',
  }
  for text, fault in pairs(FAULTS) do
    it("tide.table reports what is wrong: " .. text, function()
      local _, texts, code = pipeline_file.load(text .. "\n" .. pipeline_file.around "filter")
      assert.same({ { fault }, 78 }, { texts, code })
    end)
  end

  -- ---- the program ----

  local function run(arguments, files)
    local path, folder = pipeline_file.write(WHOLE, files)
    local words = { PROGRAM, "run", path, "--input", folder .. "/in", "--log-level", "error" }
    for _, word in ipairs(arguments) do words[#words + 1] = (word:gsub("FOLDER", folder)) end
    local child = process.start(words)
    local code = child:wait()
    return code, child:stdout(), (child:stderr():gsub(folder:gsub("%p", "%%%0"), "FOLDER"))
  end

  it("tide.table takes its rows from a file, as messages were recorded or written by hand", function()
    local code, out = run({ "--table", "users=FOLDER/users" }, { ["t.lua"] = NAMES, ["in"] = "u1\nu2\nu3\nu4\n",
      users = '{"key":"u1","value":{"name":"Ann"}}\n\n'
        .. '{"topic":"users","key":"u2","headers":[],"value":"{\\"name\\":\\"Bob\\"}"}\n'
        .. '{"key":"u3","value_base64":"eyJuYW1lIjoiQ3kifQ=="}\n'
        .. '{"key":"u4","value":{"name":"X"}}\n{"key":"u4","value":null}\n' })
    assert.same({ 0, "Ann\nBob\nCy\nnobody of 3\n" }, { code, out })
  end)

  for name, case in pairs {
    ["no rows"] = { {}, 64,
      'table "users": its topic is not read without kafka_source; give its rows as --table users=FILE' },
    ["an unknown table"] = { { "--table", "users=FOLDER/users", "--table", "x=y" }, 64,
      '--table x: the pipeline has no such table; declare it by tide.table "x" { ... }' },
    ["no such file"] = { { "--table", "users=FOLDER/none" }, 66,
      "--table users: FOLDER/none: No such file or directory" },
    ["no key"] = { { "--table", "users=FOLDER/users" }, 65, '--table users: FOLDER/users:2: has no "key"' },
    ["no JSON"] = { { "--table", "users=FOLDER/in" }, 65, "--table users: FOLDER/in:1: is not JSON: " },
    ["no pair"] = { { "--table", "users" }, 64, "--table users: must be NAME=FILE" },
  } do
    it("tide.table says what is wrong with --table: " .. name, function()
      local code, _, errors = run(case[1], { ["t.lua"] = NAMES, ["in"] = "u1\n",
        users = '{"key":"u1","value":{}}\n{"value":{}}\n' })
      assert.equal(case[2], code, errors)
      assert.truthy(errors:find(case[3], 1, true), errors)
    end)
  end

  it("tide.table keeps a value that is no JSON as a row, and rejects what reads it", function()
    local code, out, errors = run({ "--table", "users=FOLDER/users", "--dead-letters", "FOLDER/letters" }, {
      ["t.lua"] = NAMES, ["in"] = "u1\nu2\n",
      users = '{"key":"u1","value":"{\\"name\\":"}\n{"key":"u2","value":{"name":"Bob"}}\n' })
    assert.same({ 0, "Bob\n" }, { code, out }, errors)
  end)
end)
