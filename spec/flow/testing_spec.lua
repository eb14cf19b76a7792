-- SPDX-License-Identifier: MIT
-- tidemill.testing: what a spec calls it with, and its clock.
local tide = require "tidemill"
local testing = require "tidemill.testing"
local child = require "spec.support.child"
local pipeline_file = require "spec.support.pipeline_file"

local here = debug.getinfo(1, "S").short_src

-- The error of `fn` without its place, which is the line of `fn` in this spec.
local function refusal(fn)
  local ok, text = pcall(fn)
  assert.is_false(ok, "it was taken")
  local path, line, rest = tostring(text):match "^([^:]+):(%d+): (.*)$"
  assert.same({ here, tostring(debug.getinfo(fn, "S").linedefined) }, { path, line }, text)
  return rest
end

local function as_it_is(m) return m end

describe("tidemill.testing", function()
  after_each(function()
    testing.close()
    child.stop_all()
  end)

  it("tidemill.testing refuses what no message can have, in the line of the spec, before anything is fed", function()
    local test = testing.transform(as_it_is)
    for field, wrong in pairs {
      partition = { [-1] = "-1", [4] = "4", [1.5] = "1.5", [1e300] = "1e+300", ["0"] = "a string" },
      timestamp = { [1.5] = "1.5", [1e300] = "1e+300", [-2] = "-2", ["now"] = "a string" },
      value = { [5] = "a number", [true] = "a boolean" }, key = { [true] = "a boolean" },
    } do
      for value, shown in pairs(wrong) do
        local text = refusal(function() test:feed("good", { value = "x", [field] = value }) end)
        if field == "value" then text = refusal(function() test:feed("good", { value = value }) end) end
        assert.matches("message." .. field .. " takes ", text, 1, true)
        assert.matches("got " .. shown, text, 1, true)
      end
    end
    assert.matches("message.headers takes an array of", refusal(function() test:push { headers = 5 } end))
    assert.matches('header "a" takes a string', refusal(function() test:push { headers = { a = 1 } } end))
    assert.matches('no field "valu"', refusal(function() test:push { valu = "x" } end), 1, true)
    assert.matches("not a number", refusal(function() test:feed(5) end), 1, true)
    assert.matches("not a nil", refusal(function() test:feed("good", nil) end), 1, true)
    assert.equal(0, test:totals().read)
    test:feed({ value = tide.null, key = "k", partition = 3, timestamp = -1 })
      :feed { timestamp = 2 ^ 53, value = "x" }
    assert.same({ false, "x" }, test:values())
    assert.equal(2 ^ 53, test:results()[2].timestamp)
  end)

  it("tidemill.testing gives results of different keys in the order of their messages, of a pipeline file", function()
    local path = pipeline_file.write [[local tide = require "tidemill"
      return tide.pipeline "x" { tide.kafka_source { brokers = "b", topic = "t", group = "g" },
        tide.keyed { function(m, state) state.value = m.key return m end, state = "s", processes = 4 },
        tide.produce { topic = "u" }, state_dir = "s" }]]
    local test, fed = testing.pipeline(path), {}
    for i = 1, 200 do
      fed[i] = tostring(i)
      test:push { key = "k" .. i % 50, value = fed[i] }
    end
    test:feed()
    assert.same(fed, test:values())
    pipeline_file.remove_all()
  end)

  it("tidemill.testing feeds headers by name, and null ones", function()
    local test = testing.transform(as_it_is)
    test:feed({ value = "x", headers = { b = "2", a = "1" } }, { value = "y", headers = { { "n", tide.null } } })
    local results = test:results()
    assert.same({ { { "a", "1" }, { "b", "2" } }, { { "n" } } }, { results[1].headers, results[2].headers })
  end)

  it("tidemill.testing gives a header of a result by its name, and its value as a table", function()
    local test = testing.transform(as_it_is)
    test:feed({ value = '{"a":[1,null]}', headers = { { "n", "1" }, { "n", "2" }, { "none" } } }, "x")
    local results = test:results()
    assert.same({ "2" }, { results[1]:header "n", results[1]:header "none", results[1]:header "absent" })
    assert.same({ a = { 1, tide.null } }, results[1].json)
    assert.matches("not JSON", select(2, pcall(function() return results[2].json end)))
  end)

  it("tidemill.testing compares the headers of results in any of their forms", function()
    local test = testing.transform(as_it_is)
    test:feed { value = "x", headers = { b = "2", a = "1" } }
    assert.produces(test, { { value = "x", headers = { { "a", "1" }, { "b", "2" } } } })
    assert.produces(test, { { headers = { a = "1", b = "2" } } })
    assert.has_error(function() assert.produces(test, { { headers = { { "a", "1" }, { "b", "3" } } } }) end)
    assert.has_error(function() assert.produces(test, { { headers = { { "a", "1" } } } }) end)
    for wrong, text in pairs {
      [{ a = 2 }] = 'header "a" takes a string or nil as value, got a number',
      [{ "a", "1" }] = "message.headers[1] is not {name, value}", [5] = "message.headers takes an array of",
      [{ { "a", "1", "2" } }] = 'message.headers[1] has the key "3"',
    } do
      assert.matches(text, refusal(function() assert.produces(test, { { headers = wrong } }) end), 1, true)
    end
  end)

  it("tidemill.testing refuses partitions that the test has not, and times that are none", function()
    local test = testing.transform(as_it_is, { partitions = 2 })
    for _, wrong in ipairs { -1, 2, 0.5, 1e300, "x" } do
      assert.matches("test:committed takes a partition from 0 to 1", refusal(function() test:committed(wrong) end))
      assert.matches("test:revoke takes a partition from 0 to 1", refusal(function() test:revoke(wrong) end))
    end
    for _, wrong in ipairs { "1 fortnight", -1, {}, true } do
      assert.matches("test:advance takes a time, got ", refusal(function() test:advance(wrong) end))
    end
    assert.matches("test:advance takes a time, got nil", refusal(function() test:advance() end))
    test:feed({ value = "x", partition = 1 }):revoke(1)
    assert.same({ nil, 1 }, { test:committed(0), test:committed(1) })
  end)

  it("tidemill.testing refuses options that it does not have, or cannot have", function()
    local steps = { tide.filter { function() return true end } }
    for _, wrong in ipairs { 0, -1, 4097, 1.5, 1e9, "4" } do
      assert.matches("testing.steps: the option partitions takes an integer from 1 to 4096",
        refusal(function() testing.steps(steps, { partitions = wrong }) end))
    end
    for _, wrong in ipairs { { a = "x" }, { "a", b = "c" }, "x", { 5 } } do
      assert.matches("testing.transform: the option topics takes an array of names",
        refusal(function() testing.transform(as_it_is, { topics = wrong }) end))
    end
    assert.matches('testing.steps has no option "topic"; it has topics, partitions',
      refusal(function() testing.steps(steps, { topic = "x" }) end), 1, true)
    assert.matches('testing.pipeline has no option "topics"; it has set, partitions',
      refusal(function() testing.pipeline("p.lua", { topics = {} }) end), 1, true)
    assert.matches("the option set takes a table", refusal(function() testing.pipeline("p.lua", { set = 5 }) end))
    assert.matches("takes options as a table", refusal(function() testing.transform(as_it_is, 5) end))
    assert.matches("takes the path of a file", refusal(function() testing.pipeline(nil) end))
    assert.matches("takes a list of steps", refusal(function() testing.steps(5) end))
  end)

  it("tidemill.testing stands on a source in memory that has no partition but its own", function()
    for _, wrong in ipairs { 4, 64, 2 ^ 32 - 1 } do
      local _, signal, log = child.run(function()
        testing.C.tide_memory_committed(testing.transform(as_it_is).source, wrong)
      end)
      assert.equal(6, signal, log)
      assert.matches("memory_source.c:%d+: broken rule", log)
    end
  end)

  it("tidemill.testing is quiet while a batch of reduce waits to be tried again, and tries it when the"
    .. " clock moves on", function()
    local started = os.tmpname() -- there while the lookup is down
    local function accumulate(all, message)
      local file = io.open(started)
      if not file then return all .. message.value end
      file:close()
      return tide.retry "the lookup is down"
    end
    local function initial_value() return "" end
    local test = testing.steps({ tide.reduce { accumulate, initial_value = initial_value, max_batch_size = 1 } },
      { settings = { files = { read = "/tmp" } } })
    test:feed("a", "b", "c")
    assert.same({}, test:values())
    os.remove(started)
    for _ = 1, 3 do test:advance "10s" end -- each was run while it was down, and waits in its turn
    assert.same({ "a", "b", "c" }, test:values())
  end)

  it("tidemill.testing finishes what waits to be tried again: a dead letter once retry_timeout is over", function()
    local function down() return tide.retry "the lookup is down" end
    local steps = { tide.run_task_with_multiprocessing { down, processes = 1 } }
    local test = testing.steps(steps):feed("a", "b"):finish()
    assert.rejects(test, { "retry_timeout: the lookup is down", "retry_timeout: the lookup is down" })
    assert.same({}, test:values())
  end)
end)
