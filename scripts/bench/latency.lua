-- SPDX-License-Identifier: MIT
-- How long a message takes from the moment at which it is due to be produced to the moment at which it is consumed, by
-- what copies one topic to another in between: the bare loop and tidemill, in turn, all with a linger of 5 ms. Prints
-- medians of the rounds' percentiles; the figures go to build/bench/latency.json. It needs the Kafka that TIDE_KAFKA
-- names (scripts/bench/run.sh latency).
--   BENCH_ROUNDS, BENCH_SECONDS (that are measured at each rate), BENCH_RATES=1000,10000
--   BENCH_ONLY=bare,least   some of the contenders below
local cjson = require "cjson"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local kafka = require "spec.support.kafka"
local median = require "scripts.bench.median"
local process = require "spec.support.process"

local LINGER_MS = 5
local round_count = figures.setting("ROUNDS", 5, 1)
local SECONDS, WARMUP = figures.setting("SECONDS", 10, 4), figures.quick and 2 or 3
local SHARES = { "p50_ms", "p99_ms", "p999_ms" }

local function bare(...)
  local more = { ... }
  return function(job)
    return { "build/bare_loop", job.brokers, job.topic, job.out, job.group, "follow", "linger=" .. LINGER_MS,
      unpack(more) }
  end
end

local function tidemill(delivery, commit)
  return function(job)
    return { "build/tidemill", "run", "scripts/bench/pipeline.lua", "--set", "job=identity",
      "--set", "brokers=" .. job.brokers, "--set", "topic=" .. job.topic, "--set", "out=" .. job.out,
      "--set", "group=" .. job.group, "--set", "workers=1", "--set", "linger=" .. LINGER_MS,
      "--set", "delivery=" .. delivery, "--set", "commit=" .. (commit or "200ms") }
  end
end

local CONTENDERS = {
  { name = "bare", title = "bare loop", command = bare() },
  { name = "least", title = "tidemill, at least once", against = "bare", command = tidemill("at_least_once") },
  { name = "bare-once", title = "bare loop, a transaction every 100 ms", command = bare("transaction=100") },
  { name = "once", title = "tidemill, exactly once, every 100 ms", against = "bare-once",
    command = tidemill("exactly_once", "100ms") },
}

local function rates()
  local list = {}
  local given = os.getenv "BENCH_RATES" or (figures.quick and "1000,10000" or "1000,10000,100000")
  for rate in given:gmatch "%d+" do list[#list + 1] = tonumber(rate) end
  return list
end

-- Raises when messages are missing, or when the load was not produced in time: such figures would tell nothing.
local function check(contender, result)
  if result.received < result.sent then
    error(("%s: %d of %d messages came through"):format(contender.name, result.received, result.sent))
  end
  if result.late_ms > 50 then
    figures.say("%s at %d/s: the load itself was late by %.0f ms at most", contender.name, result.rate, result.late_ms)
  end
end

local function measure(contender, rate)
  local job = { brokers = kafka.bootstrap(), topic = kafka.topic(inputs.PARTITIONS),
    out = kafka.topic(inputs.PARTITIONS), group = kafka.group() }
  local copier = process.start(contender.command(job))
  local code, text, words = process.run({ "build/latency", job.brokers, job.topic, job.out, tostring(rate),
    tostring(WARMUP), tostring(SECONDS) }, { timeout = 300 })
  copier:stop()
  kafka.delete_topic(job.topic)
  kafka.delete_topic(job.out)
  if code ~= 0 then error(("%s: %s\n%s"):format(contender.name, words, copier:stderr())) end
  local result = cjson.decode(text)
  check(contender, result)
  return result
end

-- { name = { { p50_ms = ... } one a round } }
local function at_rate(list, rate)
  local results = {}
  for _, contender in ipairs(list) do results[contender.name] = {} end
  for round = 1, round_count do
    for i = 1, #list do
      local contender = list[(round + i - 2) % #list + 1]
      local result = measure(contender, rate)
      results[contender.name][round] = result
      figures.say("%6d/s, round %d of %d: %-9s p50 %7.2f  p99 %7.2f  p99.9 %7.2f  max %7.2f ms", rate, round,
        round_count, contender.name, result.p50_ms, result.p99_ms, result.p999_ms, result.max_ms)
    end
  end
  return results
end

local function summary(list, rate, results)
  local rows = {}
  for i, contender in ipairs(list) do
    local row = { rate = rate, name = contender.name, title = contender.title, against = contender.against,
      ratios = {} }
    for _, share in ipairs(SHARES) do
      local values, ratios, others = {}, {}, contender.against and results[contender.against]
      for round, result in ipairs(results[contender.name]) do
        values[round] = result[share]
        if others then ratios[round] = result[share] / others[round][share] end
      end
      row[share] = figures.of(values)
      row.ratios[share] = others and median(ratios) or nil
    end
    rows[i] = row
  end
  return rows
end

local function print_rows(rows)
  for _, row in ipairs(rows) do
    local cells = {}
    for i, share in ipairs(SHARES) do
      local ratio = row.ratios[share] and (" (%.2f)"):format(row.ratios[share]) or ""
      cells[i] = ("%10.2f%-7s"):format(row[share].median, ratio)
    end
    print(("%7d/s  %-40s %s"):format(row.rate, row.title, table.concat(cells)))
  end
end

local function main()
  local list, all = figures.chosen(CONTENDERS), {}
  local each = SECONDS + WARMUP + 4
  figures.say("latency: about %.0f minutes", math.ceil(#list * #rates() * round_count * each / 60))
  print(("%-51s %10s %16s %16s"):format("ms from due to consumed, medians of " .. round_count .. " rounds", "p50",
    "p99", "p99.9"))
  for _, rate in ipairs(rates()) do
    local rows = summary(list, rate, at_rate(list, rate))
    print_rows(rows)
    for _, row in ipairs(rows) do all[#all + 1] = row end
  end
  print "In brackets: the median of the ratios to the bare loop of the same kind in the same round."
  figures.save("latency", { rounds = round_count, seconds = SECONDS, linger_ms = LINGER_MS, results = all })
end

figures.run(main)
