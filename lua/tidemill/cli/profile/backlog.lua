-- SPDX-License-Identifier: MIT
-- cli/profile/backlog.lua: runs a pipeline file on a backlog in memory, again and again, and throws its results away,
-- while a worker of it is profiled. Nothing is read from Kafka, and nothing is sent.
local cjson = require("cjson.safe").new()
local ffi = require("ffi")
local base64 = require("tidemill.lib.base64")
local engines = require("tidemill.run.engine")
local exit_code = require("tidemill.plan.exit_code")
local header_codec = require("tidemill.run.headers")
local plan = require("tidemill.plan.plan")
local profile_request = require("tidemill.metrics.profile_request")
local profiling = require("tidemill.metrics.profiling")
local signals = require("tidemill.cli.signals")
local tide = require("tidemill.run.ffi")
local C = tide.C

local backlog = {}

local PARTITIONS, TURN = 4, 0.05
local MOST_MESSAGES, MOST_BYTES = 200000, 256 * 2 ^ 20
local ENDLESS = 1e15 -- messages

local function field_of(object, name)
  local encoded = object[name .. "_base64"]
  if type(encoded) == "string" then return base64.decode(encoded) end
  local value = object[name]
  return type(value) == "string" and value or nil
end

-- A message of a line that `tidemill record` wrote, or nil.
local function recorded(line)
  local object = cjson.decode(line)
  if type(object) ~= "table" or object.value == nil and object.value_base64 == nil then return nil end
  local headers = {}
  for i, header in ipairs(type(object.headers) == "table" and object.headers or {}) do
    headers[i] = { field_of(header, "name"), field_of(header, "value") }
  end
  return { value = field_of(object, "value"), key = field_of(object, "key"), headers = headers,
    timestamp = tonumber(object.timestamp) }
end

--- Reads the messages of a file (lines, or with format "json" those that `tidemill record` wrote). Returns an array, or
--- nil, the reason and the exit code.
function backlog.read(path, format)
  local file, reason = io.open(path)
  if not file then return nil, reason, exit_code.NO_INPUT end
  local messages, bytes = {}, 0
  for line in file:lines() do
    local message = format == "json" and recorded(line) or format ~= "json" and { value = line } or nil
    if not message then
      file:close()
      return nil, ("%s:%d: not a message as `tidemill record` writes it"):format(path, #messages + 1), exit_code.DATA
    end
    messages[#messages + 1], bytes = message, bytes + #line
    if #messages == MOST_MESSAGES or bytes > MOST_BYTES then break end
  end
  file:close()
  if #messages == 0 then return nil, path .. ": no message is in it", exit_code.NO_INPUT end
  return messages
end

local function push(source, number, message)
  local c = ffi.new("struct tide_message")
  local headers = message.headers and message.headers[1] and header_codec.pack(message.headers)
  c.value, c.value_length = message.value, message.value and #message.value or 0
  c.key, c.key_length = message.key, message.key and #message.key or 0
  if headers then c.headers, c.headers_length = headers, #headers end
  c.timestamp = message.timestamp or -1
  C.tide_memory_push(source, number % PARTITIONS, c)
end

-- The plan on memory, without limits of dead letters; or nil, texts, code.
local function load(path, set)
  local planned, texts, code = plan.load(path, { set = set, memory = PARTITIONS, dead_letters = "/dev/null",
    handle_signals = true })
  if not planned then return nil, texts, code end
  planned.tables.dlq.max_invalid_ratio, planned.tables.dlq.max_consecutive_count = -1, -1
  planned.c.dlq.max_invalid_ratio, planned.c.dlq.max_consecutive_count = -1, -1
  return planned
end

local function now()
  return tonumber(C.tide_clock_us()) / 1e6
end

-- Turns the engine until the profile is there: the text, or nil, the reason and the exit code.
local function take(engine, pool, index, seconds)
  local profile
  while true do
    local event = engine:run(TURN)
    if event.kind == "failed" then return nil, event.text, -event.status end
    if event.kind == "done" then return nil, "the pipeline ended before its profile", exit_code.INTERNAL end
    if event.kind == "signal" and signals.ends(event.number) then
      return nil, "stopped by a signal", exit_code.TEMPORARY
    end
    if not profile and engine:worker_pid(pool, index) then
      profile = profiling.new(engine, pool, index, seconds, now)
    end
    local text, reason
    if profile then text, reason = profile:turn() end
    if text == false then return nil, reason, exit_code.TEMPORARY end
    if text then return text end
  end
end

--- Profiles a worker of the pipeline file at `path` on `messages`. options: set, step, worker, seconds. Returns the
--- text of the profile (run/profile.lua) and the number of the step in the plan; or nil, an array of texts and the
--- exit code.
function backlog.profile(path, messages, options)
  local planned, texts, code = load(path, options.set)
  if not planned then return nil, texts, code end
  local pool, index, row = profile_request.find(planned, options.step, options.worker)
  if not pool then return nil, { index }, exit_code.USAGE end
  local engine, reason, status = engines.new(planned)
  if not engine then return nil, { reason }, -status end
  local source = C.tide_engine_source(engine.handle)
  for i, message in ipairs(messages) do push(source, i, message) end
  C.tide_memory_repeat(source, ENDLESS)
  C.tide_memory_discard(C.tide_engine_sink(engine.handle))
  local started, text
  started, reason, status = engine:start {}
  if started then
    text, reason, status = take(engine, pool, index, options.seconds)
  else
    status = -status
  end
  engine:free()
  if not text then return nil, { reason }, status end
  return text, row
end

return backlog
