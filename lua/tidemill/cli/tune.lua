-- SPDX-License-Identifier: MIT
-- cli/tune.lua: tidemill tune FILE: finds the settings with which the steps of a pipeline are fastest, on a backlog.
local backlog = require("tidemill.tuning.backlog")
local exit_code = require("tidemill.plan.exit_code")
local metrics = require("tidemill.metrics")
local options = require("tidemill.cli.options")
local plan = require("tidemill.plan.plan")
local posix = require("tidemill.run.posix")
local search = require("tidemill.tuning.search")
local settings = require("tidemill.tuning.settings")
local table_rows = require("tidemill.plan.table_rows")
local sizes = require("tidemill.plan.sizes")
local stderr = require("tidemill.cli.stderr")
local table_of = require("tidemill.cli.tune.table")
local trial = require("tidemill.tuning.trial")
local types = require("tidemill.plan.types")
local units = require("tidemill.plan.units")
local whole_number = require("tidemill.cli.dlq.filter").whole_number

local tune = {
  summary = "Find the settings with which a pipeline is fastest, on a backlog.",
  description = "Find the settings of each run_task_with_multiprocessing step with which a pipeline is fastest, in "
    .. "the order of the tuning procedure: input block, batch, output block, processes. It runs the pipeline again "
    .. "and again for a short time on a backlog: its topic, or --input FILE. Nothing is committed in the pipeline's "
    .. "group, and nothing is written to its topics or files: results are discarded, or go to --output-topic, and "
    .. "dead letters are counted and discarded. What the functions do outside of the pipeline (requests, writes) "
    .. "happens in each run. A row for each run, and the lines to paste, go to standard output; all other text goes "
    .. "to standard error. Ctrl-C ends it at once. docs/tuning.md tells how it searches.",
}

local FAILURES = 3 -- so many runs that fail one after the other end it
local NOISY = 0.1 -- the relative deviation of a run above which the user is told
local BUSY = 0.05 -- the share of the processors' time that something else took above which the user is told
local SHORT = 0.5 -- of --seconds: the user is told when the backlog lasts less
local REJECTED = 0.01 -- a share of dead letters above which the user is told
local MOST_SECONDS = 600

-- `show` makes a text of the least and the most.
local function parsed_by(flag, parse, least, most, show)
  return function(text)
    local value, reason = parse(text)
    if value and value >= least and value <= most then return value end
    return nil, ("%s %s: %s"):format(flag, text, reason or ("must be from %s to %s"):format(show(least), show(most)))
  end
end

function tune.define(command)
  options.file(command)
  options.set(command)
  command:option("--input"):argname("FILE"):description("Read the backlog from FILE (- is stdin) in place of the "
    .. "source. It is read into memory, and from there again and again, so that the source is not measured.")
  command:option("--input-format"):argname("FORMAT"):choices({ "lines", "json" })
    :description("lines: each line is a value. json: lines as `tidemill record` writes them.")
  command:option("--start"):argname("WHERE"):convert(function(text)
    local start, reason = types.parse({ type = "start" }, text)
    if start and start.kind == "TIDE_START_LATEST" then start, reason = nil, "has no backlog behind it" end
    if not start then return nil, ("--start %s: %s"):format(text, reason) end
    return start
  end):description('Where each run begins in the partitions of the topic: "earliest" (the default), an offset, or a '
    .. 'moment as "2026-01-31T12:00:00Z".')
  command:option("--messages"):argname("N"):default("100000"):convert(whole_number("--messages", 1))
    :description("How many messages a run reads of the topic at most, or how many lines of FILE make the backlog.")
  command:option("--seconds"):argname("S"):default("2"):convert(parsed_by("--seconds", units.number, 0.1,
    MOST_SECONDS, tostring))
    :description("How long a run is measured. Longer runs show smaller differences.")
  command:option("--runs"):argname("N"):default("40"):convert(whole_number("--runs", 1))
    :description("How many runs there may be for each step.")
  command:option("--output-topic"):argname("TOPIC"):description("Write the results to this topic, on the brokers of "
    .. "the pipeline's produce, in place of discarding them. It must not be one that the pipeline uses.")
  command:option("--max-processes"):argname("N"):convert(whole_number("--max-processes", 1, sizes.MOST_PROCESSES))
    :description("The most worker processes to try (default: the maximum that the file gives, else four for "
      .. "each core, or those of the file).")
  command:option("--max-memory"):argname("SIZE"):default("1GiB"):convert(parsed_by("--max-memory", units.size, 2 ^ 20,
    2 ^ 40, units.show_size)):description("The most memory that all blocks of a step may take.")
  command:flag("--json"):description("Write one JSON object a line: each run, and at the end what was found.")
