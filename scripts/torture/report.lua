-- SPDX-License-Identifier: MIT
-- Writes docs/torture.md, which has one row for each part and mode, of the last run that was told to write it.
local checker = require "scripts.torture.checker"
local recovery = require "scripts.torture.recovery"

local report = {}

local HEAD = [[
# Torture

<!-- Written by `make torture`; a run replaces the row of its part and mode. -->

Real engines on a real Kafka on the machine that this was written on (2 cores, broker and load on the same), under a
schedule of faults drawn from the seed: `make torture TORTURE_PART=... TORTURE_MODE=... TORTURE_SEED=...` repeats it.
What becomes of each message is a function of its id, so lost, doubled, misplaced, wrongly ended, changed, reordered and
wrongly attributed messages are counted by reading everything that came out. Besides the faults listed, about each 97th
message crashes its worker (twice) and each 89th hangs until `message_timeout` (500 ms).

- `again`: results that came more than once; in at_least_once only engines killed, rebalances and broker restarts may
  cause them.
- `worker`: from the death of a worker to its replacement being ready, p50 / p99 in ms.
- `engine`: from the start of an engine in place of one that ended to its first result, p50 / p99 in ms.

]]

-- spec/house/faults_spec.lua: each planted mistake of the engine has its row, and its spec names it.
local TAIL = [[

## Planted mistakes

A checker that never fails proves nothing. So mistakes are planted in the delivery code (`tide_fault("bug. ...")`, in
`make faults` only), and each is found by a spec (in spec/) that passes without it:

| planted | what is wrong then | found by |
|---|---|---|
| bug.commit_after_revoke | offsets of partitions that another member has are committed | sim/simulation_spec |
| bug.plus_one_missing | the last message of a partition is never committed | sim/simulation_spec, torture/power_spec |
| bug.filter_not_counted | a filtered message keeps its reference for ever | sim/simulation_spec |
| bug.dlq_before_ack | a message is complete before its dead letter is written | sim/simulation_spec |
| bug.double_release | results go twice when the sink took a part of them | sim/simulation_spec, fuzz/planted_spec |
| bug.retry_overtaken | a message overtakes one of its partition that is tried again | sim/simulation_spec |
| bug.output_of_another | a batch gets an output block that is another worker's | sim/simulation_spec |
| bug.attribution_off_by_one | a crash is attributed to the next message | sim/simulation_spec, torture/power_spec |
| bug.ack_of_dropped | reports of an assignment that does not hold any more count | sim/simulation_spec |
| bug.epoch_not_raised | results of an aborted transaction go into the next one | sim/simulation_spec |
| bug.other_offsets | a commit after one that failed has that one's offsets | sim/simulation_spec |
| bug.offsets_retaken | offsets that are sent again are those of what was read by then | kafka/transactions_spec |
| bug.metadata_late | a commit has the group's present generation | kafka/transactions_spec |
| bug.taint_ignored | a producer goes on though a request of its transaction may be late | flow/kafka_mistakes_spec |
| bug.resume_unpaused | a partition is resumed that was not paused, so that librdkafka rewinds it | kafka/pause_spec |
| bug.result_overrun | a value may be longer than its result, beyond what the worker published | fuzz/planted_spec |
| bug.header_overrun | the value of a header may be longer than the headers | fuzz/planted_spec |
| bug.assignment_overrun | the name of a topic in an assignment may be longer than the assignment | fuzz/planted_spec |
| bug.profile_overrun | a profile may be longer than the memory for it | fuzz/planted_spec |
| bug.json_overrun | the length of a JSON text is guessed without the keys of new members | fuzz/planted_spec |
| bug.path_overrun | a path may be one byte longer than the memory for it | fuzz/planted_spec |
| bug.connect_port | a connection goes to any port of a host of the list | fuzz/planted_spec |
| bug.question_overrun | the name in a question may be longer than the question | fuzz/planted_spec |
| bug.report_time | a record of a refused batch is sent again without its timestamp | kafka/carriage_spec |

`resume_unpaused` does no harm beyond the time that it costs: what comes again is dropped by its offset, and
`consumer.refetched` counts it.
]]

local COLUMNS = { "part", "mode", "seed", "commit", "faults", "messages", "lost", "again", "misplaced", "wrong",
  "order", "misattributed", "unknown", "worker ms", "engine ms", "seconds" }

local function commit()
  local pipe = assert(io.popen("git describe --always --dirty 2>/dev/null"))
  local text = pipe:read("*l") or "unknown"
  pipe:close()
  return text
end

local function percentiles(list)
  if #list == 0 then return "-" end
  return ("%.0f / %.0f (%d)"):format(recovery.percentile(list, 0.5), recovery.percentile(list, 0.99), #list)
end

local function counted(injected)
  local names, parts = {}, {}
  for name in pairs(injected) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = injected[name] .. " " .. name end
  return table.concat(parts, ", ")
end

local function line_of(cells)
  return "| " .. table.concat(cells, " | ") .. " |"
end

--- The cells of a run's row. run: part, mode, seed, struck, findings, workers, engines (times), seconds.
function report.row(run)
  local counts = run.findings.counts
  local cells = { run.part, run.mode, run.seed, commit(), counted(run.injected), run.findings.input_count, counts.lost,
    counts.duplicated, counts.misplaced, counts.wrong_outcome + counts.wrong_payload, counts.wrong_order,
    counts.misattributed, counts.unknown, percentiles(run.workers), percentiles(run.engines), math.floor(run.seconds) }
  for i, cell in ipairs(cells) do cells[i] = tostring(cell) end
  return line_of(cells)
end

--- Puts the row of a run into the document, in place of the one of the same part and mode.
function report.write(path, run)
  local rows, own = {}, ("| %s | %s |"):format(run.part, run.mode)
  local file = io.open(path)
  for line in (file and file:read("*a") or ""):gmatch("[^\n]+") do
    if line:find("^| %w+ | [%w_]+ | %d") and line:sub(1, #own) ~= own then rows[#rows + 1] = line end
  end
  if file then file:close() end
  rows[#rows + 1] = report.row(run)
  table.sort(rows)
  file = assert(io.open(path, "w"))
  file:write(HEAD, line_of(COLUMNS), "\n", ("|---"):rep(#COLUMNS), "|\n", table.concat(rows, "\n"), "\n",
    TAIL)
  file:close()
end

--- What failed, as lines, with the histories of the first few ids; none when nothing did. `problems` are texts.
function report.failures(findings, problems, entries)
  local lines = {}
  for _, problem in ipairs(problems) do lines[#lines + 1] = "FAILED: " .. problem end
  for _, what in ipairs(findings:failures()) do
    lines[#lines + 1] = ("FAILED: %s: %d"):format(what, findings.counts[what])
    for _, one in ipairs(findings.named[what]) do
      lines[#lines + 1] = " id " .. one.id
      for _, line in ipairs(findings:history(one.id, entries)) do lines[#lines + 1] = line end
    end
  end
  return lines
end

--- One line for the terminal.
function report.summary(run)
  local parts = { ("%d messages"):format(run.findings.input_count) }
  for _, what in ipairs(checker.FAULTS) do parts[#parts + 1] = what .. " " .. run.findings.counts[what] end
  return ("%s, %s, seed %d, %d s: %s; workers back after %s ms, engines after %s ms (p50 / p99); %s"):format(run.part,
    run.mode, run.seed, run.seconds, table.concat(parts, ", "), percentiles(run.workers), percentiles(run.engines),
    counted(run.injected))
end

return report
