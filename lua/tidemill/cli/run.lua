-- SPDX-License-Identifier: MIT
-- cli/run.lua: tidemill run FILE: its flags, and what they change in the plan. cli/engine_loop.lua runs the engine.
local engine_loop = require("tidemill.cli.engine_loop")
local engines = require("tidemill.plan.engines")
local exit_code = require("tidemill.plan.exit_code")
local files = require("tidemill.plan.files")
local in_place = require("tidemill.cli.in_place")
local input = require("tidemill.cli.try.input")
local metrics_options = require("tidemill.cli.metrics_options")
local options = require("tidemill.cli.options")
local plan = require("tidemill.plan.plan")
local record_line = require("tidemill.lib.record_line")
local report = require("tidemill.cli.report")
local revision = require("tidemill.plan.revision")
local stderr = require("tidemill.cli.stderr")
local table_rows = require("tidemill.plan.table_rows")

local run = {
  summary = "Run a pipeline until it is stopped (SIGTERM, Ctrl-C) or its input ends.",
  description = "Run a pipeline until it is stopped (SIGTERM, SIGINT, SIGQUIT) or its input ends. SIGHUP opens the "
    .. "files of output and dead letters again without emptying them, as logrotate needs it; logrotate may also empty "
    .. "them (copytruncate), since files are written at their end. It also loads transforms whose files have changed "
    .. "(docs/reload.md). When the log goes to a terminal, SIGHUP stops the pipeline. SIGUSR1 (`tidemill reload`) "
    .. "loads the transforms in any case; SIGUSR2 is ignored. With several engines (--engines) signals go to their "
    .. "supervisor, and all end with one exit code. The log never waits for the reader of standard error: lines that "
    .. "the reader does not take in time are lost, and a later line says how many. Output and dead letters do wait.",
}

local LEVELS = { "error", "warn", "info", "debug" }

local function define_files(command)
  command:option("--input"):argname("FILE"):description("Read lines of FILE (- is stdin) in place of the source.")
  command:option("--input-format"):argname("FORMAT"):choices({ "lines", "json" })
    :description("lines: each line is a value, without a key. json: lines as --output-format json and `tidemill "
      .. "record` "
      .. "write them, with key and headers. Read a compressed file by a pipe: zcat FILE.gz | tidemill run ... "
      .. "--input -")
  command:option("--output"):argname("FILE")
    :description("Write lines to FILE (- is stdout) in place of the sink; with --input alone: stdout. It is emptied "
      .. "first, unless state_dir says how far it was written.")
  command:option("--dead-letters"):argname("FILE")
    :description("Append dead letters to FILE in place of the dlq topic; with --input or --output alone: stderr. "
      .. "`tidemill dlq count FILE` tells what is in it.")
  command:option("--output-format"):argname("FORMAT"):choices({ "lines", "json" })
    :description("lines: each value is a line. json: each message is a line, with topic, key and headers; newlines "
      .. "are safe.")
end

local function define_mock(command)
  command:flag("--mock-kafka")
    :description("Run on a Kafka inside the process (librdkafka's mock cluster); its topics have 16 partitions.")
  command:option("--feed"):argname("FILE")
    :description("With --mock-kafka: write the lines of FILE to the first topic, and end when all are complete.")
  command:option("--out"):argname("FILE"):description("With --mock-kafka: write results to FILE (default: stdout).")
end

local function number_of_engines(text)
  local count = tonumber(text)
  if text == "auto" then return text end
  if count and count % 1 == 0 and count >= 1 and count <= 64 then return count end
  return nil, ("--engines %s: must be a whole number from 1 to 64, or auto"):format(text)
end

function run.define(command)
  options.file(command)
  options.set(command)
  options.trust(command)
  options.tables(command)
  define_files(command)
  define_mock(command)
  command:flag("--until-end"):description("Stop at the ends that the partitions have when the run starts.")
  command:option("--engines"):argname("N"):convert(number_of_engines)
    :description("How many engines run the pipeline under one supervisor, or auto: in place of the setting engines.")
  command:flag("--watch")
    :description("Load the transforms when one of their files is written: as SIGHUP does, within about a second.")
  metrics_options.define(command)
  command:option("--report"):argname("FILE"):description("Write totals and metrics as JSON at the end.")
  command:option("--log-level"):argname("LEVEL"):choices(LEVELS):default("info")
    :description("The least severe lines to log: error, warn, info or debug.")
  command:option("--log-format"):argname("FORMAT"):choices({ "text", "json" }):default("text")
    :description("text or json.")
end

-- { flags that cannot stand together }, { flag, needs one of }
local EXCLUDE = {
  { "mock_kafka", "input" }, { "mock_kafka", "output" }, { "mock_kafka", "until_end" }, { "input", "until_end" },
  { "engines", "input" }, { "engines", "output" }, { "engines", "mock_kafka" },
}
local NEED = {
  { "feed", "mock_kafka" }, { "out", "mock_kafka" }, { "input_format", "input" },
  { "output_format", "input", "output" },
  { "dead_letters", "input", "output", "mock_kafka" },
}