end

local function usage(text, ...)
  stderr.failure(text, ...)
  return exit_code.USAGE
end

-- The topics that the pipeline reads or writes.
local function own_topics(planned)
  local topics, used = planned:kafka_topics(true), {}
  for _, side in ipairs { "source", "sink" } do
    for _, topic in ipairs(topics[side]) do used[topic] = true end
  end
  return used
end

-- Returns nil, or what is wrong with the flags for this pipeline.
local function misfit(parsed, planned)
  local source, sink = planned.tables.source.medium, planned.tables.sink.medium
  if parsed.input_format and not parsed.input then return "--input-format needs --input" end
  if parsed.start and (parsed.input or source ~= "TIDE_MEDIUM_KAFKA") then
    return "--start is for a topic; a file is read from its beginning"
  end
  if parsed.output_topic and sink ~= "TIDE_MEDIUM_KAFKA" then
    return "--output-topic: the pipeline has no produce that could write to it"
  end
  if parsed.input or source ~= "TIDE_MEDIUM_KAFKA" then
    local refused = table_rows.refusal(planned)
    if refused then return refused end
  end
  if parsed.output_topic and own_topics(planned)[parsed.output_topic] then
    return ("--output-topic %s: the pipeline itself uses this topic; name one that is only for this"):format(
      parsed.output_topic)
  end
end

-- The number of each step that can be tuned among all that have workers, as measurements have them.
local function numbers_of(planned, steps)
  local numbers = {}
  for number, row in ipairs(metrics.task_rows(planned)) do
    for _, member in ipairs(planned.tables.members[row]) do
      for i, step in ipairs(steps) do
        if member == step then numbers[i] = number end
      end
    end
  end
  return numbers
end

-- Returns what all runs have in common; or nil, the exit code, after the reason was written.
local function job_of(parsed, planned, steps)
  local job = { pipeline = planned.pipeline, steps = steps, seconds = parsed.seconds, topic = parsed.output_topic,
    settings = {} }
  for i, step in ipairs(steps) do job.settings[i] = settings.of(step) end
  local source = planned.tables.source
  local path = parsed.input or source.medium == "TIDE_MEDIUM_FILE" and source.path
  if path then
    local reason, code
    job.backlog, reason, code = backlog.load(path, parsed.input_format or "lines", parsed.messages)
    if job.backlog then return job end
    stderr.failure("%s", reason)
    return nil, code
  end
  job.start, job.count = parsed.start or { kind = "TIDE_START_EARLIEST", at = 0 }, parsed.messages
  job.group_of_pipeline = source.group
  return job
end

local NOTHING = { rate = 0, rejected = 1, overflow = { input = 0, output = 0 }, closes = {}, batch_messages = 0 }

local Tuning = {}
Tuning.__index = Tuning

-- Runs once with these settings of step `i`. A failure of one run says that the settings do not do; the first run, and
-- several in a row, end it all.
function Tuning:measure(i, wanted, stage)
  local job = self.job
  settings.put(job.settings, job.steps, i, wanted)
  self.runs = self.runs + 1
  job.group = ("%s.tune-%d-%d-%d"):format(job.group_of_pipeline or "", os.time(), posix.getpid(), self.runs)
  local measurement = trial.run(job)
  if measurement.failed then
    self.failures = self.failures + 1
    if self.runs == 1 or self.failures == FAILURES then error(measurement, 0) end
    stderr.failure("run %d failed: %s", self.runs, measurement.failed)
    return NOTHING
  end
  self.failures = 0
  if measurement.rejected > REJECTED and self.runs == 1 then
    stderr.line(("  %.0f %% of the messages become dead letters: is this the right backlog?"):format(
      measurement.rejected * 100))
  end
  if measurement.seconds < job.seconds * SHORT and not self.warned then
    self.warned = true
    stderr.line(("  the messages end after %.3g s: what is measured is rough; give more of them (--messages), or begin "
      .. "further back (--start)"):format(measurement.seconds))
  end
  self.out:row { run = self.runs, step = i, stage = stage, settings = wanted, measurement = measurement }
  self.last[settings.key(wanted)] = measurement
  self.others, self.stolen = self.others + measurement.others, self.stolen + measurement.stolen
  return trial.of_step(measurement, self.numbers[i])
