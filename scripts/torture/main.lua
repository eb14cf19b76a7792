-- SPDX-License-Identifier: MIT
-- The end-to-end checker: it runs engines on a real Kafka under load, injects faults, then lets everything become
-- complete without faults, and compares what came out with what went in. scripts/torture/run.sh starts the Kafka;
-- TIDE_KAFKA and TIDE_KAFKA_DIR name it. Settings in the environment, with their defaults:
--   TORTURE_PART    a part of parts.lua (short)        TORTURE_MODE  at_least_once | exactly_once (at_least_once)
--   TORTURE_SEED    seed of the schedule (the time)    TORTURE_SCALE factor of the numbers of faults (1)
--   TORTURE_PATIENCE  seconds without a commit, once there are no more faults, after which the run is stuck (60)
--   TORTURE_REPORT  file into which the row of the result is put (none)
--   TORTURE_DIR     folder for the journal and the engines' logs (a new one, removed when nothing failed)
-- The exit code is 0, or 1 when a promise was broken, or 64 for a wrong setting. Start reading at `execute`.
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local fleet = require "scripts.torture.fleet"
local journal = require "scripts.torture.journal"
local checker = require "scripts.torture.checker"
local counts = require "scripts.torture.counts"
local load = require "scripts.torture.load"
local nemesis = require "scripts.torture.nemesis"
local parts = require "scripts.torture.parts"
local recovery = require "scripts.torture.recovery"
local report = require "scripts.torture.report"
local windows = require "scripts.torture.windows"

local JUDGES = { counts = counts, windows = windows } -- by what is kept for each key
local PARTITIONS, PROCESSES, TIMEOUT_MS = 6, 4, 1000 -- the last two are those of pipeline.lua
local PROGRESS_SECONDS = 5
local USAGE = 64
local MAX_LINES = 5 -- of what is wrong in one place

-- After these an engine may read again what it has delivered.
local DISTURBING = { "kill_engine", "kill_member", "stop_member", "lose_state", "kill_zygote", "stop_engine", "leave",
  "lose", "freeze", "kill_broker", "restart_broker", "stop_broker" }

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
  self.keyed, self.judge, self.backlog = self.spec.keyed, JUDGES[self.spec.keyed], self.spec.backlog
  if self.mode ~= "at_least_once" and self.mode ~= "exactly_once" then
    usage(("TORTURE_MODE=%s: neither at_least_once nor exactly_once"):format(self.mode))
  end
  if not kafka.bootstrap() then usage("TIDE_KAFKA is not set; scripts/torture/run.sh starts a Kafka") end
  self.dir, self.keeps = folder()
  self.journal = self.dir .. "/journal"
  return self
end

local function changelog(self, state)
  return ("%s.%s.changelog"):format(self.parameters.name, state)
end

-- An engine would make them, but not so that the broker compacts them while the run lasts.
local function make_changelogs(self)
  self.parameters.name = self.group
  kafka.set_broker { "log.cleaner.backoff.ms=1000" }
  for _, state in ipairs(self.judge.STATES) do
    kafka.topic(PARTITIONS, { ["cleanup.policy"] = "compact", ["max.message.bytes"] = 1114112, ["segment.ms"] = 5000,
      ["min.cleanable.dirty.ratio"] = 0.01 }, changelog(self, state))
  end
end

local function make_topics(self)
  local appended = { ["message.timestamp.type"] = "LogAppendTime" }
  self.input, self.group, self.partitions = kafka.topic(PARTITIONS), kafka.group(), PARTITIONS
  for _, name in ipairs { "output", "second", "dead_letters" } do self[name] = kafka.topic(PARTITIONS, appended) end
  self.parameters = { brokers = kafka.bootstrap(), input = self.input, group = self.group, output = self.output,
    second = self.second, dead_letters = self.dead_letters,
    delivery = self.mode, lanes = self.spec.lanes and "yes" or nil }
  if self.keyed then make_changelogs(self) end
end

local function count_injected(injected)
  local sum = 0
  for _, count in pairs(injected) do sum = sum + count end
  return sum
end

