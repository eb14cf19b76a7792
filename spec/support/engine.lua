-- SPDX-License-Identifier: MIT
-- The program on a real Kafka: a pipeline file from a table, `tidemill run` on it in a process of its own, and what
-- shows from outside: log lines, report, exit code, processes. Call engine.stop_all() in after_each.
--
-- A definition: source, produce, commit, dlq, settings = options by name (source.brokers is the broker of the specs);
-- task = the text of a Lua function (the identity without), task_options beside it; steps = text in place of the task
-- and the sink; head = text before the pipeline. engine.code "tide.env('X')" stands for itself.
local cjson = require "cjson"
local kafka = require "spec.support.kafka"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local engine = {}
local methods = {}
local metatable = { __index = methods }

engine.PROGRAM = require("spec.support.program").path -- a spec may put another one here

local code = {}

--- Lua text that goes into the pipeline file as it is.
function engine.code(text)
  return setmetatable({ text = text }, code)
end

local function literal(value)
  if getmetatable(value) == code then return value.text end
  if type(value) == "string" then return ("%q"):format(value) end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for name, item in pairs(value) do parts[#parts + 1] = ("[%s] = %s"):format(literal(name), literal(item)) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function options_of(given, defaults)
  local all = {}
  for name, value in pairs(defaults) do all[name] = value end
  for name, value in pairs(given or {}) do all[name] = value end
  return all
end

local function steps_of(definition)
  if definition.steps then return definition.steps end
  local options = literal(options_of(definition.task_options, { processes = 1 }))
  return ("tide.run_task_with_multiprocessing { %s, %s },\ntide.produce %s"):format(
    definition.task or "function(message) return message end", options:sub(3, -3), literal(definition.produce))
end

--- Writes the pipeline file; returns its path and the folder.
function engine.file(definition)
  local settings = options_of(definition.settings, {})
  if definition.dlq then settings.dlq = engine.code("tide.dlq " .. literal(definition.dlq)) end
  local parts = {
    "tide.kafka_source " .. literal(options_of(definition.source, { brokers = kafka.bootstrap() })),
    steps_of(definition), "tide.commit_offsets " .. literal(definition.commit or {}),
  }
  local text = table.concat(parts, ",\n")
  if next(settings) then text = text .. ",\n" .. literal(settings):sub(3, -3) end
  return pipeline_file.write(('local tide = require "tidemill"\n%s\nreturn tide.pipeline "spec" {\n%s }\n'):format(
    definition.head or "", text))
end

--- Starts `tidemill run`; every wait (spec.support.wait) watches it until its end is waited for.
--- options: args = further flags, env, program (another build's). The same definition may be
--- started several times.
function engine.start(definition, options)
  options = options or {}
  local path, folder = engine.file(definition)
  local self = setmetatable({ path = path, folder = folder, report_path = folder .. "/report.json" }, metatable)
  local program = options.program or engine.PROGRAM
  self.process = process.start({ program, "run", path, "--report", self.report_path, unpack(options.args or {}) },
    { env = options.env })
  wait.watch(self.process)
  return self
end

--- Runs to the ends that the partitions have at start; fails when the exit code is not options.code (0).
function engine.run(definition, options)
  options = options or {}
  local self = engine.start(definition, { args = { "--until-end", unpack(options.args or {}) }, env = options.env,
    program = options.program })
  self:ends_with(options.code or 0, options.timeout)
  return self
end

--- Another verb, on a pipeline file of this definition: exit code, stdout, stderr.
function engine.verb(verb, definition, options)
  options = options or {}
  return process.run({ engine.PROGRAM, verb, (engine.file(definition)), unpack(options.args or {}) },
    { env = options.env })
end

--- Waits for the end; fails when the exit code is another.
function methods:ends_with(wanted, seconds)
  self.code = self.process:wait(seconds or 60)
  assert(self.code == wanted, ("exit code %s in place of %d: %s"):format(self.code or "none yet", wanted,
    self:stderr()))
  return self
end

function methods:signal(name)
  return self.process:signal(name)
end

-- Before its loop turns, SIGTERM ends it as it ends any program: all may be committed before it has begun.
local function runs(self)
  local text = self:stderr()
  return text:find "assigned" or text:find "info read %d"
end

--- SIGTERM once it runs, and the end with code 0.
function methods:drain(seconds)
  wait.until_true(function() return runs(self) or not self.process:running() end,
    function() return "a run that has begun: " .. self:stderr() end)
  self:signal("TERM")
  return self:ends_with(0, seconds)
end

function methods:stderr()
  return self.process:stderr()
end

--- True when the log (or whatever it says on stderr) has `text`.
function methods:says(text)
  return self:stderr():find(text, 1, true) ~= nil
end

--- Waits for `text` on stderr while it runs.
function methods:wait_for(text)
  wait.until_true(function() return self:says(text) or not self.process:running() end,
    function() return ("%q on stderr: %s"):format(text, self:stderr()) end)
  assert(self:says(text), ("it ended without saying %q: %s"):format(text, self:stderr()))
  return self
end

--- What the last progress line counts under a name ("read", "produced"); 0 before the first.
function methods:total(name)
  local last = "0"
  for number in self:stderr():gmatch("%f[%a]" .. name .. " ([%d,]+)") do last = number end
  return tonumber((last:gsub(",", "")))
end

function methods:report()
  local file = assert(io.open(self.report_path), "no report")
  local text = file:read("*a")
  file:close()
  return cjson.decode(text)
end

--- Pids of the zygote's children, in the order of their start. With a count: once there are so many, since the zygote
--- forks them while the engine goes on.
function methods:workers(count)
  local function now() return process.workers(self.process:pid()) end
  if count then wait.until_true(function() return #now() == count end, count .. " workers") end
  return now()
end

--- Pids of the engine, its zygote and its workers.
function methods:processes()
  return process.descendants(self.process:pid())
end

function engine.stop_all()
  process.stop_all()
  pipeline_file.remove_all()
end

return engine
