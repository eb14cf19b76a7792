-- SPDX-License-Identifier: MIT
-- The program from outside: its commands on files, exit codes, signals, report, progress.
local cjson = require "cjson"
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local function tidemill(arguments, options)
  return process.run({ PROGRAM, unpack(arguments) }, options)
end

-- A pipeline around one function of Lua text.
local function pipeline(transform, settings)
  return pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = tide.param("brokers", "127.0.0.1:1"), topic = "in", group = "g", start = "earliest" },
  tide.run_task_with_multiprocessing { %s, processes = 1, max_batch_time = "50ms" },
  tide.produce { topic = "out" }, tide.commit_offsets {}, %s }
]]):format(transform, settings or ""))
end

local IDENTITY = "function(message) return message end"

local function lines_of(count)
  local lines = {}
  for i = 1, count do lines[i] = ('{"id":%d,"level":"%s","value":%d}'):format(i, i % 10 == 0 and "debug" or "info",
    i) end
  return table.concat(lines, "\n") .. "\n"
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

describe("the program", function()
  local folder

  before_each(function() folder = pipeline_file.folder() end)
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("the program tells its versions, from any folder", function()
    local code, out, err = tidemill({ "version" }, { cwd = "/" })
    assert.same({ 0, "" }, { code, err })
    assert.is_truthy(out:find("^tidemill %S+ %(librdkafka %d+%.%d+%.%d+, LuaJIT "), out)
    assert.equal(out, select(2, tidemill { "--version" }))
  end)

  it("the program cleans events from file to file, in order, and reports", function()
    local input = write(folder .. "/events.jsonl", lines_of(5000))
    local code, out, err = tidemill { "run", "scripts/clean_events.lua", "--input", input, "--output",
      folder .. "/clean.jsonl", "--report", folder .. "/report.json" }
    assert.same({ 0, "" }, { code, out }, err)
    local lines = files.lines(folder .. "/clean.jsonl")
    assert.equal(4500, #lines)
    local last = 0
    for _, line in ipairs(lines) do
      local event = cjson.decode(line)
      assert.same({ event.id * 2, true, "info" }, { event.v, event.seen, event.level })
      assert.is_true(event.id > last)
      last = event.id
    end
    local report = cjson.decode(files.read(folder .. "/report.json"))
    assert.same({ 5000, 4500, 4500, 500, 0 }, { report.read, report.produced, report.produced_from,
      report.filtered, report.dead_lettered })
    local prefix = "strategies.run_task_with_multiprocessing."
    assert.equal(5000, report.metrics[prefix .. "batch.size.msg"].sum)
    assert.equal(2, report.metrics[prefix .. "processes"].last)
    assert.is_truthy(err:find("done: read 5,000, produced 4,500, filtered 500, dead letters 0", 1, true))
  end)

  it("the program copies stdin to stdout when --input is -, and logs as JSON", function()
    local input = write(folder .. "/in", "one\n\nthree\nno newline")
    local code, out, err = tidemill({ "run", "scripts/identity.lua", "--input", "-", "--log-format", "json" },
      { stdin = input })
    assert.same({ 0, "one\n\nthree\nno newline\n" }, { code, out })
    for line in err:gmatch("[^\n]+") do assert.is_table(cjson.decode(line)) end
    local done = cjson.decode(err:match '[^\n]*"event":"done"[^\n]*')
    assert.same({ 4, 4, 0 }, { done.read, done.produced, done.filtered })
  end)

  it("the program lists its commands when it is called without one", function()
    for command, known in pairs { [""] = "record  ", dlq = "replay  " } do
      local code, out, err = tidemill(command == "" and {} or { command })
      assert.same({ 64, "" }, { code, out })
      assert.is_truthy(err:find("\n   " .. known), err)
      assert.is_truthy(err:find("tidemill: a command is required", 1, true), err)
    end
  end)

  it("the program writes keys, headers and topic as JSON lines", function()
    local path = pipeline([[function(message)
      return { value = "two\nlines", key = "k", headers = { { "h", "1" }, { "h", nil } }, topic = "other" } end]])
    local text = files.read(path):gsub('topic = "out"', 'topic = "out", topics = { "other" }')
    write(path, text)
    local code, out, err = tidemill { "run", path, "--input", write(folder .. "/in", "x\n"), "--output-format", "json" }
    assert.equal(0, code, err)
    local line = cjson.decode(out)
    assert.same({ "two\nlines", "k", "other" }, { line.value, line.key, line.topic })
    assert.equal(2, #line.headers)
  end)

  it("the program runs on a Kafka of its own: every event fed is accounted for", function()
    local input = write(folder .. "/events.jsonl", lines_of(3000) .. "bad\n")
    local code, out, err = tidemill { "run", "scripts/clean_events.lua", "--mock-kafka", "--feed", input, "--report",
      folder .. "/report.json", "--dead-letters", folder .. "/dead" }
    assert.equal(0, code, err)
    local seen, count = {}, 0
    for line in out:gmatch("[^\n]+") do
      local event = cjson.decode(line)
      assert.is_nil(seen[event.id])
      seen[event.id], count = true, count + 1
    end
    assert.equal(2700, count)
    local report = cjson.decode(files.read(folder .. "/report.json"))
    assert.same({ 3001, 2700, 300, 1 }, { report.read, report.produced_from, report.filtered, report.dead_lettered })
    assert.equal("events", cjson.decode(files.read(folder .. "/dead")).original_topic)
    assert.is_truthy(err:find("partitions assigned: events/0 ", 1, true))
  end)

  it("the program is exit 65 for a line that is no Kafka message for its size", function()
    local long = write(folder .. "/long", "short\n" .. ("x"):rep(2000000) .. "\n")
    local code, _, err = tidemill { "run", "scripts/identity.lua", "--mock-kafka", "--feed", long }
    assert.equal(65, code, err)
    assert.is_truthy(err:find("line 2 of " .. long .. " has 2000000 bytes", 1, true), err)
  end)

  it("the program is quiet when told so", function()
    local code, _, err = tidemill { "run", "scripts/identity.lua", "--input", write(folder .. "/in", "x\n"),
      "--log-level", "error" }
    assert.same({ 0, "" }, { code, err })
  end)
end)

describe("a bad message", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local BAD = 'function(message) if message.value == "bad" then error("no good") end return message end'

  it("a bad message stops a pipeline without dlq with exit 65 and its place", function()
    local path, folder = pipeline(BAD)
    local input = write(folder .. "/in.txt", "good\nbad\ngood\n")
    local code, _, err = tidemill { "run", path, "--input", input }
    assert.equal(65, code)
    assert.is_truthy(err:find("in.txt", 1, true), err)
    assert.is_truthy(err:find("no good", 1, true), err)
    assert.is_truthy(err:find("stopped: read", 1, true), err)
  end)

  it("a bad message becomes a dead letter where there is a dlq: in --dead-letters, else on stderr", function()
    local path, folder = pipeline(BAD, 'dlq = tide.dlq { topic = "dead" }')
    local input = write(folder .. "/in.txt", "good\nbad\ngood\n")
    local code, out = tidemill { "run", path, "--input", input, "--dead-letters", folder .. "/dead" }
    assert.same({ 0, "good\ngood\n" }, { code, out })
    local letter = cjson.decode(files.read(folder .. "/dead"))
    assert.same({ "in.txt", 0, 1, "YmFk" }, { letter.original_topic, letter.original_partition, letter.original_offset,
      letter.value })
    assert.is_truthy(letter.error:find("p.lua:4: no good", 1, true), letter.error)
    local _, _, err = tidemill { "run", path, "--input", input }
    assert.is_truthy(err:find('"original_offset":1', 1, true))
  end)

  it("a bad message is told with its place and a traceback of the script's own lines where there is no dlq", function()
    local path, folder = pipeline [[function(message)
      message.json.a.b[3] = 1
      return message
    end]]
    local input = write(folder .. "/in.txt", '{"a":{"b":[1]}}\n')
    local code, _, err = tidemill { "run", path, "--input", input }
    assert.equal(65, code)
    assert.matches("error in%.txt/0/0: error: [^\n]*p%.lua:%d+: json%.a%.b%[3%]: index 3 of an array of 1 elements; "
      .. "there is no dlq, so the pipeline stops here\n    stack traceback:\n", err)
    assert.matches("\n      [^\n]*p%.lua:%d+: in function", err)
    assert.is_nil(err:find("tidemill/run", 1, true), err)
    local _, _, json = tidemill { "run", path, "--input", input, "--log-format", "json" }
    local line = cjson.decode(json:match '[^\n]*"event":"failed"[^\n]*')
    assert.same({ "in.txt", 0, 0, 65 }, { line.topic, line.partition, line.offset, line.code })
  end)
end)

describe("what cannot work", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("what cannot work is exit 66 without input, 78 without a writable output", function()
    local code, out, err = tidemill { "run", "scripts/identity.lua", "--input", "/no/such/input" }
    assert.same({ 66, "" }, { code, out })
    assert.is_truthy(err:find("/no/such/input: No such file or directory", 1, true))
    code, out, err = tidemill { "run", "scripts/identity.lua", "--input", "/dev/null", "--output", "/no/such/output" }
    assert.same({ 78, "" }, { code, out })
    assert.is_truthy(err:find("/no/such/output: No such file or directory", 1, true))
    assert.equal(66, (tidemill { "run", "/no/such/pipeline.lua" }))
    local fed = { "run", "scripts/identity.lua", "--mock-kafka", "--feed", "/no/such/feed" }
    assert.equal(66, (tidemill(fed)))
    fed[5], fed[6], fed[7] = "/dev/null", "--out", "/no/such/out"
    assert.equal(78, (tidemill(fed)))
  end)

  it("what cannot work is exit 64 for a parameter that nobody asks for", function()
    local code, _, err = tidemill { "run", "scripts/identity.lua", "--set", "broker=x", "--input", "/dev/null" }
    assert.equal(64, code)
    assert.is_truthy(err:find('--set broker: the pipeline has no such parameter, it asks for brokers, topic, group, '
      .. 'start, processes, max_batch_size, output; did you mean "brokers"?', 1, true), err)
  end)

  it("what cannot work is exit 78 with file and line when a transform does not load", function()
    for text, expected in pairs {
      ["return {\n  =\n}"] = "t.lua:2: unexpected symbol near '='",
      ["\nerror('oops')"] = "t.lua:2: oops",
      ["error({})"] = "t.lua: {}",
      ["return 5"] = "t.lua: a transform returns a function",
    } do
      local path, folder = pipeline('"t.lua"')
      write(folder .. "/t.lua", text)
      for _, command in ipairs { "check", "run" } do
        local code, out, err = tidemill { command, path, command == "run" and "--input" or nil,
          command == "run" and "/dev/null" or nil }
        assert.same({ 78, "" }, { code, out }, err)
        assert.is_truthy(err:find(folder .. "/" .. expected, 1, true), err)
        assert.is_nil(err:find("tidemill/cli", 1, true), err) -- no traceback of ours
      end
    end
  end)

  it("what cannot work is exit 78 for properties that librdkafka does not take, told with all other"
    .. " faults by each command", function()
    local path = pipeline_file.write([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", group = "g", start = "latest",
    rdkafka = { ["linger.mss"] = 5, ["enable.auto.commit"] = true, ["fetch.min.bytes"] = "many" } },
  tide.produce { topic = "o", rdkafka = { ["linger.ms"] = 5, debug = tide.secret_file "/none" }, tpoic = "p" },
  tide.commit_offsets {} }
]])
    for _, command in ipairs { "check", "plan", "run" } do
      local code, _, err = tidemill { command, path }
      assert.equal(78, code)
      local properties, others = 0, 0
      for line in err:gmatch("[^\n]+") do
        if line:find(path .. ':3: option "rdkafka": librdkafka', 1, true) then properties = properties + 1 end
        if line:find(path .. ':5: option "tpoic": unknown', 1, true) then others = others + 1 end
      end
      assert.same({ 3, 1 }, { properties, others }, err)
    end
  end)

  it("what cannot work is exit 69 when the brokers do not answer", function()
    local path = pipeline(IDENTITY, 'broker_timeout = "500ms"')
    for _, arguments in ipairs { { "check", path, "--connect" }, { "run", path } } do
      local code, out, err = tidemill(arguments)
      assert.same({ 69, "" }, { code, out }, err)
      assert.equal(1, select(2, err:gsub('brokers "127.0.0.1:1" not reached within', "")), err)
    end
  end)
