-- SPDX-License-Identifier: MIT
-- What `make bench-tune` runs: on five workloads (scripts/bench/tune/pipeline.lua), all settings of a grid are
-- measured, and the search of `tidemill tune` runs; then the best of the grid and what was found run in turn, and
-- their medians are compared. All runs read from memory and discard the output, since a broker's noise is larger than
-- what is judged. The table goes into docs/bench-tune.md.
--   BENCH_QUICK=1            a grid of 36 settings and fewer rounds; the table is only printed
--   BENCH_ONLY=tiny,sleeps   some of the workloads; the table is only printed
local backlog = require "tidemill.tuning.backlog"
local machine = require "scripts.bench.machine"
local pipeline_file = require "tidemill.plan.pipeline_file"
local race = require "tidemill.tuning.race"
local search = require "tidemill.tuning.search"
local settings = require "tidemill.tuning.settings"
local trial = require "tidemill.tuning.trial"
local C = require("tidemill.run.ffi").C

local DOCUMENT = "docs/bench-tune.md"
local KIB, MIB = 2 ^ 10, 2 ^ 20
local quick, only = os.getenv("BENCH_QUICK") == "1", os.getenv("BENCH_ONLY")

local WORKLOADS = {
  { name = "tiny", title = "tiny messages (60 bytes)", bytes = 60 },
  { name = "large", title = "50 KB messages", bytes = 50000 },
  { name = "expanding", title = "expanding output (40 results of 300 bytes each)", bytes = 300 },
  { name = "sleeps", title = "1 ms sleep per message", bytes = 100 },
  { name = "heavy", title = "heavy CPU (about 0.3 ms per message)", bytes = 100 },
}

local GRID = quick and {
  { "max_batch_size", { 64, 1024, 16384 } }, { "max_batch_time", { 1e6 } }, { "processes", { 1, 2, 4 } },
  { "input_block_size", { 64 * KIB, 4 * MIB } }, { "output_block_size", { 64 * KIB, 4 * MIB } },
} or {
  { "max_batch_size", { 16, 64, 256, 1024, 4096, 16384 } }, { "max_batch_time", { 2e4, 1e6 } },
  { "processes", { 1, 2, 4, 8 } }, { "input_block_size", { 64 * KIB, MIB, 16 * MIB } },
  { "output_block_size", { 64 * KIB, MIB, 16 * MIB } },
}
local LIMITS = { processes = quick and 4 or 8, memory = 2 ^ 30 }
local SECONDS = 0.4 -- of a run; the run itself takes about twice as long
local FINAL_SECONDS, FINAL_ROUNDS, FINALISTS = 1, quick and 3 or 9, 3
local RUNS = 40
local WITHIN = 0.95

local function say(...)
  io.stderr:write("bench-tune: ", string.format(...), "\n")
end

local function now()
  return tonumber(C.tide_clock_us()) / 1e6
end

