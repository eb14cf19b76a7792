-- SPDX-License-Identifier: MIT
-- testing/init.lua tests transforms and pipelines in busted. What is tested runs as in production, in worker processes
-- over real blocks; only source, sink and clock belong to the test.
--
--   local testing = require "tidemill.testing"
--   local test = testing.transform "transform.lua"         -- or a function; or testing.pipeline "pipeline.lua"
--   test:feed('{"level":"info"}', { value = "x", key = "k", partition = 1 })
--   assert.produces(test, { '{"level":"info","seen":true}' })
--   testing.close()                                        -- in after_each: closes all tests that are open
local ffi = require("ffi")
local cjson = require("cjson")
local arguments = require("tidemill.testing.arguments")
local base64 = require("tidemill.lib.base64")
local engine = require("tidemill.run.engine")
local header_codec = require("tidemill.run.headers")
local of_command = require("tidemill.testing.level")
local json = require("tidemill.run.json")
local library = require("tidemill.run.ffi")
local list = require("tidemill.steps.list")
local pipeline_file = require("tidemill.plan.pipeline_file")
local metrics = require("tidemill.metrics")
local declaration = require("tidemill.plan.declaration")
local plan = require("tidemill.plan.plan")
local session = require("tidemill.plan.session")
local table_rows = require("tidemill.plan.table_rows")
local C = library.C

local testing = {}
local Test = {}
Test.__index = Test

local LIMIT = 30 -- seconds of the real clock that feeding may take
local RETRY_PAUSE_US = 10000000 -- the longest pause between two tries (engine/chain/task_retry.c)
local OF_MESSAGES = { "read", "produced_from", "filtered", "dead_lettered" } -- a tick is none (Test:watermark)
local open = {} -- tests that are not closed yet
local here = debug.getinfo(1, "S").source

-- The folder of the file that called into this one.
local function caller_folder()
  for level = 2, math.huge do
    local info = debug.getinfo(level, "S")
    if not info then return nil end
    local path = info.source ~= here and info.source:match("^@(.*)$")
    if path then return pipeline_file.folder(path) end
  end
end

local function is_there(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

-- A path starts from the current folder, or else from the folder of the spec or the one above, so that the same spec
-- runs from wherever it is called. When the file is nowhere, the error names the first path.
local function find(path)
  local folder = path:sub(1, 1) ~= "/" and caller_folder()
  if is_there(path) or not folder then return path end
  for _, candidate in ipairs { folder .. "/" .. path, folder .. "/../" .. path } do
    if is_there(candidate) then return candidate end
  end
  return path
end

--- Begins a checked pipeline (plan/pipeline_file.lua) in memory. options: partitions (4), message_timeout
--- (microseconds; that of the pipeline), tables (rows by table and key). Returns the test, or nil and the reason.
function testing.open(pipeline, options)
  local letters = os.tmpname()
  local partitions = options.partitions or 4
  local planned = plan.new(pipeline, { memory = partitions, dead_letters = letters,
    tables = options.tables })
  planned.tables.dlq.max_invalid_ratio, planned.tables.dlq.max_consecutive_count = -1, -1
  planned.c.dlq.max_invalid_ratio, planned.c.dlq.max_consecutive_count = -1, -1
  planned.c.message_timeout_us = options.message_timeout or planned.c.message_timeout_us
  local made, problem = engine.new(planned)
  if not made then
    os.remove(letters)
    return nil, problem
  end
  local self = setmetatable({ engine = made, plan = planned, letters = letters, partitions = partitions,
    topics = planned.tables.source.topics, fed = 0, ticks = {} }, Test)
  for _, name in ipairs(OF_MESSAGES) do self.ticks[name] = 0 end
  self.source, self.sink = C.tide_engine_source(made.handle), C.tide_engine_sink(made.handle)
  assert(made:start {})
  open[self] = true
  return self
end

local function start(pipeline, options)
  local test, problem = testing.open(pipeline, options)
  if not test then error(problem, 3) end
  return test
end

-- Steps with state have one process, so that results of different keys come in one order in each run of a spec.
local function in_order(pipeline)
  for _, step in ipairs(pipeline.steps) do
    if step.spec.role == "keyed" then step.values.processes = 1 end
  end
end

--- Tests a pipeline file. options: set = values of --set by name, partitions = how many can be fed (4), trust = the
--- level of trust in place of the file's, tables = the rows of tables in place of their topics: { users = { u1 = {
--- name = "Ann" } } }.
function testing.pipeline(path, options)
  arguments.path(path, "testing.pipeline")
  options = arguments.options(options, "testing.pipeline", "set partitions trust tables")
  local pipeline, texts = pipeline_file.load(find(path), options.set, options.trust or of_command.trust)
  if not pipeline then error(table.concat(texts, "\n"), 2) end
  in_order(pipeline)
  return start(pipeline, options)
