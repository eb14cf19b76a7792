-- SPDX-License-Identifier: MIT
-- Runs the contenders in turn on the Kafka that TIDE_KAFKA names, several rounds, and prints medians as a table; all
-- figures go to build/bench/compare.json. scripts/bench/run.sh prepares everything and tells the variables.
local contenders = require "scripts.bench.contenders"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local process = require "spec.support.process"
local rounds = require "scripts.bench.rounds"

local say, setting = figures.say, figures.setting
local round_count = setting("ROUNDS", 7, 3)
local MESSAGES = { full = setting("MESSAGES", 2000000, 300000), medium = setting("MEDIUM_MESSAGES", 500000, 100000),
  slow = setting("SLOW_MESSAGES", 100000, 50000) }
-- Those of the short form, unless BENCH_ONLY says others.
local QUICK = { bare = true, ["bare-drop"] = true, ["identity-1"] = true, ["once-1"] = true, ["view-2"] = true,
  ["tables-2"] = true, ["cjson-2"] = true }

-- Messages a second on 2 cores as of the time of writing, from which the time that a run takes is told beforehand.
local EXPECTED = { bare = 700000, ["kafka-streams"] = 70000, bytewax = 50000, quix = 10000, benthos = 60000,
  arroyo = 10000, ["cjson-2"] = 170000 }
local BESIDE_S = 3 -- what a run takes besides its messages: topics, start, end, checks

local function chosen()
  local list = figures.chosen(contenders)
  if not figures.quick or os.getenv "BENCH_ONLY" then return list end
  local short = {}
  for _, contender in ipairs(list) do
    if QUICK[contender.name] then short[#short + 1] = contender end
  end
  return short
end

-- Makes the peers ready; returns those that can take part, and { title, reason } of the others.
local function prepare(list)
  local ready, absent = {}, {}
  for _, contender in ipairs(list) do
    local code, words = 0, ""
    if contender.peer then
      code, words = process.run({ "scripts/bench/peers.sh", contender.peer }, { timeout = 1200 })
    end
    if code == 0 then
      ready[#ready + 1] = contender
    else
      local reason = words:match "([^\n]+)\n*$" or "no reason given"
      absent[#absent + 1] = { title = contender.title, reason = reason }
      say("%s is left out: %s", contender.name, reason)
    end
  end
  return ready, absent
end

local function tell_time(list)
  local seconds, per_event = 0, 1 / 150000
  for _, contender in ipairs(list) do
    local count = MESSAGES[contender.input]
    local heats = not figures.quick and contender.settings and #contender.settings or 0
    local one = count / (EXPECTED[contender.name] or 450000) + BESIDE_S
    seconds = seconds + one * (round_count + heats)
  end
  for _, count in pairs(MESSAGES) do seconds = seconds + count * per_event end
  say("%d contenders, %d rounds: this will take about %.0f minutes", #list, round_count, math.ceil(seconds / 60))
end

local function fill(list)
  local topics = {}
  for _, contender in ipairs(list) do
    topics[contender.input] = topics[contender.input] or inputs.fill(MESSAGES[contender.input])
  end
  return topics
end

local function ratio_to(all, what, name, other)
  return all[other or ""] and figures.ratio(all[name][what], all[other][what])
end

local function summary(contender, all, compared)
  local mine, name = all[contender.name], contender.name
  return {
    name = name, title = contender.title, peer = contender.peer, filters = contender.filters,
    messages = MESSAGES[contender.input], setting = contender.setting and contender.setting.title,
    heats = contender.heats, against = contender.against, beside = contender.beside, compared = compared[name],
    rate = figures.of(mine.rate), cpu_us = figures.of(mine.cpu_us), memory = figures.of(mine.memory),
    rate_ratio = ratio_to(all, "rate", name, contender.against),
    cpu_ratio = ratio_to(all, "cpu_us", name, contender.against),
    beside_ratio = ratio_to(all, "rate", name, contender.beside),
  }
end

local function print_table(results)
  print(("%-52s %12s %10s %10s %9s %7s %7s"):format("", "messages/s", "CPU us", "peak MiB", "of bare", "rate",
    "CPU"))
  for _, r in ipairs(results) do
    print(("%-52s %12.0f %10.2f %10.0f %9s %7s %7s"):format(r.title, r.rate.median, r.cpu_us.median,
      r.memory.median / 2 ^ 20, r.against or "-", r.rate_ratio and ("%.3f"):format(r.rate_ratio) or "-",
      r.cpu_ratio and ("%.2f"):format(r.cpu_ratio) or "-"))
  end
  for _, r in ipairs(results) do
    if r.beside_ratio then print(("%s (%s): %.3f of %s"):format(r.title, r.name, r.beside_ratio, r.beside)) end
  end
end

local function drop(list, failed, absent)
  local left = {}
  for _, contender in ipairs(list) do
    if failed[contender.name] then
      absent[#absent + 1] = { title = contender.title, reason = failed[contender.name] }
      say("%s is left out: %s", contender.name, failed[contender.name])
    else
      left[#left + 1] = contender
    end
  end
  return left
end

local function main()
  local list, absent = prepare(chosen())
  tell_time(list)
  local topics, failed = fill(list), {}
  say("warming the broker")
  rounds.measure(list[1], topics[list[1].input], list[1].settings and list[1].settings[1])
  for _, contender in ipairs(list) do
    failed[contender.name] = rounds.choose(contender, topics[contender.input])
  end
  list = drop(list, failed, absent)
  local all, samples = rounds.run(list, topics, round_count)
  local compared, wrong = inputs.check(samples)
  failed = {}
  for _, contender in ipairs(list) do
    failed[contender.name] = wrong[contender.name] or contender.failed
    if failed[contender.name] and not contender.peer then error(failed[contender.name]) end
  end
  list = drop(list, failed, absent)
  local results = {}
  for i, contender in ipairs(list) do results[i] = summary(contender, all, compared) end
  print_table(results)
  figures.save("compare", { rounds = round_count, messages = MESSAGES, partitions = inputs.PARTITIONS,
    results = results, absent = absent })
end

figures.run(main, "the comparison")
