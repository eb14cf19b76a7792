-- SPDX-License-Identifier: MIT
-- Writes docs/bench.md and docs/bench.svg from the figures that the parts of the benchmark have kept in build/bench. It
-- writes the same for the same figures. The section of a part that has not run here stays as it is; with the argument
-- "short" the figures of short forms stand in its place, to see what the document looks like.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local figures = require "scripts.bench.figures"
local limits_report = require "scripts.bench.limits_report"
local plot = require "scripts.bench.plot"
local scaling_report = require "scripts.bench.scaling_report"
local state_report = require "scripts.bench.state_report"

local DOCUMENT, PICTURE, MIB = "docs/bench.md", "docs/bench.svg", 2 ^ 20
local grouped = figures.grouped
local sections = {}

local function host_text(host)
  return ("%s, %d cores, %d GiB, %s; tidemill %s"):format(host.processor, host.cores, host.memory_gib, host.kernel,
    host.commit)
end

local function by_name(results)
  local names = {}
  for _, one in ipairs(results) do names[one.name] = one end
  return names
end

local function best_peer(results)
  local best
  for _, one in ipairs(results) do
    if one.peer and (not best or one.rate.median > best.rate.median) then best = one end
  end
  return best
end

-- Lines "A against B: rate, CPU" of what is claimed elsewhere.
local function comparisons(results)
  local lines, known = {}, by_name(results)
  local function add(one, other)
    if one and other then
      local words = "- %s against %s: %.2f times its throughput at %.3f of its processor time a message."
      lines[#lines + 1] = words:format(one.title, other.title, figures.ratio(one.rate.rounds, other.rate.rounds),
        figures.ratio(one.cpu_us.rounds, other.cpu_us.rounds))
    end
  end
  local best = best_peer(results)
  add(known["identity-1"], known.bare)
  add(known["view-2"], known["bare-drop"])
  add(known["view-2"], best)
  add(known["tables-2"], best)
  if best and best.name ~= "arroyo" then add(known["view-2"], known.arroyo) end
  add(known["once-1"], known["identity-1"])
  add(known["view-once-2"], known["view-2"])
  return table.concat(lines, "\n")
end

local function kind_of(one)
  return one.peer and "peer" or one.name:find "^bare" and "bare" or "own"
end

local function picture(compare)
  local rows = {}
  for i, one in ipairs(compare.results) do
    rows[i] = { title = one.title, kind = kind_of(one), rate = one.rate, cpu_us = one.cpu_us }
  end
  local panels = {
    { name = "rate", title = "messages a second", show = function(value)
      return value > 0 and value < 10000 and ("%.1f k"):format(value / 1000) or ("%.0f k"):format(value / 1000)
    end },
    { name = "cpu_us", title = "processor time a message, us (logarithmic)", logarithmic = true,
      show = function(value) return ("%.3g"):format(value) end },
  }
  local colours = { { "own", "#2f6fb0", "tidemill" }, { "bare", "#888888", "bare loop" },
    { "peer", "#d08a2f", "others" } }
  return plot.bars(rows, panels, colours, ("Medians of %d rounds; lines from the lowest to the highest. %s"):format(
    compare.rounds, host_text(compare.machine)))
end

local function throughput_table(results)
  local lines = { "| | messages/s | lowest to highest | CPU us/message | peak memory, MiB | rate / bare | CPU / bare |",
    "|---|---|---|---|---|---|---|" }
  for _, one in ipairs(results) do
    lines[#lines + 1] = ("| %s | %s | %s to %s | %.2f | %.0f | %s | %s |"):format(one.title, grouped(one.rate.median),
      grouped(one.rate.low), grouped(one.rate.high), one.cpu_us.median, one.memory.median / MIB,
      one.rate_ratio and ("%.3f"):format(one.rate_ratio) or "", one.cpu_ratio and ("%.2f"):format(one.cpu_ratio) or "")
  end
  return table.concat(lines, "\n")
end