end

--- Tests steps as a pipeline has them, without source and sink. options: topics = those that a result may name,
--- partitions, tables (as of testing.pipeline; they need no declaration), and settings = those of a pipeline that say
--- what functions may do (trust, network, files, env).
function testing.steps(steps, options)
  arguments.steps(steps)
  options = arguments.options(options, "testing.steps", "topics partitions settings tables")
  local where = declaration.where(2)
  local source = declaration.new(list.file_source, { path = "-", topic = "in" }, where)
  local given = { source, unpack(steps) }
  for name, value in pairs(options.settings or {}) do given[name] = value end
  given.trust = given.trust or of_command.trust
  local current = session.new()
  local pipeline, texts = pipeline_file.check(declaration.new(list.pipeline, given, where), where.file, ".", current)
  if not pipeline then error(table.concat(texts, "\n"), 2) end
  pipeline.name, pipeline.secrets = "test", current.secrets
  local spec = list.produce
  pipeline.steps[#pipeline.steps + 1] = { name = "produce", spec = spec, given = {}, declaration = pipeline.declaration,
    values = { topic = "out", topics = options.topics, partition = "key", max_buffer_size = 1, max_buffer_bytes = 1 } }
  return start(pipeline, options)
end

--- Tests a transform: a function, or the path of a Lua file.
function testing.transform(transform, options)
  options = arguments.options(options, "testing.transform", "topics partitions settings tables")
  local where = declaration.where(2)
  if type(transform) == "string" then transform = find(transform) end
  local step = declaration.new(list.run_task_with_multiprocessing, { transform, processes = 1 }, where)
  return testing.steps({ step }, options)
end

local function turn(self, timeout)
  local event = self.engine:run(timeout)
  if event.kind == "failed" then error(event.text, 4) end
  return event
end

--- True when there is no more progress: all is read, and no worker has a batch. What waits for more messages or for the
--- clock stays where it is.
function Test:is_quiet()
  local totals = self.engine:totals()
  if totals.read < self.fed then return false end
  return totals.in_flight == 0 or metrics.steps_gauge(self.engine, self.plan, C.TIDE_M_BATCHES_IN_PROGRESS) == 0
end

-- What a turn has received from a worker that died then is forwarded by the next one, so two turns have to be quiet.
local function settle(self)
  local until_s, quiet = os.time() + LIMIT, 0
  repeat
    quiet = turn(self, 0).kind == "nothing" and self:is_quiet() and quiet + 1 or 0
    if quiet == 0 then turn(self, 0.005) end
    if os.time() > until_s then error(("the pipeline is not complete after %d s"):format(LIMIT), 3) end
  until quiet == 2
end

-- `message` is as arguments.message returns it.
local function push(self, message, flags)
  local c, headers = ffi.new("struct tide_message"), message.headers and header_codec.pack(message.headers)
  c.value, c.value_length = message.value, message.value and #message.value or 0
  c.key, c.key_length = message.key, message.key and #message.key or 0
  if headers then c.headers, c.headers_length = headers, #headers end
  c.timestamp, c.flags = message.timestamp, flags or 0
  C.tide_memory_push(self.source, message.partition, c)
  self.fed = self.fed + 1
