-- SPDX-License-Identifier: MIT
-- The sections of scripts/bench/state.lua and scripts/bench/keys.lua for the document.
local figures = require "scripts.bench.figures"

local MIB = 2 ^ 20
local grouped = figures.grouped
local report = {}

local STATE = [[
%s

%s

%s messages of about 270 bytes (Kafka Streams: %s of them after %s that do not count, so that its code is compiled), %s
keys in an order that is random, %d partitions, a changelog, at least once, commits each second; medians of %d rounds in
which all ran in turn. Processor time is that of all processes without their start, memory the highest sum of PSS. Of
each contender all counts were compared with the number of messages, once.

- tidemill writes a result for each message. Kafka Streams has its cache on, which takes several together. Both write
  the last value of each key to the changelog once for a commit, Kafka Streams also when its cache is full.
- Kafka Streams has 2 threads, batches of 256 KiB, polls of 5,000, a linger of 20 ms and a heap of 512 MiB beside
  RocksDB's own memory. Its time ends when what its orderly end sends is acknowledged.
- Both keep their stores on the same disk. tidemill's is synced when it is closed, as RocksDB's here (its log is off).
]]

local function comparisons(results)
  local lines, own = {}, results[1]
  for i = 2, #results do
    local one = results[i]
    local words = "- %s against %s: %.2f times its throughput at %.3f (1/%.1f) of its processor time a message."
    lines[#lines + 1] = words:format(own.title, one.title, figures.ratio(own.rate.rounds, one.rate.rounds),
      figures.ratio(own.cpu_us.rounds, one.cpu_us.rounds), figures.ratio(one.cpu_us.rounds, own.cpu_us.rounds))
  end
  return table.concat(lines, "\n")
end

function report.state(state)
  local lines = { "| | messages/s | lowest to highest | CPU us/message | peak memory, MiB |", "|---|---|---|---|---|" }
  for _, one in ipairs(state.results) do
    lines[#lines + 1] = ("| %s | %s | %s to %s | %.2f | %.0f |"):format(one.title, grouped(one.rate.median),
      grouped(one.rate.low), grouped(one.rate.high), one.cpu_us.median, one.memory.median / MIB)
  end
  return STATE:format(table.concat(lines, "\n"), comparisons(state.results), grouped(state.messages),
    grouped(state.peer_messages - state.warm), grouped(state.warm), grouped(state.keys), state.partitions, state.rounds)
end

local KEYS = [[
%s keys with values of 100 bytes, in an order that is random, %d partitions, a changelog. "Heap" is the engine's
anonymous memory, "shared" its blocks; the pages of the store that are mapped (%.0f MiB at most) are the page cache.
Workers and zygote have %.0f MiB (PSS).

%s

state_dir has %.0f MiB when it is filled, and %.0f MiB after the changes. The results were compared with the values that
the keys had before.
]]

local TITLES = { { "filled", "filled: each key once" }, { "changed", "changed: %s keys, the value before as result" },
  { "ended", "started again after an end" }, { "killed", "started again after kill -9, the same `instance`" },
  { "lost", "started without state_dir" } }

local function cells(row)
  if row.rate then return { grouped(row.rate), ("%.2f"):format(row.cpu_us), "", "" } end
  local restored = row.restored > 0 and ("%s records in %.1f s (%s/s)"):format(grouped(row.restored), row.restore_s,
    grouped(row.restored / row.restore_s)) or "nothing"
  return { "", "", ("%.2f s"):format(row.first_s), restored }
end

function report.keys(keys)
  local lines = { "| | messages/s | CPU us/message | first result after | restored | heap, MiB | shared, MiB |",
    "|---|---|---|---|---|---|---|" }
  local mapped, workers = 0, 0
  for _, title in ipairs(TITLES) do
    local row = keys[title[1]]
    local texts = cells(row)
    mapped, workers = math.max(mapped, row.peaks.RssFile), math.max(workers, row.peaks.workers)
    lines[#lines + 1] = ("| %s | %s | %.0f | %.0f |"):format(title[2]:format(grouped(keys.changes)),
      table.concat(texts, " | "), row.peaks.RssAnon / MIB, row.peaks.RssShmem / MIB)
  end
  return KEYS:format(grouped(keys.keys), keys.partitions, mapped / MIB, workers / MIB, table.concat(lines, "\n"),
    keys.bytes / MIB, keys.bytes_changed / MIB)
end

return report