end)

describe("check", function()
  local GOOD = "%s: trust standard: no network; reads no files but those that loading it needs; writes none\n"
    .. "%s: good\n"
  local function without_kernel(out) return (out:gsub("; kernel: [%w ]+, [%w ]+", "")) end

  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("check finds the examples good", function()
    for _, name in ipairs { "clean_events", "aggregate", "batch_lookup", "csv_to_json", "dead_letter", "edit_field",
      "enrich", "filter_by_key", "redact", "route", "split" } do
      name = "scripts/" .. name .. ".lua"
      local code, out, err = tidemill { "check", name }
      assert.same({ 0, GOOD:format(name, name), "" }, { code, without_kernel(out), err })
    end
    local code, out, err = tidemill { "check", "scripts/identity.lua" } -- the least there is: it has no dlq
    local wanted = GOOD:gsub("%%s", "scripts/identity.lua")
    assert.same({ 0, wanted, 1 }, { code, without_kernel(out), select(2, err:gsub(": warning: no dlq", "")) })
  end)

  it("check warns of what is legal but unwise, and runs nothing", function()
    local path = pipeline_file.write([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "b", topic = "t", group = "g" },
  tide.run_task_with_multiprocessing { function(m) return m end, processes = 1, input_block_size = "8KiB" } }
]])
    local code, out, err = tidemill { "check", path }
    assert.same({ 0, GOOD:format(path, path) }, { code, without_kernel(out) })
    local count = select(2, err:gsub(": warning: ", ""))
    assert.equal(5, count, err)
  end)
