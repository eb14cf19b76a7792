-- SPDX-License-Identifier: MIT
-- Tables (tide.table) of topics on a real Kafka: read to their ends before the first message, kept current while the
-- pipeline runs, built anew by a restart; and what becomes of topics and brokers that are not there, or go.
-- The metrics TABLE_READ, TABLE_INVALID, TABLE_TIME, TABLE_ROWS, TABLE_BYTES, TABLE_LAG are counted here.
local engine = require "spec.support.engine"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local NAME = [[function(message)
  local user = users[message.value]
  return message.value .. "=" .. (user and user.name or "none")
end]]

kafka.describe("tide.table", { partitions = 1 }, function(t)
  local users

  before_each(function() users = kafka.topic(3, { ["cleanup.policy"] = "compact" }) end)

  local function definition(options, task)
    return t:definition { head = ('local users = tide.table "users" { topic = %q, %s }'):format(users, options or ""),
      task = task or NAME, task_options = { processes = 2, crash_retries = 10 } }
  end

  local function put(rows)
    local messages = {}
    for i, row in ipairs(rows) do
      messages[i] = { key = row[1], value = row[2] and ('{"name":"%s"}'):format(row[2]) or nil, partition = row[3] }
    end
    kafka.produce(users, messages)
  end

  local function ask(...)
    local messages = {}
    for i = 1, select("#", ...) do messages[i] = { value = (select(i, ...)) } end
    kafka.produce(t.input, messages)
  end

  -- The newest answer, once there are `count` of them.
  local function answers(count)
    local list = {}
    for i, message in ipairs(kafka.consume(t.output, { n = count })) do list[i] = message.value end
    return list
  end

  -- Asks until the answer is there: a change of the table is seen some time after it was written, and then for good.
  local asked
  local function await_answer(question, answer)
    wait.until_true(function()
      asked = asked + 1
      ask(question)
      return answers(asked)[asked] == answer
    end, answer)
  end

  before_each(function() asked = 0 end)

  it("tide.table is complete before the first message is read", function()
    local rows = {}
    for i = 1, 5000 do rows[i] = { "u" .. i, "old" .. i } end
    put(rows)
    put { { "u1", "new1" }, { "u2", nil }, { "u5000", "last" } }
    ask("u1", "u2", "u3", "u5000", "u5001")
    local run = engine.run(definition())
    assert.same({ "u1=new1", "u2=none", "u3=old3", "u5000=last", "u5001=none" }, answers(5))
    assert.is_true(run:says 'table "users": 4999 rows', run:stderr())
    local metrics = run:report().metrics
    assert.equal(5003, metrics["consumer.table.read"])
    assert.equal(4999, metrics["consumer.table.rows"].last)
    assert.equal(0, metrics["consumer.table.lag"].last)
    assert.equal(1, metrics["consumer.table.time"].count)
    assert.is_true(metrics["consumer.table.bytes"].last > 5000 * 60)
  end)

  it("tide.table is kept current while the pipeline runs, and a restart has the same rows", function()
    put { { "u1", "a" } }
    local run = engine.start(definition())
    await_answer("u1", "u1=a")
    put { { "u1", "b" }, { "u2", "c" } }
    await_answer("u2", "u2=c")
    await_answer("u1", "u1=b")
    put { { "u1", nil } }
    await_answer("u1", "u1=none")
    kafka.add_partitions(users, 4)
    run:drain()
    put { { "u3", "d", 3 } }
    ask("u1", "u2", "u3")
    engine.run(definition())
    local all = answers(asked + 3)
    assert.same({ "u1=none", "u2=c", "u3=d" }, { all[asked + 1], all[asked + 2], all[asked + 3] })
  end)

  it("tide.table takes what was committed, and passes what was aborted", function()
    put { { "u1", "a" } }
    kafka.produce(users, { { key = "u1", value = '{"name":"aborted"}' } }, "abort")
    kafka.produce(users, { { key = "u2", value = '{"name":"committed"}' } }, "commit")
    ask("u1", "u2")
    engine.run(definition())
    assert.same({ "u1=a", "u2=committed" }, answers(2))
  end)

  it("tide.table by a member of the key; keys without it and values that are no JSON are logged, counted", function()
    kafka.produce(users, {
      { key = '{"schema":{},"payload":{"id":7}}', value = '{"name":"Seven"}', partition = 0 },
      { key = '{"payload":{}}', value = '{"name":"nobody"}', partition = 0 },
      { key = '{"payload":{"id":8}}', value = '{"name":', partition = 1 },
      { key = '{"payload":{"id":9}}', value = '{"name":"Nine"}', partition = 0 },
      { key = '{"payload":{"id":9}}', value = nil, partition = 0 } })
    ask("7", "8", "9")
    local run = engine.run(t:definition({ dlq = { topic = t.letters } }, definition 'key = "json:payload.id"'))
    assert.same({ "7=Seven", "9=none" }, answers(2))
    local letters = kafka.consume(t.letters)
    assert.equal(1, #letters)
    local reason
    for _, header in ipairs(letters[1].headers) do
      if header[1] == "error" then reason = header[2] end
    end
    assert.truthy(reason:find('table "users": the value of the key "8" is not JSON', 1, true), reason)
    assert.is_true(run:says 'table "users": partition ', run:stderr())
    assert.equal(2, run:report().metrics["consumer.table.invalid"])
    assert.equal(2, run:report().metrics["consumer.table.rows"].last)
  end)

  it("tide.table of a topic that is not there is exit 78, and nothing is read", function()
    users = "none-" .. users
    ask "u1"
    local run = engine.run(definition(), { code = 78 })
    assert.is_true(run:says(('table "users": topic "%s" is not there'):format(users)), run:stderr())
    assert.same({}, kafka.committed(t.group, t.input))
  end)

  it("tide.table's topic is looked for by check --connect", function()
    local code, out = engine.verb("check", definition(), { args = { "--connect" } })
    assert.equal(0, code, out)
    users = "none-" .. users
    local errors
    code, out, errors = engine.verb("check", definition(), { args = { "--connect" } })
    assert.same({ 78, "" }, { code, out })
    assert.truthy(errors:find(('topic "%s" is not there'):format(users), 1, true), errors)
  end)

  it("tide.table is in each of several engines", function()
    put { { "u1", "a" }, { "u2", "b" } }
    t.input = kafka.topic(4)
    for partition = 0, 3 do kafka.produce(t.input, { { value = "u1", partition = partition } }) end
    -- The engines join one after the other. What the first has sent of a partition that it then gives up would come
    -- twice with at_least_once.
    local run = engine.run(t:definition(definition(), { settings = { delivery = "exactly_once" } }),
      { args = { "--engines", "2" } })
    assert.same({ "u1=a", "u1=a", "u1=a", "u1=a" }, answers(4))
    assert.equal(4, run:report().metrics["consumer.table.rows"].last)
    assert.equal(4, run:report().metrics["consumer.table.read"])
  end)

  it("tide.table stays what it is when workers are killed while it changes", function()
    put { { "u1", "0" } }
    local run = engine.start(definition(nil, [[function(message)
      local first = users.u1.name
      for _ = 1, 20000 do if users.u1.name ~= first then return "torn" end end
      return message.value .. "=" .. first
    end]]))
    await_answer("u1", "u1=0")
    for round = 1, 8 do
      ask("u1", "u1", "u1")
      asked = asked + 3
      put { { "u1", tostring(round) } }
      process.kill(run:workers(2)[1])
    end
    await_answer("u1", "u1=8")
    for _, answer in ipairs(answers(asked)) do assert.not_equal("torn", answer) end
    run:drain()
  end)

  it("tide.table is not waited for longer than wait; what comes later is there then", function()
    put { { "u1", "a" } }
    ask "u1"
    local run = engine.start(definition "wait = '1us'")
    assert.truthy(("u1=a u1=none"):find(answers(1)[1], 1, true))
    asked = 1
    await_answer("u1", "u1=a")
    run:drain()
    assert.is_true(run:says 'table "users": is not complete after wait', run:stderr())
  end)

  it("tide.table is read by the workers of a reload, as it is by then", function()
    put { { "u1", "a" } }
    local run = engine.start(definition())
    await_answer("u1", "u1=a")
    local file = assert(io.open(run.path, "a"))
    file:write "\n-- another one\n"
    file:close()
    put { { "u1", "b" } }
    run:signal "HUP"
    run:wait_for "revision 2"
    await_answer("u1", "u1=b")
    put { { "u1", "c" } }
    await_answer("u1", "u1=c")
    run:drain()
  end)

  it("tide.table without a broker is exit 69", function()
    local run = engine.run(t:definition({ source = { brokers = "127.0.0.1:1" }, settings = { broker_timeout = 1 },
      steps = "tide.map { function() return users.x end }, tide.file_sink { path = '/dev/null' }" },
      { head = definition().head }), { code = 69 })
    assert.is_true(run:says 'brokers "127.0.0.1:1" not reached', run:stderr())
  end)

  it("tide.table that does not fit max_bytes is exit 78, which names it", function()
    local rows = {}
    for i = 1, 20000 do rows[i] = { "u" .. i, ("x"):rep(100) } end
    put(rows)
    local run = engine.run(definition "max_bytes = '1MiB'", { code = 78 })
    assert.is_true(run:says 'rows fill the memory of max_bytes = 1 MiB; raise max_bytes', run:stderr())
  end)

  it("tide.table whose topic is deleted keeps its rows; once it is made again the pipeline ends with 75", function()
    put { { "u1", "a" } }
    local run = engine.start(definition())
    await_answer("u1", "u1=a")
    kafka.delete_topic(users)
    run:wait_for "the rows that were read stay"
    await_answer("u1", "u1=a")
    wait.unwatch(run.process)
    wait.until_true(function() return pcall(kafka.topic, 3, nil, users) end, "the topic again")
    put { { "u1", "b" }, { "u2", "b" }, { "u3", "b" }, { "u4", "b" }, { "u5", "b" } }
    run:ends_with(75)
    assert.is_true(run:says "was deleted and made again", run:stderr())
    ask "u1"
    engine.run(definition())
    assert.equal("u1=b", answers(asked + 1)[asked + 1])
  end)

  it("tide.table of a topic that is not compacted is warned of", function()
    users = kafka.topic(1)
    put { { "u1", "a" } }
    ask "u1"
    local run = engine.run(definition())
    assert.is_true(run:says "of a table has cleanup.policy=delete", run:stderr())
    assert.same({ "u1=a" }, answers(1))
  end)
end)