local function progress(self)
  if wait.now() < (self.progress_at or 0) then return end
  self.progress_at = wait.now() + PROGRESS_SECONDS
  say("%s, %s, %d s: %d of %d faults, %d written, %d complete", self.part, self.mode, wait.now() - self.began,
    count_injected(self.nemesis.injected), #self.nemesis.events, self.load.fed, self.load.committed)
end

local function turn(self, feeding)
  self.fleet:turn()
  self.load:turn(feeding)
  progress(self)
  wait.pause(2)
end

local function inject_faults(self)
  while self.nemesis:turn() do turn(self, true) end
end

-- Without faults all that was written must become complete.
local function drain(self)
  wait.until_true(function()
    turn(self, false)
    return self.load:quiet()
  end, 90, "the load to be written")
  local ends = wait.until_true(function() -- a broker that has just come back does not lead its partitions at once
    turn(self, false)
    local answered, highs = pcall(kafka.ends, self.input)
    return answered and highs
  end, 30, "the ends of the input")
  self.load.progress_at = wait.now()
  while self.load:lag(ends) do
    turn(self, false)
    if wait.now() - self.load.progress_at > self.patience then
      table.insert(self.fleet.problems, "stuck: " .. self.load:lag(ends))
      break
    end
  end
  self.fleet:finish(wait)
  self.ends = ends
end

-- A transaction that an engine without an instance has left open is ended by the broker, and until then what is behind
-- it is not to be read.
local function await_transactions(self)
  wait.until_true(function()
    for _, name in ipairs { "output", "second", "dead_letters" } do
      local stable, all = kafka.ends(self[name]), kafka.ends(self[name], "read_uncommitted")
      for partition, offset in pairs(all) do
        if stable[partition] ~= offset then return wait.pause(200) end
      end
    end
    return true
  end, 60, "the end of all transactions")
end

local function disturbances(injected)
  local sum = 0
  for _, name in ipairs(DISTURBING) do sum = sum + (injected[name] or 0) end
  return sum
end

-- The folder of each engine is judged, and one in which nothing was.
local function judge_state(self, truth)
  local problems = self.fleet.problems
  local function add(lines)
    for i = 1, math.min(#lines, MAX_LINES) do problems[#problems + 1] = lines[i] end
  end
  for _, state in ipairs(self.judge.STATES) do
    add(self.judge.judge_changelog(truth, state, kafka.consume(changelog(self, state))))
  end
  self.parameters.group = kafka.group() -- that of the run waits for its members
  kafka.commit(self.parameters.group, self.input, self.ends)
  local names = { "nobody" }
  for _, engine in ipairs(self.fleet.engines) do names[#names + 1] = engine.name end
  for _, name in ipairs(names) do
    local text, words = self.fleet:export(name)
    add(text and self.judge.judge_export(truth, "state of " .. name, text) or { words })
  end
end

-- Each reload without a canary has taken over.
local function judge_reloads(self)
  local count, wanted = 0, self.injected.reload or 0
  for _, one in ipairs(self.fleet.reports) do count = count + one.metrics["consumer.reload.count"] end
  if count < wanted then
    table.insert(self.fleet.problems, ("%d of %d reloads have taken over"):format(count, wanted))
  end
end

local function check(self)
  local entries = journal.read(self.journal)
  local case = { mode = self.mode, strict = self.spec.strict, disturbances = disturbances(self.nemesis.injected),
    long_stops = recovery.long_stops(entries, TIMEOUT_MS), ends = self.ends,
    committed = kafka.committed(self.group, self.input) }
  for _, name in ipairs { "input", "output", "second", "dead_letters" } do case[name] = kafka.consume(self[name]) end
  if self.keyed then
    local truth = self.judge.truth(case.input, self.spec.lanes)
    case[self.keyed] = truth
    judge_state(self, truth)
  end
  self.injected, self.findings = self.nemesis.injected, checker.run(case)
  judge_reloads(self)
  -- The journal does not tell the workers of one supervised engine, or revision, from those of another.
  self.workers = (self.spec.supervised or self.injected.reload) and {}
    or recovery.workers(entries, PROCESSES, TIMEOUT_MS)
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
  for _, name in ipairs(self.spec.supervised or {}) do self.fleet:add(name, true, parts.MEMBERS) end
  inject_faults(self)
  drain(self)
  await_transactions(self)
  self.seconds = wait.now() - self.began
  local lines = check(self)
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