end)

describe("a signal", function()
  local pipe

  after_each(function()
    if pipe then pipe:close() end
    pipe = nil
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- A run that reads from a named pipe which stays open, so that the input never ends by itself.
  local function start(path, folder, more)
    local fifo = folder .. "/fifo"
    assert(os.execute("mkfifo " .. fifo))
    pipe = assert(io.open(fifo, "r+"))
    return process.start { PROGRAM, "run", path, "--input", fifo, unpack(more or {}) }
  end

  it("a signal lets what was read be finished: exit 0", function()
    local path, folder = pipeline(IDENTITY)
    local one = start(path, folder)
    pipe:write("first\n")
    pipe:flush()
    wait.until_true(function() return one:stdout() == "first\n" end, "the first line")
    pipe:write("second\nthird\n")
    pipe:flush()
    wait.until_true(function() return one:stdout():find("third") end, "the third line")
    one:signal("TERM")
    assert.equal(0, one:wait())
    assert.equal("first\nsecond\nthird\n", one:stdout())
    assert.is_truthy(one:stderr():find("SIGTERM: finishing", 1, true), one:stderr())
  end)

  local function is_taken(pid)
    return files.read(("/proc/%d/status"):format(pid)):find("ShdPnd:%s*0+\n") ~= nil
  end

  -- As timeout(1) sends it: to its command, and to the group that it is in. "once": too slow for that; nil: unclear.
  local function twice(one)
    local deadline = wait.now() + 60
    one:signal("TERM")
    while not is_taken(one:pid()) do assert(wait.now() < deadline, "the signal is not taken") end
    if one:stderr():find("finishing", 1, true) then return "once" end
    return one:signal "TERM" and not one:stderr():find("finishing", 1, true) and "twice" or nil
  end

  it("a signal that comes twice within a moment is one", function()
    for _ = 1, 10 do
      local gate = pipeline_file.folder() .. "/gate"
      local path, folder = pipeline(([[function(message)
        repeat local file = io.open(%q) until file
        return message
      end]]):format(gate), ("files = { read = %q }"):format(gate:match "^(.*)/"))
      local one = start(path, folder)
      pipe:write("first\n")
      pipe:flush()
      wait.until_true(function() return one:stderr():find("read 1,") end, "the message to be read")
      local sent = twice(one)
      write(gate, "")
      local code, out = one:wait(), one:stdout()
      if sent then assert.same({ 0, "first\n" }, { code, out }, one:stderr()) end
      if sent == "twice" then return end
    end
    error "it was not sent twice in time"
  end)

  it("a signal the second time ends it at once: 143, or 130 for Ctrl-C", function()
    for name, expected in pairs { TERM = 143, INT = 130 } do
      local path, folder = pipeline([[function(message) while true do end end]])
      local one = start(path, folder)
      pipe:write("stuck\n")
      pipe:flush()
      wait.until_true(function() return one:stderr():find("read 1,") end, "the message to be read")
      one:signal(name)
      wait.until_true(function() return one:stderr():find("finishing") end, "the first signal to be seen")
      assert.is_true(one:running())
      one:signal(name)
      assert.equal(expected, one:wait()) -- 0 once join_timeout has passed
      pipe:close()
      pipe = nil
    end
  end)

  it("a signal is not needed for progress: a line a second tells totals, lag and batches", function()
    local path, folder = pipeline(IDENTITY)
    local one = start(path, folder)
    pipe:write("first\n")
    pipe:flush()
    local line = wait.until_true(function() return one:stderr():match("[^\n]*read 1,[^\n]*\n") end, "a line")
    local form = "read 1, produced %d, filtered 0, [%d,]+/s, lag .*, in flight %d, batches %d of 1 processes"
    assert.is_truthy(line:find(form), line)
  end)
end)