local function tries(results)
  local lines = {}
  for _, one in ipairs(results) do
    local texts = {}
    for i, heat in ipairs(one.heats or {}) do
      texts[i] = ("%s: %s"):format(heat.title, heat.failed and "failed" or grouped(heat.rate) .. "/s")
    end
    if one.setting then
      lines[#lines + 1] = ("- %s (%s messages): %s. Tried once each: %s."):format(one.title, grouped(one.messages),
        one.setting, #texts > 0 and table.concat(texts, "; ") or "no others in this run")
    end
  end
  return table.concat(lines, "\n")
end

local function absent(compare)
  local lines = {}
  for i, one in ipairs(compare.absent) do
    lines[i] = ("- %s was left out: %s"):format(one.title, one.reason:match "[^\n]*")
  end
  lines[#lines + 1] = "- Redpanda Connect itself is left out, since its module is not under an open-source licence. "
    .. "Benthos is its core."
  return table.concat(lines, "\n")
end

local THROUGHPUT = [[
## Throughput

%s

![bars of throughput and of processor time](bench.svg)

%s

%s

%s messages of about 270 bytes (%s or %s for those that take long), %d partitions, one Kafka %s on the same machine,
medians of %d rounds in which all ran in turn. Ratios are medians of the ratios within a round; those of the table are
to the bare loop of the same kind: the one that copies everything, or the one that leaves out what the JSON jobs leave
out. Processor time is that of all processes without their start, memory the highest sum of PSS. Each output had the
right number of messages, and a sample of it was compared with what the job makes of the input.

All have acks=all, an idempotent producer, no compression, and commit once a second; they read from the beginning, and
write to as many partitions. What else is set:

- The bare loop in C (librdkafka %s): linger 20 ms, batches of up to 10,000 messages and 1 MB.
- tidemill (%s): linger 20 ms, but for the row that says 5. In exactly once, a transaction every 200 ms. lua-cjson
  writes integers of 19 digits with 14.
- Kafka Streams %s with Jackson %s on Java %s: linger 20 ms, a heap of 512 MiB.
- Bytewax %s, Quix Streams %s and Arroyo %s with orjson %s on Python %s: linger 20 ms. Bytewax keeps its offsets in
  snapshots of its own, and its connector flushes after each batch.
- Benthos %s: commit_period 1 s, max_in_flight 64, checkpoint_limit 20,000.

The best of some settings of each peer took part:

%s

%s
]]

function sections.compare(compare)
  local v = compare.machine.versions
  return THROUGHPUT:format(host_text(compare.machine), throughput_table(compare.results), comparisons(compare.results),
    grouped(compare.messages.full), grouped(compare.messages.medium), grouped(compare.messages.slow),
    compare.partitions, v.kafka, compare.rounds, v.librdkafka, v.luajit, v.kafka_streams, v.jackson, v.java or "?",
    v.bytewax, v.quix, v.arroyo, v.orjson, v.python, v.benthos, tries(compare.results), absent(compare))
end

local LATENCY = [[
## Latency

%s

Milliseconds from the moment at which a message is due to be produced to the moment at which it is consumed, with the
copier in between at a linger of %d ms; %d rounds of %d s in which all ran in turn, medians, with the lowest and
highest. A message counts from when it was due, so a stall is not hidden. "/ bare" is the median of the ratios to the
bare loop of the same kind within a round.

%s
]]

local function latency_cell(row, share)
  local one = row[share]
  local ratio = row.ratios[share] and (", %.2f / bare"):format(row.ratios[share]) or ""
  return ("%.1f (%.1f to %.1f%s)"):format(one.median, one.low, one.high, ratio)
end

function sections.latency(latency)
  local lines = { "| messages/s | | p50 | p99 | p99.9 |", "|---|---|---|---|---|" }
  for _, row in ipairs(latency.results) do
    lines[#lines + 1] = ("| %s | %s | %s | %s | %s |"):format(grouped(row.rate), row.title,
      latency_cell(row, "p50_ms"), latency_cell(row, "p99_ms"), latency_cell(row, "p999_ms"))
  end
  return LATENCY:format(host_text(latency.machine), latency.linger_ms, latency.rounds, latency.seconds,
    table.concat(lines, "\n"))
end

function sections.scaling(scaling)
  local words = "## Scaling\n\n%s\n\nRounds: %d; each figure is the median over them.\n\n%s"
  return words:format(host_text(scaling.machine), scaling.rounds, scaling_report(scaling))
end

function sections.limits(limits)
  return ("## What limits\n\n%s\n\n%s"):format(host_text(limits.machine), limits_report(limits))
end

function sections.state(state)
  return ("## State: count per key\n\n%s\n\n%s"):format(host_text(state.machine), state_report.state(state))
end

function sections.keys(keys)
  return ("## State: ten million keys\n\n%s\n\n%s"):format(host_text(keys.machine), state_report.keys(keys))
end

local MICRO = [[
## Single costs

%s

Medians of %d rounds, of processor time unless a line names the clock, in process and without a Kafka.
`make bench-quick` compares them with the last record of this kind of machine (`scripts/bench/micro.json`).

%s
]]

function sections.micro(micro)
  local names, lines = {}, { "| ns | median | lowest to highest |", "|---|---|---|" }
  for name in pairs(micro.figures) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local one = micro.figures[name]
    lines[#lines + 1] = ("| %s | %.1f | %.1f to %.1f |"):format(name, one.median, one.low, one.high)
  end
  return MICRO:format(host_text(micro.machine), micro.rounds, table.concat(lines, "\n"))
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  figures.say("wrote %s", path)
end

-- A part without figures here keeps its section, which tells the version that it was measured on.
local function section_of(document, title)
  local from = document:find("## " .. title .. "\n", 1, true)
  return from and document:sub(from, (document:find("\n## ", from, true) or #document + 1) - 1)
end

local PARTS = { { "compare", "Throughput" }, { "limits", "What limits" }, { "latency", "Latency" },
  { "state", "State: count per key" }, { "keys", "State: ten million keys" }, { "scaling", "Scaling" },
  { "micro", "Single costs" } }
local file = io.open(DOCUMENT)
local document = file and file:read "*a" or ""
if file then file:close() end
local parts = { [[
# Benchmarks

What tidemill costs, measured on one machine in turn with a bare loop of librdkafka in C and with other tools. `make
bench` measures on your machine and writes this page. "The aim" is what the project wanted to reach; where it was
missed, the text says why.

<!-- Written by `make bench` (scripts/bench/report.lua). -->
]] }
for _, part in ipairs(PARTS) do
  local name, title = part[1], part[2]
  local results = figures.load(name) or (...) == "short" and figures.load(name, true)
  local missing = "The part `%s` has not been run in full on this version: `make bench PARTS=%s`.\n"
  if results then
    parts[#parts + 1] = sections[name](results)
    if name == "compare" then write(PICTURE, picture(results)) end
  else
    parts[#parts + 1] = section_of(document, title) or missing:format(name, name)
  end
end
write(DOCUMENT, table.concat(parts, "\n"))
