-- SPDX-License-Identifier: MIT
-- The end-to-end checker on a real Kafka: load, faults, a quiet phase, and the judgement. scripts/torture/run.sh starts
-- the Kafka; here TIDE_KAFKA and TIDE_KAFKA_DIR name it. From the environment:
--   TORTURE_PART    a part of parts.lua (short)        TORTURE_MODE  at_least_once | exactly_once (at_least_once)
--   TORTURE_SEED    of the schedule (the time)         TORTURE_SCALE of the numbers of faults (1)
--   TORTURE_PATIENCE  seconds without a commit in the quiet phase until it is stuck (60)
--   TORTURE_REPORT  file to put the result's row into (none)
--   TORTURE_DIR     folder for journal and logs of the engines (a new one; removed when nothing failed)
-- Exit code: 0; 1 when a promise was broken; 64 usage.
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local fleet = require "scripts.torture.fleet"
local journal = require "scripts.torture.journal"
local judge = require "scripts.torture.judge"
local load = require "scripts.torture.load"
local nemesis = require "scripts.torture.nemesis"
local parts = require "scripts.torture.parts"
local recovery = require "scripts.torture.recovery"
local report = require "scripts.torture.report"

local PARTITIONS, PROCESSES, TIMEOUT_MS = 6, 4, 500 -- the last two: of pipeline.lua
local PROGRESS_SECONDS = 5
local USAGE = 64

-- Those after which an engine may read again what it has delivered.
local DISTURBING = { "kill_engine", "kill_zygote", "stop_engine", "leave", "lose", "freeze", "kill_broker",
  "restart_broker", "stop_broker" }

local function say(format, ...)
  io.stdout:write("torture: ", format:format(...), "\n")
  io.stdout:flush()
end

local function usage(text)
  io.stderr:write("torture: ", text, "\n")
  os.exit(USAGE)
end

local function number(name, default)
  local text = os.getenv(name)
  if not text or text == "" then return default end
  return tonumber(text) or usage(("%s=%s: not a number"):format(name, text))
end

local function folder()
  local given = os.getenv("TORTURE_DIR")
  if given and given ~= "" then return given, true end
  local pipe = assert(io.popen("mktemp -d"))
  local path = pipe:read("*l")
  pipe:close()
  return path, false
end

local function new_run()
  local self = { part = os.getenv("TORTURE_PART") or "short", mode = os.getenv("TORTURE_MODE") or "at_least_once",
    seed = number("TORTURE_SEED", os.time()), scale = number("TORTURE_SCALE", 1),
    patience = number("TORTURE_PATIENCE", 60) }
  self.spec = parts.LIST[self.part] or usage(("TORTURE_PART=%s: no such part"):format(self.part))
  if self.mode ~= "at_least_once" and self.mode ~= "exactly_once" then
    usage(("TORTURE_MODE=%s: neither at_least_once nor exactly_once"):format(self.mode))
  end
  if not kafka.bootstrap() then usage("TIDE_KAFKA is not set; scripts/torture/run.sh starts a Kafka") end
  self.dir, self.keeps = folder()
  self.journal = self.dir .. "/journal"
  return self
end

local function make_topics(self)
  local appended = { ["message.timestamp.type"] = "LogAppendTime" }
  self.input, self.group, self.partitions = kafka.topic(PARTITIONS), kafka.group(), PARTITIONS
  for _, name in ipairs { "output", "second", "letters" } do self[name] = kafka.topic(PARTITIONS, appended) end
  self.parameters = { brokers = kafka.bootstrap(), input = self.input, group = self.group, output = self.output,
    second = self.second, letters = self.letters, delivery = self.mode }
end

local function struck_sum(struck)
  local sum = 0
  for _, count in pairs(struck) do sum = sum + count end
  return sum
end

local function progress(self)
  if wait.now() < (self.progress_at or 0) then return end
  self.progress_at = wait.now() + PROGRESS_SECONDS
  say("%s, %s, %d s: %d of %d faults, %d fed, %d through", self.part, self.mode, wait.now() - self.began,
    struck_sum(self.nemesis.struck), #self.nemesis.events, self.load.fed, self.load.committed)
end

local function turn(self, feeding)
  self.fleet:turn()
  self.load:turn(feeding)
  progress(self)
  wait.pause(2)
end

local function torment(self)
  while self.nemesis:turn() do turn(self, true) end
end

-- Nothing strikes any more: all that was fed must come through.
local function drain(self)
  wait.until_true(function()
    turn(self, false)
    return self.load:quiet()
  end, 90, "the load to be fed")
  local ends = wait.until_true(function() -- a broker that has just come back does not lead its partitions at once
    turn(self, false)
    local answered, highs = pcall(kafka.ends, self.input)
    return answered and highs
  end, 30, "the ends of the input")
  self.load.moved = wait.now()
  while self.load:behind(ends) do
    turn(self, false)
    if wait.now() - self.load.moved > self.patience then
      table.insert(self.fleet.problems, "stuck: " .. self.load:behind(ends))
      break
    end
  end
  self.fleet:finish(wait)
  self.ends = ends
end

local function disturbances(struck)
  local sum = 0
  for _, name in ipairs(DISTURBING) do sum = sum + (struck[name] or 0) end
  return sum
end

local function judged(self)
  local case = { mode = self.mode, strict = self.spec.strict, disturbances = disturbances(self.nemesis.struck),
    ends = self.ends, committed = kafka.committed(self.group, self.input) }
  for _, name in ipairs { "input", "output", "second", "letters" } do case[name] = kafka.consume(self[name]) end
  local entries = journal.read(self.journal)
  self.struck, self.findings = self.nemesis.struck, judge.run(case)
  self.workers = recovery.workers(entries, PROCESSES, TIMEOUT_MS)
  self.engines = recovery.engines(entries, { case.output, case.second })
  return report.failures(self.findings, self.fleet.problems, entries)
end

local function execute(self)
  say("%s, %s: TORTURE_SEED=%d", self.part, self.mode, self.seed)
  make_topics(self)
  self.began = wait.now()
  self.fleet, self.load = fleet.new(self), load.new(self)
  self.nemesis = nemesis.new(parts.schedule(self.spec, self.seed, self.scale), self.fleet, self)
  for _, name in ipairs(self.spec.static) do self.fleet:add(name, true) end
  for _, name in ipairs(self.spec.dynamic) do self.fleet:add(name, false) end
  torment(self)
  drain(self)
  self.seconds = wait.now() - self.began
  local lines = judged(self)
  say("%s", report.summary(self))
  for _, line in ipairs(lines) do print(line) end
  local path = os.getenv("TORTURE_REPORT")
  if #lines == 0 and path and path ~= "" then report.write(path, self) end
  return #lines == 0
end

local run = new_run()
local done, well = xpcall(execute, debug.traceback, run)
if run.nemesis then run.nemesis:undo() end
process.stop_all()
if not done then io.stderr:write("torture: ", tostring(well), "\n") end
if done and well and not run.keeps then
  os.execute("rm -rf " .. run.dir)
else
  say("journal and logs: %s", run.dir)
end
os.exit(done and well and 0 or 1)
