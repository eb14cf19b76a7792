-- SPDX-License-Identifier: MIT
-- What `make bench-tune` runs: on five workloads (scripts/bench/tune/pipeline.lua), all settings of a grid are
-- measured, and the search of `tidemill tune` runs; then the best of the grid and what was found run in turn, and
-- their medians are compared. All runs read from memory and discard the output, since a broker's noise is larger than
-- what is judged. The table goes into docs/bench-tune.md.
--   BENCH_QUICK=1            a grid of 36 settings and fewer rounds; the table is only printed
--   BENCH_ONLY=tiny,sleeps   some of the workloads; the others keep their rows in the document
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
-- Of a run of the grid, and of one of the search: each takes about half a second more. The grid has ten times as many,
-- so its first ones are run again, in turn, before the best of them is known.
local SECONDS, SEARCH_SECONDS = 0.4, 1
local FINALISTS, FINAL_SECONDS, FINAL_ROUNDS = 6, 1, quick and 5 or 15
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

-- The best settings of the grid, by more than the one run that each of them had.
local function best_of(points, measure)
  local list = {}
  for i = 1, math.min(FINALISTS, #points) do list[i] = points[i].settings end
  return list[race.run(list, function(one) return measure(one, FINAL_SECONDS) end)]
end

-- Runs two settings in alternation. Returns the medians of their rates, and the median of the first one's share of the
-- second one's in each round: the machine is as fast for both of a round, and may be slower in the next one.
local function alternate(measure, first, second)
  local pair, rates, shares = { first, second }, { {}, {} }, {}
  for round = 1, FINAL_ROUNDS do
    for i = 1, 2 do
      local at = round % 2 == 0 and 3 - i or i
      rates[at][round] = measure(pair[at], FINAL_SECONDS).rate
    end
    shares[round] = rates[1][round] / math.max(1e-9, rates[2][round])
  end
  return race.median(rates[1]), race.median(rates[2]), race.median(shares)
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
    measure = function(one) return trial.of_step(measure(one, SEARCH_SECONDS), 1) end,
    say = function(stage, text) say("  %s: %s", stage, text) end }
  local best = best_of(points, measure)
  local found_rate, best_rate, share = alternate(measure, found.settings, best)
  local result = { title = about.title, grid = count, runs = found.runs, found = found.settings, best = best,
    found_rate = found_rate, best_rate = best_rate, share = share }
  result.passed = result.share >= WITHIN and (quick or found.runs * 10 < count)
  say("%s: %.0f of %.0f messages/s (%.1f %%), %d runs against %d", about.name, found_rate, best_rate, share * 100,
    found.runs, count)
  return result
end

local HEAD = "| workload | best of the grid | tune | share | runs of the grid | runs of tune | best of the grid is "
  .. "| tune found | version |\n|---|---|---|---|---|---|---|---|---|\n"

-- Returns the rows of the document as it is, by the title of the workload.
local function known_rows()
  local file, rows = io.open(DOCUMENT), {}
  for line in file and file:lines() or function() end do
    local title = line:match "^| ([^|]+) | %d"
    if title then rows[title] = line .. "\n" end
  end
  if file then file:close() end
  return rows
end

local function table_of(results, known)
  local rows, text = known or {}, HEAD
  for _, r in ipairs(results) do
    rows[r.title] = ("| %s | %.0f/s | %.0f/s | %.1f %% | %d | %d | %s | %s | %s |\n"):format(r.title, r.best_rate,
      r.found_rate, r.share * 100, r.grid, r.runs, text_of(r.best), text_of(r.found), machine.describe().commit)
  end
  for _, about in ipairs(WORKLOADS) do text = text .. (rows[about.title] or "") end
  return text
end

local function document(results, host)
  local axes = {}
  for i, axis in ipairs(GRID) do
    local values = {}
    for j, value in ipairs(axis[2]) do values[j] = settings.show(axis[1], value) end
    axes[i] = ("- `%s`: %s"):format(axis[1], table.concat(values, ", "))
  end
  return ([[
# tune against a full grid

<!-- Written by `make bench-tune`. -->

How near the settings that `tidemill tune` finds come to the best ones. For each of five workloads every combination of
these settings was run (%d runs, in shuffled order):

%s

Then `tidemill tune`'s search ran from the defaults, with at most %d runs of %g s. The %d best of the grid ran again in
turn, and the best of these against what the search found, %d rounds of %g s each. The table has the medians, and as the
share the median over the rounds: the machine is as fast for both of a round. Settings are `max_batch_size`,
`input_block_size`, `output_block_size`, `processes`.

%s
Measured on %s, %d cores, %s. Messages come from memory and the output is discarded.
]]):format(results[1].grid, table.concat(axes, "\n"), RUNS, SEARCH_SECONDS, FINALISTS, FINAL_ROUNDS,
    FINAL_SECONDS, table_of(results, known_rows()), host.processor, host.cores, host.kernel)
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
if not quick then
  local text = document(results, machine.describe())
  local file = assert(io.open(DOCUMENT, "w"))
  file:write(text)
  file:close()
end
os.exit(passed and 0 or 1)
