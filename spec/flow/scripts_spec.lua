-- SPDX-License-Identifier: MIT
-- Each example of scripts/ is run, and does what it says.
local cjson = require "cjson"
local testing = require "tidemill.testing"

describe("scripts/", function()
  local test

  local function pipeline(name, options)
    test = testing.pipeline("scripts/" .. name .. ".lua", options)
    return test
  end

  local function decoded()
    local objects = {}
    for i, value in ipairs(test:values()) do objects[i] = cjson.decode(value) end
    return objects
  end

  after_each(function()
    if test then test:close() end
    test = nil
  end)

  it("identity.lua copies", function()
    pipeline "identity":feed("a", "b")
    assert.produces(test, { "a", "b" })
  end)

  it("clean_events.lua drops debug events, edits the others", function()
    pipeline "clean_events":feed('{"level":"debug"}', '{"v":2,"value":1}', '{"value":null}', "x")
    assert.produces(test, { '{"v":2,"seen":true}', '{"value":null,"seen":true}' })
    assert.rejects(test, { "transform.lua:6: the value is not JSON" })
  end)

  it("edit_field.lua adds the gross price", function()
    pipeline "edit_field":feed('{ "net":100, "id":12345678901234567890}')
    assert.same({ '{ "net":100, "id":12345678901234567890,"gross":119}' }, test:values())
  end)

  it("filter_by_key.lua keeps what is from the EU", function()
    pipeline "filter_by_key":feed({ key = "eu-1", value = "a" }, { key = "us-1", value = "b" }, "c")
    assert.produces(test, { "a" })
    assert.filtered(test, 2)
  end)

  it("enrich.lua adds the country's name", function()
    pipeline "enrich":feed('{"country":"de"}', '{"country":"xx"}', '{"country":"kr"}')
    assert.same({ "Germany", "unknown", "Korea, Republic of" },
      { decoded()[1].country_name, decoded()[2].country_name, decoded()[3].country_name })
  end)

  it("scripts/enrich_topic.lua adds name and city of the user, as the topic has them by then", function()
    pipeline("enrich_topic", { tables = { users = { u1 = { name = "Ada", address = { city = "London" } } } } })
    test:feed('{"id":1,"user":"u1"}', '{"id":2,"user":"u2"}')
    test:put("users", "u2", { name = "Bob", address = { city = "York" } }):feed('{"id":2,"user":"u2"}')
    assert.same({ '{"id":1,"user":"u1","name":"Ada","city":"London"}',
      '{"id":2,"user":"u2","name":"Bob","city":"York"}' }, test:values())
    assert.rejects(test, { "no user u2" })
  end)

  it("split.lua makes a message of each item", function()
    pipeline "split":feed('{"items":[{"id":"a", "n": 1},{"id":"b"}]}', '{"items":[]}')
    assert.produces(test, { { key = "a" }, { key = "b" } })
    assert.same({ '{"id":"a", "n": 1}', '{"id":"b"}' }, test:values())
    assert.equal(2, test:committed())
  end)

  it("scripts/deduplicate.lua lets the first order of an id pass", function()
    pipeline("deduplicate", { set = { state = "x" } })
    for line in io.lines "scripts/samples/twice.jsonl" do test:feed(line) end
    assert.produces(test, { { json = { id = "o1", net = 100 } }, { json = { id = "o2", net = 19.9 } },
      { json = { id = "o3", net = 5 } } })
    test:feed "{}"
    assert.rejects(test, { "json:id is not there" })
  end)

  it("last_value.lua lets a reading pass that says something else than the one before it", function()
    test = testing.pipeline("scripts/last_value.lua", { set = { state = "x" } })
    for line in io.lines "scripts/samples/readings.jsonl" do test:feed(line) end
    assert.same({ { sensor = "door", value = "shut" }, { sensor = "heat", value = 21.5 },
      { sensor = "door", value = "open", before = "shut" }, { sensor = "heat", value = 22, before = 21.5 } }, decoded())
    assert.filtered(test, 2)
  end)

  it("counts.lua counts the visits of each user, and one that comes twice once", function()
    test = testing.pipeline("scripts/counts.lua", { set = { state = "x" } })
    for line in io.lines "scripts/samples/users.jsonl" do test:feed(line) end
    assert.same({ { visits = 1, last = "/home" }, { visits = 1, last = "/home" }, { visits = 2, last = "/shop" } },
      decoded())
  end)

  it("join.lua joins an order and its payment within ten minutes, whichever is first, or tells of none", function()
    test = testing.pipeline("scripts/join.lua")
    local function feed(topic, ...)
      for _, event in ipairs { ... } do
        test:feed { topic = topic, key = tostring(event[1]),
          value = cjson.encode { id = event[1], time = ("2026-03-01T10:%02d:00Z"):format(event[2]) } }
      end
    end
    local function found()
      local list = {}
      for i, pair in ipairs(decoded()) do
        local paid = pair.payment ~= cjson.null and " paid " .. pair.payment.time:sub(15, 16)
        list[i] = pair.order.id .. (paid or " unpaid")
      end
      table.sort(list)
      return list
    end
    feed("orders", { 1, 0 }, { 2, 1 })
    feed("payments", { 1, 4 }, { 3, 5 })
    feed("orders", { 3, 6 }, { 4, 20 })
    assert.same({ "1 paid 04", "3 paid 05" }, found()) -- payments are at 10:05, so that of 2 may come still
    feed("payments", { 6, 22 })
    assert.same({ "1 paid 04", "2 unpaid", "3 paid 05" }, found())
    feed("orders", { 5, 21 }, { 7, 30 })
    feed("payments", { 4, 29 }, { 5, 32 })
    feed("orders", { 6, 59 }) -- paid at 10:22, which is forgotten by then
    feed("payments", { 8, 59 })
    assert.same({ "1 paid 04", "2 unpaid", "3 paid 05", "4 paid 29", "5 unpaid", "7 unpaid" }, found())
    assert.rejects(test, {})
  end)

  it("rate_limit.lua lets three alerts of a device pass at once, and one every 20 seconds from then on", function()
    test = testing.pipeline("scripts/rate_limit.lua", { set = { state = "x" } })
    for line in io.lines "scripts/samples/alerts.jsonl" do test:feed(line) end
    local passed = {}
    for i, alert in ipairs(decoded()) do passed[i] = alert.device .. alert.alert end
    assert.same({ "pump1", "pump2", "fan1", "pump3", "pump5" }, passed)
    test:feed('{"device":"pump","time":"2026-01-31T11:00:00Z","alert":6}', '{"device":"fan","time":"noon"}', '{}')
    assert.filtered(test, 2) -- one that comes an hour late, too
    assert.rejects(test, { "no_key: ", "rejected: " })
  end)

  local function clicks(name)
    test = testing.pipeline(name, { set = { state = "x" } })
    for line in io.lines "scripts/samples/clicks.jsonl" do test:feed(line) end
  end

  it("count_per_minute.lua counts pages, also of an event that comes late", function()
    clicks "scripts/count_per_minute.lua"
    assert.same({ { minute = "2026-01-31T12:00:00.000Z", page = "/home", count = 3 },
      { minute = "2026-01-31T12:01:00.000Z", page = "/shop", count = 3 } }, decoded())
    test:feed('{"ts":"2026-01-31T12:00:01Z","page":"/home"}', '{"ts":"2026-01-31T13:00:00Z","page":"/help"}')
    assert.equal(3, #decoded())
    assert.equal(1, test:metrics()["script.window.late"])
  end)

  it("sessions.lua ends a session when nothing more can come of it", function()
    clicks "scripts/sessions.lua"
    local all = decoded()
    table.sort(all, function(one, other) return one.user < other.user end)
    assert.same({ { user = "ann", begin = "2026-01-31T12:00:05.000Z", pages = { "/home", "/shop", "/shop", "/shop" } },
      { user = "bob", begin = "2026-01-31T12:00:41.000Z", pages = { "/home" } },
      { user = "cid", begin = "2026-01-31T12:00:59.000Z", pages = { "/home" } } }, all)
  end)

  it("aggregate.lua counts once a minute", function()
    pipeline "aggregate":feed('{"page":"x"}', '{"page":"y"}', '{"page":"x"}'):advance(30)
    assert.produces(test, {})
    test:advance(31)
    assert.same({ { x = 2, y = 1 } }, decoded())
    assert.equal(3, test:committed())
  end)

  it("route.lua sends each level to its topic", function()
    pipeline "route":feed('{"level":"error"}', '{"level":"info"}', '{"level":"warning"}')
    local results = test:results()
    assert.same({ "logs.error", false, "logs.warning" },
      { results[1].topic, results[2].topic or false, results[3].topic })
  end)

  it("redact.lua leaves no card number and no address", function()
    pipeline "redact":feed("card 4111 1111 1111 1234 of ann.b@example.org, order 12345")
    assert.produces(test, { "card ****1234 of [mail], order 12345" })
  end)

  it("csv_to_json.lua knows quotes", function()
    pipeline "csv_to_json":feed('1,"Ada, ""Countess""",London', "1,2", '1,"x,y')
    assert.same({ { id = "1", name = 'Ada, "Countess"', city = "London" } }, decoded())
    assert.rejects(test, { "not a line of three fields", "not a line" })
  end)

  it("dead_letter.lua rejects with a reason", function()
    pipeline "dead_letter":feed('{"amount":5}', '{"amount":"5"}', '{"amount":-1}', "none")
    assert.produces(test, { '{"amount":5}' })
    assert.rejects(test, { "amount is not a number", "amount is %-1", "the value is not JSON" })
    assert.equal(4, test:committed())
  end)

  it("batch_lookup.lua asks once for a batch", function()
    pipeline "batch_lookup":feed("u1", "u3", "u2")
    assert.produces(test, { "Ada", "Grace" })
    assert.filtered(test, 1)
  end)

  it("access_log.lua knows the combined format, with a user, IPv6 and no size", function()
    pipeline "access_log":feed('10.0.0.7 - - [31/Jan/2026:13:55:36 +0100] "GET / HTTP/1.1" 200 26 "-" "x \\"y\\""',
      '2001:db8::7 - ann [29/Feb/2024:00:00:00 -0700] "-" 408 - "-" "-"\r', "x",
      '10.0.0.7 - - [31/Feb/2026:13:55:36 +0100] "GET / HTTP/1.1" 200 26 "-" "x"')
    local entries = decoded()
    assert.same({ time = "2026-01-31T12:55:36.000Z", client = "10.0.0.7", verb = "GET", path = "/", status = 200,
      bytes = 26, agent = 'x \\"y\\"' }, entries[1])
    assert.same({ time = "2024-02-29T07:00:00.000Z", client = "2001:db8::7", status = 408, bytes = 0, agent = "-" },
      entries[2])
    assert.rejects(test, { "not a line of an access log", "no such moment" })
  end)

  it("debezium.lua unwraps rows byte for byte, and makes tombstones of deletions", function()
    pipeline "debezium":feed({ key = "1", value = '{"schema":{},"payload":{"op":"r","after":{"id": 1.50}}}' },
      { key = "1", value = '{"op":"u","before":null,"after":{"id":12345678901234567890}}' },
      { key = "1", value = '{"op":"d","before":{"id":1},"after":null}' }, { key = "1" },
      { key = "1", value = '{"op":"t"}' })
    local results = test:results()
    assert.equal(3, #results)
    assert.same({ '{"id": 1.50}', '{"id":12345678901234567890}', "1" },
      { results[1].value, results[2].value, results[3].key })
    assert.is_nil(results[3].value)
    assert.filtered(test, 1)
    assert.rejects(test, { "not a change event" })
  end)

  it("sample.lua keeps one of ten keys, and of these every message", function()
    local messages = {}
    for i = 1, 2000 do messages[i] = { key = "user-" .. (i - 1) % 1000, value = "v" } end
    messages[2001] = { value = "v" }
    pipeline "sample":feed(unpack(messages))
    local times = {}
    for _, result in ipairs(test:results()) do times[result.key] = (times[result.key] or 0) + 1 end
    local keys = 0
    for _, count in pairs(times) do
      assert.equal(2, count)
      keys = keys + 1
    end
    assert.is_true(keys > 60 and keys < 140, keys)
  end)

  it("bulk.lua makes a message of each line of a megabyte, and leaves out what would be none", function()
    local line = ("x"):rep(99)
    pipeline "bulk":feed((line .. "\n"):rep(10500), "", "\n\n", "a\r\nb")
    local values = test:values()
    assert.equal(10502, #values)
    assert.same({ line, line, "a", "b" }, { values[1], values[10500], values[10501], values[10502] })
    assert.filtered(test, 2)
    assert.equal(4, test:committed())
  end)

  -- What comes into every topic sooner or later: null, JSON that is no object, lines that end as in Windows.
  local HARMLESS = { {}, "5", '"x"', "[]", "null", "{}", "{}\r" }
  local PASS = { -- the values that come out; others filter, or count
    clean_events = { false, "5", '"x"', "[]", "null", '{"seen":true}', '{"seen":true}\r' },
    edit_field = { false, "5", '"x"', "[]", "null", "{}", "{}\r" },
    enrich = { false, "5", '"x"', "[]", "null", '{"country_name":"unknown"}', '{"country_name":"unknown"}\r' },
    identity = { false, "5", '"x"', "[]", "null", "{}", "{}\r" },
    redact = { false, "5", '"x"', "[]", "null", "{}", "{}\r" },
    route = { false, "5", '"x"', "[]", "null", "{}", "{}\r" },
    bulk = { "5", '"x"', "[]", "null", "{}", "{}" },
    split = {}, filter_by_key = {}, batch_lookup = {}, aggregate = { '{"unknown":7}' },
    csv_to_json = { false }, dead_letter = { false }, access_log = {}, sample = {}, debezium = {},
    avro_to_json = {}, json_to_avro = {},
  }
  -- A line of another form is what these look for.
  local REFUSE = { csv_to_json = 6, dead_letter = 6, access_log = 7, debezium = 6, avro_to_json = 7, json_to_avro = 7 }

  for name, values in pairs(PASS) do
    it(name .. ".lua goes on with null, no object and \\r\\n", function()
      pipeline(name):feed(unpack(HARMLESS)):advance("1min")
      assert.same(values, test:values())
      assert.equal(REFUSE[name] or 0, #test:rejects())
      assert.equal(#HARMLESS, test:committed())
    end)
  end

  it("csv_to_json.lua keeps no \\r, and lookup.lua finds with one", function()
    pipeline "csv_to_json":feed('1,Ada,London\r', '2,Bob,"York"\r')
    assert.produces(test, { '{"id":"1","name":"Ada","city":"London"}', '{"id":"2","name":"Bob","city":"York"}' })
    test:close()
    pipeline "batch_lookup":feed("u1\r")
    assert.produces(test, { "Ada" })
  end)

  it("json_to_avro.lua writes what avro_to_json.lua reads, to the last digit", function()
    local order = '{"id":9223372036854775807,"note":null,"state":"PAID","total":"123456789.10","user":"ann"}'
    pipeline "json_to_avro":feed(order, '{"id":1,"user":"x"}', '{"id":1,"user":"x","total":"1","stat":"NEW"}')
    assert.rejects(test, { "", "schema:encode: shop.Order has no field stat" })
    local bytes = test:values()[1]
    assert.equal("\0\0\0\0\7", bytes:sub(1, 5))
    test:close()
    pipeline "avro_to_json":feed(bytes, bytes:sub(1, -2), bytes .. "x")
    assert.produces(test, { order })
    assert.rejects(test, { "shop.Order.note: the bytes end early, at byte %d+", "more bytes behind the value" })
  end)

  it("run as their headers say, on the samples that these name", function()
    local program = require("spec.support.program").path
    local pipe, ran = io.popen "grep -ho '^--   tidemill run .*' scripts/*.lua", 0
    for line in pipe:lines() do
      local command = line:match "^%-%-   tidemill (.*)$"
      local process = io.popen(("'%s' %s 2>&1; echo code=$?"):format(program, command))
      local text = process:read "*a"
      process:close()
      assert.equal("0", text:match "code=(%d+)\n$", command .. "\n" .. text)
      assert.is_truthy(text:find "produced [1-9]", command .. "\n" .. text)
      ran = ran + 1
    end
    pipe:close()
    assert.is_true(ran >= 18)
  end)

  it("are all named here, but those that need a database", function()
    local this = io.open("spec/flow/scripts_spec.lua"):read "*a" .. io.open("spec/flow/databases_spec.lua"):read "*a"
    local pipe = io.popen "ls scripts/*.lua"
    for path in pipe:lines() do
      local text = io.open(path):read "*a"
      local name = path:match "([%w_]+)%.lua$"
      local is_run = this:find('pipeline "' .. name .. '"', 1, true) or this:find("scripts/" .. name .. ".lua", 1, true)
      assert.is_true(is_run ~= nil or not text:find("tide.pipeline", 1, true), name)
    end
    pipe:close()
  end)
end)