end

local STAGES = { start = "the settings of the file", input_block = "input block", batch = "size and time of batches",
  output_block = "output block", processes = "next step and processes", confirm = "the last comparison" }

-- Tells when the machine was no good place to measure, and why.
function Tuning:doubts(found)
  if found.noise > NOISY then
    stderr.line(("  runs with the same settings differ by %.0f %%: a longer --seconds tells more"):format(
      found.noise * 100))
  end
  local others, stolen = self.others / found.runs, self.stolen / found.runs
  if others > BUSY then
    stderr.line(("  other programs used %.0f %% of the processors' time meanwhile: tune again when they do not"):format(
      others * 100))
  end
  if stolen > BUSY then
    stderr.line(("  the host of this virtual machine kept back %.0f %% of the processors' time (steal) meanwhile: what "
      .. "was found is rough"):format(stolen * 100))
  end
end

function Tuning:step(i, limits, runs)
  local begin = self.job.settings[i]
  self.last, self.others, self.stolen = {}, 0, 0
  local stage_before
  local found = search.run { settings = begin, runs = runs, limits = limits,
    measure = function(wanted, stage)
      if stage ~= stage_before then stderr.line(("step %d: %s"):format(i, STAGES[stage])) end
      stage_before = stage
      return self:measure(i, wanted, stage)
    end,
    say = function(_, text) stderr.line("  " .. text) end }
  settings.put(self.job.settings, self.job.steps, i, found.settings)
  self:doubts(found)
  return { step = self.job.steps[i], number = i, settings = found.settings, runs = found.runs,
    changed = settings.key(found.settings) ~= settings.key(begin), before = found.before, after = found.after,
    measurement = self.last[settings.key(found.settings)] or self.last[settings.key(begin)] }
end

local function tune_all(self, parsed)
  local list = {}
  for i, step in ipairs(self.job.steps) do
    list[i] = self:step(i, { memory = math.min(parsed.max_memory, self.memory_limit or math.huge),
      processes = parsed.max_processes or settings.most_processes(step),
      by_key = step.values.order == "key" }, parsed.runs)
  end
  -- A later step may have changed the processes of a pool that an earlier one shares.
  for i, found in ipairs(list) do found.settings = self.job.settings[i] end
  self.out:finish(list)
end

function tune.run(parsed)
  local planned, texts, status = plan.load(parsed.file, { set = parsed.set })
  if not planned then
    stderr.lines(texts)
    return status
  end
  local wrong = misfit(parsed, planned)
  if wrong then return usage("%s", wrong) end
  local steps = settings.steps(planned.pipeline)
  if #steps == 0 then
    stderr.line(("%s: there is nothing to tune: the pipeline has no run_task_with_multiprocessing step"):format(
      parsed.file))
    return exit_code.CONFIG
  end
  local job, code = job_of(parsed, planned, steps)
  if not job then return code end
  local self = setmetatable({ job = job, numbers = numbers_of(planned, steps), out = table_of.new(parsed.json),
    memory_limit = planned.tables.memory_limit, runs = 0, failures = 0 }, Tuning)
  stderr.line(("tuning %d step%s, with at most %d runs of about %g s for each"):format(#steps, #steps > 1 and "s" or "",
    parsed.runs, parsed.seconds * 1.5))
  local done, problem = pcall(tune_all, self, parsed)
  if done then return exit_code.OK end
  if type(problem) ~= "table" then error(problem, 0) end
  stderr.failure("run %d failed: %s", self.runs, problem.failed)
  return problem.code
end

return tune
