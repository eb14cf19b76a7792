-- SPDX-License-Identifier: MIT
-- What specs ask of a real Kafka, through build/kafka_tool: this process never holds a librdkafka thread, so it may
-- still host an engine that forks. `make test` starts the broker and sets TIDE_KAFKA and TIDE_KAFKA_DIR. A spec begins:
--
--   kafka.describe("what it is about", { partitions = 2 }, function(t) ... t.input, t.output, t.group ... end)
--
-- A message is { key =, value =, headers = { { name, value }, ... }, partition =, timestamp = (ms) }; an absent key,
-- value or header value is null, which is not "". Failures are errors with the broker's words.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local kafka = {}

local TOOL = "build/kafka_tool"
local serial = 0
local elsewhere -- kafka.use

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function contents(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- A sanitizer that this process runs under is not for the tool.
local function run(command, input)
  local files = { stdin = os.tmpname(), stdout = os.tmpname(), stderr = os.tmpname() }
  local file = assert(io.open(files.stdin, "wb"))
  file:write(input or "")
  file:close()
  local redirections = ("<%s >%s 2>%s"):format(files.stdin, files.stdout, files.stderr)
  local status = os.execute("env -u LD_PRELOAD " .. command .. " " .. redirections)
  local output, words = contents(files.stdout), contents(files.stderr)
  for _, path in pairs(files) do
    os.remove(path)
  end
  if status ~= 0 and status ~= true then error(words .. "(" .. command .. ")", 3) end
  return output
end

local function tool(arguments, input)
  local words = { TOOL, quote(assert(kafka.bootstrap(), "TIDE_KAFKA is not set")) }
  for _, argument in ipairs(arguments) do
    words[#words + 1] = quote(argument)
  end
  return run(table.concat(words, " "), input)
end

local function unique(kind)
  serial = serial + 1
  local self = io.open("/proc/self/stat"):read("*n")
  return ("%s-%d-%x-%d"):format(kind, self, os.time(), serial)
end

-- {[0] = 5} as "0:5"
local function pairs_of(offsets)
  local list = {}
  for partition, offset in pairs(offsets) do
    list[#list + 1] = partition .. ":" .. offset
  end
  return list
end

local function write_field(out, value)
  out[#out + 1] = value == nil and "~," or ("%d:%s,"):format(#tostring(value), value)
end

--- A message as the tool reads it from its standard input.
function kafka.encode(message) -- "%s" cuts nothing in LuaJIT, zero bytes included
  local out, headers = {}, message.headers or {}
  write_field(out, message.partition or -1)
  write_field(out, ("%.0f"):format(message.timestamp or 0))
  write_field(out, message.key)
  write_field(out, message.value)
  write_field(out, #headers)
  for _, header in ipairs(headers) do
    write_field(out, header[1])
    write_field(out, header[2])
  end
  return table.concat(out)
end

-- A function that returns the next field; null is nil.
local function reader(text)
  local at = 1
  return function()
    if text:sub(at, at) == "~" then
      at = at + 2
      return nil
    end
    local colon = assert(text:find(":", at, true), "a record ends early")
    local length = tonumber(text:sub(at, colon - 1))
    at = colon + length + 2
    return text:sub(colon + 1, colon + length)
  end, function() return at > #text end
end

local function decode(field)
  local message = { partition = tonumber(field()), offset = tonumber(field()), timestamp = tonumber(field()) }
  message.key, message.value, message.headers = field(), field(), {}
  for i = 1, tonumber(field()) do
    message.headers[i] = { (field()), (field()) }
  end
  return message
end

local function decode_all(text)
  local field, at_end = reader(text)
  local messages = {}
  while not at_end() do
    messages[#messages + 1] = decode(field)
  end
  return messages
end

--- Lets all that follows speak to another broker ("host:port"); nil: to that of the specs again.
function kafka.use(bootstrap)
  elsewhere = bootstrap
end

--- "host:port" of the broker, nil when there is none.
function kafka.bootstrap()
  local address = elsewhere or os.getenv("TIDE_KAFKA")
  return address ~= "" and address or nil
end

--- Starts the tool beside this process, for what must not be waited for: a process of spec.support.process.
--- arguments: the verb and its own; stdin: path of a file.
function kafka.start(arguments, stdin)
  return process.start({ TOOL, kafka.bootstrap(), unpack(arguments) }, { stdin = stdin, env = { LD_PRELOAD = false } })
end

--- Makes a topic and returns its name, one never used before unless `name` is given.
--- config = {["cleanup.policy"] = "compact"}
function kafka.topic(partitions, config, name)
  name = name or unique("topic")
  local arguments = { "create-topic", name, partitions }
  for property, value in pairs(config or {}) do
    arguments[#arguments + 1] = property .. "=" .. tostring(value)
  end
  tool(arguments)
  return name
end

--- The name of a group that nobody has used.
function kafka.group()
  return unique("group")
end

function kafka.add_partitions(topic, total)
  tool { "add-partitions", topic, total }
end

function kafka.delete_topic(topic)
  tool { "delete-topic", topic }
end

-- The coordinator says that a transaction has ended before its markers are in the partitions. Until then readers see
-- none of it, and nothing that lies behind it.
local function wait_for_markers(topic)
  wait.until_true(function()
    local readable, all = kafka.ends(topic), kafka.ends(topic, "read_uncommitted")
    for partition, offset in pairs(all) do
      if readable[partition] ~= offset then return false end
    end
    return true
  end, "the end of a transaction in topic " .. topic)
end

--- Returns when all are acknowledged. ending = "commit" or "abort" puts them in one transaction that ends so, and
--- returns when readers know it: the topic has no other transaction that is open; "open": that does not end, until the
--- broker aborts it a minute later.
function kafka.produce(topic, messages, ending)
  local records = {}
  for i, message in ipairs(messages) do
    records[i] = kafka.encode(message)
  end
  tool({ "produce", topic, ending }, table.concat(records))
  if ending == "commit" or ending == "abort" then wait_for_markers(topic) end
end

--- All committed messages from the beginnings to the present ends, in order per partition. With options n and timeout
--- (seconds) it stays until there are n of them or the time is over.
function kafka.consume(topic, options)
  options = options or {}
  return decode_all(tool { "consume", topic, options.n, options.n and (options.timeout or 60) })
end

--- The first `count` committed messages of each partition.
function kafka.sample(topic, count)
  return decode_all(tool { "sample", topic, count })
end

--- {partition = offset} from what the tool's verb "committed" has written.
function kafka.read_offsets(text)
  local offsets = {}
  for partition, offset in text:gmatch("(%d+) (%d+)\n") do
    offsets[tonumber(partition)] = tonumber(offset)
  end
  return offsets
end

--- {partition = offset} as the group has committed; partitions without are absent.
function kafka.committed(group, topic)
  return kafka.read_offsets(tool { "committed", group, topic })
end

--- Commits {partition = offset} for a group that has no members.
function kafka.commit(group, topic, offsets)
  tool { "commit", group, topic, unpack(pairs_of(offsets)) }
end

--- {partition = offset that the next message will get}, and {partition = first offset there is}. Without
--- "read_uncommitted" the end is that of what is committed.
function kafka.ends(topic, isolation)
  local lows, highs = {}, {}
  for partition, low, high in tool({ "ends", topic, isolation }):gmatch("(%d+) (%d+) (%d+)\n") do
    lows[tonumber(partition)], highs[tonumber(partition)] = tonumber(low), tonumber(high)
  end
  return highs, lows
end

--- Deletes what lies before {partition = offset}.
function kafka.delete_records(topic, offsets)
  tool { "delete-records", topic, unpack(pairs_of(offsets)) }
end

--- Lets a user do something with a topic or group, on a broker with an authorizer. kind = "topic" or "group",
--- operation = "read", "write" or "describe".
function kafka.allow(user, kind, name, operation)
  tool { "allow", user, kind, name, operation }
end

--- Takes that back.
function kafka.forbid(user, kind, name, operation)
  tool { "forbid", user, kind, name, operation }
end

--- Sets settings of the broker while it runs: { "name=value", ... }. Those that were set so before go.
function kafka.set_broker(settings)
  tool { "set-broker", "1", unpack(settings) }
end

-- The broker itself: gone by SIGKILL, stopped in order, back on the same port with the same data.
for _, verb in ipairs { "kill", "stop", "restart" } do
  kafka[verb .. "_broker"] = function()
    run(("scripts/dev/kafka.sh %s %s"):format(verb, quote(assert(os.getenv("TIDE_KAFKA_DIR"), "no TIDE_KAFKA_DIR"))))
  end
end

--- Pid of the broker, for SIGSTOP and SIGCONT.
function kafka.broker_pid()
  return tonumber(contents(assert(os.getenv("TIDE_KAFKA_DIR"), "no TIDE_KAFKA_DIR") .. "/pid"))
end

-- What kafka.describe gives to its specs. A name is made when it is first asked for.
local case = {}

local make = {
  input = function(options) return kafka.topic(unpack(options.input or { options.partitions or 1 })) end,
  output = function(options) return kafka.topic(unpack(options.output or { options.partitions or 1 })) end,
  letters = function(options) return kafka.topic(unpack(options.letters or { 1 })) end,
  group = function() return kafka.group() end,
}

function case.__index(t, name)
  if make[name] then t[name] = make[name](t.options) end
  return case[name] or rawget(t, name)
end

--- A definition of spec.support.engine that reads t.input from its beginning and writes t.output. Each table given goes
--- over those before it: options of `source` one by one, all else as a whole; false stands for nothing.
function case:definition(...)
  local source = { topic = self.input, group = self.group, start = "earliest" }
  local made = { produce = { topic = self.output } }
  for i = 1, select("#", ...) do
    for name, value in pairs((select(i, ...)) or {}) do made[name] = value or nil end
    for name, value in pairs(made.source or {}) do source[name] = value or nil end
  end
  if source.pattern or source.topics then source.topic = nil end
  made.source = source
  return made
end

--- describe(name, function(t)) of specs that need a broker: pending without one. For each `it` the topics t.input,
--- t.output and t.letters and the group t.group are new; a spec may put others in their place. All processes are
--- stopped behind it.
--- options: partitions of input and output (1); or input, output, letters = what kafka.topic takes: { 1, config }.
function kafka.describe(name, options, body)
  if not body then options, body = {}, options end
  local busted = require "busted" -- not before: the torture uses this module without it
  busted.describe(name, function()
    if not kafka.bootstrap() then return busted.pending("needs a Kafka") end
    local t = setmetatable({ options = options }, case)
    busted.before_each(function() t.input, t.output, t.letters, t.group = nil, nil, nil, nil end)
    busted.after_each(function()
      process.stop_all()
      pipeline_file.remove_all()
    end)
    return body(t)
  end)
end

return kafka