local function flag(name)
  return "--" .. name:gsub("_", "-")
end

--- Returns nil, or what is wrong with the flags.
local function contradiction(parsed)
  for _, pair in ipairs(EXCLUDE) do
    if parsed[pair[1]] and parsed[pair[2]] then
      return ("%s and %s exclude each other"):format(flag(pair[1]), flag(pair[2]))
    end
  end
  for _, need in ipairs(NEED) do
    if parsed[need[1]] and not (parsed[need[2]] or parsed[need[3]] or parsed[need[4]]) then
      local names = {}
      for i = 2, #need do names[i - 1] = flag(need[i]) end
      return ("%s needs %s"):format(flag(need[1]), table.concat(names, " or "))
    end
  end
end

-- --mock-kafka and --until-end need a source that is Kafka, and a mock topic needs a name.
local function misfit(parsed, checked)
  local source = checked.tables.source
  local kafka = source.medium == "TIDE_MEDIUM_KAFKA"
  if parsed.mock_kafka and not kafka then return "--mock-kafka: the pipeline does not read from Kafka" end
  if parsed.until_end and not kafka then return "--until-end: the pipeline does not read from Kafka" end
  local tables = table_rows.faults(checked, parsed.table)
  if #tables > 0 then return table.concat(tables, "\n") end
  if parsed.watch and not next(checked.functions) then return "--watch: the pipeline has no transforms" end
  local several
  if parsed.engines and parsed.engines ~= 1 then
    engines.check(checked.pipeline, function(_, text) several = several or text end)
  end
  if several then return ("--engines %s: %s"):format(parsed.engines, several) end
  if parsed.mock_kafka and #checked:kafka_topics().source == 0 then
    return ("--mock-kafka: the pipeline reads topics by the pattern %s; name one to make"):format(source.topics[1])
  end
end

local LONGEST_LOOK = 65536 -- bytes of the first line

-- Lines of whole messages that are read as values are most likely not meant.
local function look_at_input(parsed)
  if not parsed.input or parsed.input == "-" or parsed.input_format or parsed.log_level == "error" then return end
  local file = files.is_kept(parsed.input) and io.open(parsed.input, "rb")
  if not file then return end
  local line = (file:read(LONGEST_LOOK) or ""):match("^[^\n]*")
  file:close()
  if input.is_record_line(line) then
    stderr.line(("%s looks like whole messages, as `tidemill record` writes them, but each line is read as a value; "
      .. "--input-format json reads their keys, headers and values"):format(parsed.input))
  end
end

-- The files that the plan does not know.
local function reads_of(parsed)
  local reads = { { "--feed", parsed.feed } }
  for name, path in pairs(parsed.table) do reads[#reads + 1] = { "--table " .. name, path } end
  return reads
end

local function usage(text)
  stderr.failure(text)
  return exit_code.USAGE
end

function run.run(parsed)
  local wrong = contradiction(parsed)
  if wrong then return usage(wrong) end
  local alone = parsed.input or parsed.output or parsed.mock_kafka -- a file, or a Kafka inside of the process
  local before = files.stamp(parsed.file)
  local loading = {
    set = parsed.set, trust = parsed.trust,
    input = parsed.input, output = parsed.output, dead_letters = parsed.dead_letters,
    read = parsed.input_format == "json" and record_line.read or nil, output_format = parsed.output_format,
    mock = parsed.mock_kafka, tables = parsed.table, until_end = parsed.until_end, handle_signals = true,
    streams = true,
    engines = not alone and (parsed.engines or true),
    reads = reads_of(parsed),
    writes = { { "--report", parsed.report }, { "--out", parsed.mock_kafka and (parsed.out or "-") or nil } },
    reloads = true,
  }
  local checked, texts, status = plan.load(parsed.file, loading)
  if not checked then
    stderr.lines(texts)
    return status
  end
  wrong = misfit(parsed, checked)
  if wrong then return usage(wrong) end
  local reason, unwritable = report.check(parsed.report)
  if reason then
    stderr.failure("--report: %s", reason)
    return unwritable
  end
  look_at_input(parsed)
  if checked.pipeline.settings.values.delivery == "exactly_once" and not checked.tables.exactly_once then
    stderr.line("with files in place of Kafka there are no transactions: this run is at_least_once")
  end
  local several = checked.pipeline.settings.values.engines
  if alone and several ~= 1 then
    stderr.line(('engines = %s: with files, or a mock, in place of Kafka one engine runs the pipeline'):format(several))
  end
  checked.revise, checked.mark = revision.of(checked, parsed.file, loading), files.mark(checked, before)
  parsed.metrics = metrics_options.effective(checked.pipeline.metrics, parsed)
  if checked.tables.engines > 1 then return require("tidemill.cli.engines").run(checked, parsed) end
  local code, anew = engine_loop.run(checked, parsed)
  if not anew then return code end
  stderr.failure("cannot begin anew: %s", in_place.begin())
  return exit_code.TEMPORARY
end

return run
