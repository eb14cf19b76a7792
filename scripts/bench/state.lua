-- SPDX-License-Identifier: MIT
-- Keyed state against Kafka Streams and our own job without state (scripts/bench/counters.lua), in turn on the Kafka
-- that TIDE_KAFKA names; all figures go to build/bench/state.json. scripts/bench/run.sh prepares everything.
--   BENCH_MESSAGES, BENCH_PEER_MESSAGES, BENCH_KEYS, BENCH_ROUNDS, BENCH_ONLY
local counters = require "scripts.bench.counters"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local process = require "spec.support.process"
local rounds = require "scripts.bench.rounds"

local say, setting = figures.say, figures.setting
local round_count = setting("ROUNDS", 5, 1)
local MESSAGES = setting("MESSAGES", 6000000, 300000)

local function prepare(list)
  local ready = {}
  for _, contender in ipairs(list) do
    local code, words = 0, ""
    if contender.peer then
      code, words = process.run({ "scripts/bench/peers.sh", contender.peer }, { timeout = 1200 })
    end
    if code == 0 then
      ready[#ready + 1] = contender
    else
      say("%s is left out: %s", contender.name, words:match "([^\n]+)\n*$" or "no reason given")
    end
  end
  return ready
end

local function main()
  local list = prepare(figures.chosen(counters.list))
  say("%d contenders, %d rounds: this will take about %d minutes", #list, round_count,
    math.ceil((MESSAGES / 120000 + round_count * 80) / 60))
  local topics = { keyed = inputs.fill(MESSAGES, counters.KEYS) }
  say("begins")
  local all = rounds.run(list, topics, round_count)
  local results, failed = {}, nil
  for _, contender in ipairs(list) do
    local mine = all[contender.name]
    failed = failed or contender.failed
    if not contender.failed then
      results[#results + 1] = { name = contender.name, title = contender.title, peer = contender.peer,
        read = contender.read or MESSAGES, rate = figures.of(mine.rate), cpu_us = figures.of(mine.cpu_us),
        memory = figures.of(mine.memory) }
      local r = results[#results]
      print(("%-50s %10.0f messages/s %8.2f us %6.0f MiB"):format(r.title, r.rate.median, r.cpu_us.median,
        r.memory.median / 2 ^ 20))
    end
  end
  figures.save("state", { rounds = round_count, messages = MESSAGES, keys = counters.KEYS,
    peer_messages = counters.READ, warm = counters.WARM, partitions = inputs.PARTITIONS, results = results })
  if failed then error(failed, 0) end
end

figures.run(main, "state")
