-- SPDX-License-Identifier: MIT
-- Why the figures of scripts/bench/run.lua are what they are: in turn on the Kafka that TIDE_KAFKA names, the processor
-- time of each part of tidemill and of the bare loop, what the transactions of both wait for, and two peers in the same
-- rounds; before that what scripts/bench/limits_json.lua measures in process. All figures go to
-- build/bench/limits.json, from which scripts/bench/limits_report.lua writes what the limits are.
package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
local contenders = require "scripts.bench.contenders"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local limits_json = require "scripts.bench.limits_json"
local process = require "spec.support.process"
local rounds = require "scripts.bench.rounds"
local threads = require "scripts.bench.threads"

-- Peers with the first of their settings, which was their best where this was written.
local NAMES = { bare = true, ["bare-drop"] = true, ["bare-once"] = true, ["identity-1"] = true, ["once-1"] = true,
  ["view-2"] = true, ["tables-2"] = true, ["kafka-streams"] = true, arroyo = true }
local round_count = figures.setting("ROUNDS", 7, 3)
local MESSAGES = { full = figures.setting("MESSAGES", 2000000, 300000),
  slow = figures.setting("SLOW_MESSAGES", 100000, 50000) }

local function is_ready(contender)
  if not contender.peer then return true end
  local code = process.run({ "scripts/bench/peers.sh", contender.peer }, { timeout = 1200 })
  if code ~= 0 then figures.say("%s is left out: it cannot be had here", contender.name) end
  return code == 0
end

local function chosen()
  local list = {}
  for _, contender in ipairs(contenders) do
    if NAMES[contender.name] and is_ready(contender) then list[#list + 1] = contender end
  end
  return list
end

-- Milliseconds that transactions take, each and in all: what the bare loop says of its own, or what the metrics say.
local function transactions_of(result)
  local metrics = result.metrics
  if not metrics then
    if (result.transactions or 0) == 0 then return nil end
    return { count = result.transactions, flush_ms = result.flush_seconds * 1e3 / result.transactions,
      ended_ms = (result.offsets_seconds + result.end_seconds) * 1e3 / result.transactions,
      held = (result.flush_seconds + result.offsets_seconds + result.end_seconds) / result.seconds }
  end
  local time, held = metrics["producer.transaction.time"], metrics["producer.transaction.hold.time"]
  if not time or time.count == 0 then return nil end
  return { count = time.count, flush_ms = (held / 1e3 - time.sum * 1e3) / time.count,
    ended_ms = time.sum * 1e3 / time.count, held = held / 1e6 / result.seconds }
end

local function new_lists()
  local lists = { rate = {}, cpu_us = {}, parts = {}, transactions = {} }
  for _, part in ipairs(threads.PARTS) do lists.parts[part] = {} end
  return lists
end

local function measure(contender, topics, lists, round)
  local one, result = rounds.parts(contender, topics[contender.input])
  lists.rate[round], lists.cpu_us[round] = one.rate, one.cpu_us
  for part, us in pairs(one.parts) do lists.parts[part][round] = us end
  for name, value in pairs(transactions_of(result) or {}) do
    lists.transactions[name] = lists.transactions[name] or {}
    lists.transactions[name][round] = value
  end
  figures.say("limits, round %d of %d: %-11s %9.0f messages/s, %5.2f us: engine %.2f, librdkafka %.2f, workers %.2f",
    round, round_count, contender.name, one.rate, one.cpu_us, one.parts.engine, one.parts.librdkafka, one.parts.worker)
end

local function summary(contender, lists, all)
  local result = { name = contender.name, title = contender.title, peer = contender.peer, rate = figures.of(lists.rate),
    cpu_us = figures.of(lists.cpu_us), parts = {} }
  for part, list in pairs(lists.parts) do result.parts[part] = figures.of(list).median end
  if next(lists.transactions) then
    result.transactions = {}
    for name, list in pairs(lists.transactions) do result.transactions[name] = figures.of(list).median end
    result.of_at_least_once = figures.ratio(lists.rate, all[contender.beside].rate)
  end
  return result
end

local function in_turn(list)
  local topics, all, results = { full = inputs.fill(MESSAGES.full), slow = inputs.fill(MESSAGES.slow) }, {}, {}
  rounds.parts(list[1], topics.full) -- warms the broker
  for _, contender in ipairs(list) do all[contender.name] = new_lists() end
  for round = 1, round_count do
    for i = 1, #list do
      local contender = list[(round + i - 2) % #list + 1]
      measure(contender, topics, all[contender.name], round)
    end
  end
  for i, contender in ipairs(list) do results[i] = summary(contender, all[contender.name], all) end
  return results
end

local function main()
  local list, began = chosen(), os.time()
  local json = limits_json(figures.quick and 5 or 20, figures.quick and 3 or 9)
  figures.say("limits: %d contenders, %d rounds: about %.0f minutes", #list, round_count,
    math.ceil(#list * round_count * (MESSAGES.full / 500000 + 3) / 60))
  figures.save("limits", { rounds = round_count, messages = MESSAGES, results = in_turn(list), json = json })
  figures.say("limits took %.1f minutes", (os.time() - began) / 60)
end

figures.run(main)