-- All settings of the grid, in an order that does not follow any of them, so that a slow minute of the machine does not
-- fall upon one value; the same order each time.
local function grid()
  local all = { { prefetch_batches = 1 } }
  for _, axis in ipairs(GRID) do
    local longer = {}
    for _, one in ipairs(all) do
      for _, value in ipairs(axis[2]) do
        local point = { [axis[1]] = value }
        for name, known in pairs(one) do point[name] = known end
        longer[#longer + 1] = point
      end
    end
    all = longer
  end
  math.randomseed(7)
  for i = #all, 2, -1 do
    local j = math.random(i)
    all[i], all[j] = all[j], all[i]
  end
  return all
end

local function workload_of(about)
  local pipeline, texts = pipeline_file.load("scripts/bench/tune/pipeline.lua", { workload = about.name })
  if not pipeline then error(table.concat(texts, "\n")) end
  local messages = {}
  for i = 1, math.min(4000, math.floor(40e6 / about.bytes)) do
    local text = ("%d "):format(i)
    messages[i] = { value = text .. ("x"):rep(about.bytes - #text) }
  end
  local steps, load = settings.steps(pipeline), backlog.new(messages)
  return function(one, seconds)
    local result = trial.run { pipeline = pipeline, steps = steps, settings = { one }, seconds = seconds or SECONDS,
      backlog = load }
    -- a run whose first batches take longer than it may is no rate at all, as for a batch of 16 s
    if result.failed then return { rate = 0, failed = result.failed, steps = {} } end
    return result
  end, settings.of(steps[1])
end

local function grid_best(measure)
  local points, all, begun = {}, grid(), now()
  for i, one in ipairs(all) do
    points[i] = { settings = one, rate = measure(one).rate }
    if i % 50 == 0 then say("  grid: %d of %d, %.0f s", i, #all, now() - begun) end
  end
  table.sort(points, function(a, b) return a.rate > b.rate end)
  return points, #all
end

-- Returns the medians of what runs in alternation.
local function alternate(measure, list)
  local rates = {}
  for round = 1, FINAL_ROUNDS do
    for i = 1, #list do
      local at = round % 2 == 0 and #list + 1 - i or i
      rates[at] = rates[at] or {}
      rates[at][round] = measure(list[at], FINAL_SECONDS).rate
    end
  end
  for i in ipairs(list) do rates[i] = race.median(rates[i]) end
  return rates
end

local function text_of(one)
  local parts = {}
  for i, name in ipairs { "max_batch_size", "input_block_size", "output_block_size", "processes" } do
    parts[i] = settings.show(name, one[name])
  end
  return table.concat(parts, ", ")
end

local function judge(about)
  local measure, begin = workload_of(about)
  local first = measure(begin)
  if first.failed then error(first.failed) end
  local points, count = grid_best(measure)
  local found = search.run { settings = begin, limits = LIMITS, runs = RUNS,
    measure = function(one) return trial.of_step(measure(one), 1) end,
    say = function(stage, text) say("  %s: %s", stage, text) end }
  local list = { found.settings }
  for i = 1, math.min(FINALISTS, #points) do list[i + 1] = points[i].settings end
  local rates, best = alternate(measure, list), 2
  for i = 3, #list do
    if rates[i] > rates[best] then best = i end
  end
  local result = { title = about.title, grid = count, runs = found.runs, found = found.settings, best = list[best],
    found_rate = rates[1], best_rate = rates[best], share = rates[1] / rates[best] }
  result.passed = result.share >= WITHIN and (quick or found.runs * 10 < count)
  say("%s: %.0f of %.0f messages/s (%.1f %%), %d runs against %d", about.name, rates[1], rates[best],
    result.share * 100, found.runs, count)
  return result
end

local function table_of(results)
  local lines = { "| workload | best of the grid | tune | share | runs of the grid | runs of tune "
    .. "| best of the grid is | tune found |", "|---|---|---|---|---|---|---|---|" }
  for _, r in ipairs(results) do
    lines[#lines + 1] = ("| %s | %.0f/s | %.0f/s | %.1f %% | %d | %d | %s | %s |"):format(r.title, r.best_rate,
      r.found_rate, r.share * 100, r.grid, r.runs, text_of(r.best), text_of(r.found))
  end
  return table.concat(lines, "\n") .. "\n"
end

local function document(results, host)
  local axes = {}
  for i, axis in ipairs(GRID) do
    local values = {}
    for j, value in ipairs(axis[2]) do values[j] = settings.show(axis[1], value) end
    axes[i] = ("- `%s`: %s"):format(axis[1], table.concat(values, ", "))
  end
  return ([[
<!-- Written by `make bench-tune`. -->
# tune against a full grid

For each of five workloads every combination of these settings was run (%d runs, in an order that is shuffled):

%s

Then `tidemill tune`'s search ran from the defaults, with at most %d runs. At the end what it found and the %d best of
the grid ran in alternation, %d rounds of %g s each; the table has the medians, and the best of the grid is the best of
these after that. Settings are `max_batch_size`, `input_block_size`, `output_block_size`, `processes`.

%s
Measured on %s, %d cores, %s; tidemill %s. Messages come from memory and the output is discarded.
]]):format(results[1].grid, table.concat(axes, "\n"), RUNS, FINALISTS, FINAL_ROUNDS, FINAL_SECONDS, table_of(results),
    host.processor, host.cores, host.kernel, host.commit)
end

local results, passed, begun = {}, true, now()
for _, about in ipairs(WORKLOADS) do
  if not only or ("," .. only .. ","):find("," .. about.name .. ",", 1, true) then
    say("%s", about.title)
    results[#results + 1] = judge(about)
    passed = passed and results[#results].passed
  end
end
if #results == 0 then
  say("BENCH_ONLY: no such workload")
  os.exit(64)
end
print(table_of(results))
say("%.0f s", now() - begun)
if not quick and not only then
  local file = assert(io.open(DOCUMENT, "w"))
  file:write(document(results, machine.describe()))
  file:close()
end
os.exit(passed and 0 or 1)