end

-- Topics that are read into one state are read side by side: a message of another one waits for those before it.
local function push_behind(self, message)
  local topic = math.floor(message.partition / self.partitions)
  if self.last_topic and self.last_topic ~= topic then settle(self) end
  self.last_topic = topic
  push(self, message)
end

--- Feeds one message and does not wait.
function Test:push(message)
  push(self, (arguments.message(message, self.partitions, self.topics)))
end

--- Feeds messages (values, or { value, key, headers, timestamp, partition, topic }) and waits until there is no more
--- progress.
function Test:feed(...)
  local messages = {}
  for i = 1, select("#", ...) do messages[i] = arguments.message((select(i, ...)), self.partitions, self.topics) end
  for _, message in ipairs(messages) do push_behind(self, message) end -- all are checked before the first is fed
  settle(self)
  return self
end

local function field_of(object, name)
  local encoded = object[name .. "_base64"]
  if encoded then return assert(base64.decode(encoded)) end
  return object[name] ~= cjson.null and object[name] or nil
end

--- Returns the topic of a recorded message if the pipeline reads several into one state, and this one of them; else
--- nil, which stands for the first topic.
function Test:topic_of(name)
  for _, topic in ipairs(#self.topics > 1 and self.topics or {}) do
    if topic == name then return topic end
  end
end

--- Feeds the messages of a file that `tidemill record` wrote.
function Test:replay(path)
  for line in io.lines(path) do
    local object, headers = cjson.decode(line), {}
    for i, header in ipairs(object.headers) do headers[i] = { field_of(header, "name"), field_of(header, "value") } end
    push_behind(self, arguments.message({ value = field_of(object, "value"), key = field_of(object, "key"),
      headers = headers, timestamp = tonumber(object.timestamp), topic = self:topic_of(object.topic) },
      self.partitions, self.topics))
  end
  settle(self)
  return self
end

--- Gives a table a row, as if its topic had a message; a value of nil deletes it. What is fed next sees it.
function Test:put(name, key, value)
  for number, item in ipairs(self.plan.topic_tables) do
    if item.name == name then
      assert(self.engine:put_row(number - 1, tostring(key), table_rows.value(item, value)))
      return self
    end
  end
  error(('test:put: there is no table "%s"'):format(tostring(name)), 2)
end

--- Moves the clock on by seconds, or as "1min".
function Test:advance(time)
  C.tide_clock_advance(arguments.time(time, "test:advance"))
  settle(self)
  return self
end

--- Moves the watermark of a partition (all of them, when none is named) to a time, in ms since 1970 or as
--- "2026-01-31T12:00:00Z": timers that are due run. The grace of a step makes no difference.
function Test:watermark(time, partition)
  local at = arguments.moment(time, "test:watermark")
  local from, to = 0, self.partitions - 1
  if partition ~= nil then
    from = arguments.partition(partition, "test:watermark", self.partitions)
    to = from
  end
  for i = 0, #self.topics - 1 do
    for number = from, to do
      push(self, { timestamp = at, partition = number + i * self.partitions }, C.TIDE_MESSAGE_TICK)
    end
  end
  local before = self.engine:totals()
  settle(self)
  local after = self.engine:totals()
  for _, name in ipairs(OF_MESSAGES) do self.ticks[name] = self.ticks[name] + after[name] - before[name] end
  return self
end

--- Takes the partition away and gives it back, as a rebalance does: what is not committed is read again.
function Test:revoke(partition)
  partition = arguments.partition(partition, "test:revoke", self.partitions)
  local before = self.engine:totals()
  for i = 0, #self.topics - 1 do C.tide_memory_revoke(self.source, partition + i * self.partitions, false) end
  repeat until turn(self, 0.005).kind == "assigned"
  local after = self.engine:totals()
  self.fed = self.fed + (after.dropped - before.dropped)
  settle(self)
  return self
end

--- Ends the input: what waits for more messages is forwarded, and what waits to be tried again (tide.retry) is tried as
--- the clock is moved on, until it is complete.
function Test:finish()
  if self.finished then return self end
  C.tide_memory_end(self.source)
  local until_s = os.time() + LIMIT
  repeat
    local event = turn(self, 0.005)
    if event.kind == "nothing" and self:is_quiet() then C.tide_clock_advance(RETRY_PAUSE_US) end
    if os.time() > until_s then error(("the pipeline is not complete after %d s"):format(LIMIT), 2) end
  until event.kind == "done"
  self.finished = true
  return self
end

-- What a result has beside its fields: json, its value as a plain table, and as in a transform result:header "name".
local of_results = {}

function of_results.header(result, name)
  local value
  for _, header in ipairs(result.headers) do
    if header[1] == name then value = header[2] end
  end
  return value
end

local result_mark = {}

function result_mark.__index(result, name)
  if name == "json" then return json.public.table(result.value) end
  return of_results[name]
end

local function result_of(self, message)
  local topic = C.tide_topics_name(C.tide_engine_topics(self.engine.handle), message.target_topic)
  return setmetatable({
    value = message.value ~= nil and ffi.string(message.value, message.value_length) or nil,
    key = message.key ~= nil and ffi.string(message.key, message.key_length) or nil,
    headers = header_codec.read(message.headers, message.headers_length), timestamp = tonumber(message.timestamp),
    topic = topic ~= nil and ffi.string(topic) or nil,
    partition = message.target_partition >= 0 and message.target_partition or nil,
  }, result_mark)
end

--- Returns what was produced so far: { value, key, headers, timestamp, topic and partition (where a result named one)
--- }; result:header "name" and result.json (a plain table) too.
function Test:results()
  local results = {}
  while true do
    local message = C.tide_memory_get(self.sink, #results)
    if message == nil then return results end
    results[#results + 1] = result_of(self, message)
  end
end

--- Returns their values; false stands for null.
function Test:values()
  local values = {}
  for i, result in ipairs(self:results()) do values[i] = result.value or false end
  return values
end

--- Returns what was rejected so far: the dead letters as tables (reason, error, original_offset, ...).
function Test:rejects()
  local rejects = {}
  for line in io.lines(self.letters) do
    local letter = cjson.decode(line)
    for name, value in pairs(letter) do
      if value == cjson.null then letter[name] = nil end
    end
    rejects[#rejects + 1] = letter
  end
  return rejects
end

--- Returns how many messages were filtered so far.
function Test:filtered()
  return self:totals().filtered
end

--- Returns the totals: read, produced, produced_from, filtered, dead_lettered, dropped, in_flight.
function Test:totals()
  local totals = self.engine:totals()
  for name, count in pairs(self.ticks or {}) do totals[name] = totals[name] - count end
  return totals
end

--- Returns all metrics by name, as the report has them.
function Test:metrics()
  return metrics.collect(self.engine, self.plan)
end

--- Returns the offset that is committed for a partition; nil when none is.
function Test:committed(partition)
  partition = arguments.partition(partition, "test:committed", self.partitions)
  local offset = tonumber(C.tide_memory_committed(self.source, partition))
  return offset >= 0 and offset or nil
end

--- Ends the processes.
function Test:close()
  if not self.engine then return end
  open[self] = nil
  self.engine:free()
  self.engine = nil
  os.remove(self.letters)
end

--- Closes all tests that are open: after_each(testing.close).
function testing.close()
  for test in pairs(open) do test:close() end
end

testing.C, testing.Test = C, Test -- for the specs of tidemill itself

require("tidemill.testing.assertions")()
return testing
