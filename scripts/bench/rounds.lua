-- SPDX-License-Identifier: MIT
-- Runs contenders (scripts/bench/contenders.lua) in turn, and checks that each has read and written what it should.
local cjson = require "cjson"
local figures = require "scripts.bench.figures"
local inputs = require "scripts.bench.inputs"
local kafka = require "spec.support.kafka"
local process = require "spec.support.process"
local threads = require "scripts.bench.threads"
local tree = require "scripts.bench.tree"
local wait = require "spec.support.wait"

local rounds = {}

local RUN_LIMIT_S = 900
local NONE = {} -- the setting of those that have none

local function exists(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

local function take_result(run, job)
  local file = io.open(job.report, "r")
  local text = file and file:read("*a") or run:stdout():match("[^\n]*\n$")
  if file then file:close() end
  os.remove(job.report)
  os.remove(job.started)
  return text and cjson.decode(text) or error("no result: " .. run:stdout())
end

local function has_begun(contender, run, job)
  if contender.begins then return run:stderr():find(contender.begins, 1, true) end
  return exists(job.started)
end

-- Samples the processes until the first has ended. Returns the processor time that they had when they began to read, if
-- that was seen.
local function watch(contender, run, job, meter)
  local deadline, before = wait.now() + RUN_LIMIT_S, nil
  while run:running() and wait.now() < deadline do
    meter:sample()
    if not before and has_begun(contender, run, job) then before = meter:totals() end
    wait.pause(20)
  end
  return before
end

local function check_counts(contender, job, result)
  local produced = contender.markers and result.produced or inputs.count(job.out)
  if result.read == job.read and produced == job.kept then return end
  error(("%s: read %s of %d, produced %d of %d"):format(contender.name, result.read, job.read, produced, job.kept))
end

local function new_job(contender, input)
  local job = { brokers = kafka.bootstrap(), topic = input.topic, out = kafka.topic(inputs.PARTITIONS),
    group = kafka.group(), read = contender.read or input.count }
  job.kept = input.count - (contender.filters and input.debugs or 0)
  job.report = os.tmpname()
  os.remove(job.report)
  job.started = job.report .. ".started"
  return job
end

-- Runs one contender to its end: what it says of itself, the job, the meter, and what that had when it began to read.
local function run_once(contender, input, setting, new_meter)
  local job = new_job(contender, input)
  local run = process.start(contender.command(job, setting or NONE))
  local meter = new_meter(run:pid())
  local before = watch(contender, run, job, meter)
  local code = run:code()
  run:stop()
  if code ~= 0 then
    error(("%s: code %s\n%s"):format(contender.name, code or "none, stopped", run:stderr():sub(-2000)))
  end
  local result = take_result(run, job)
  if not contender.counts then check_counts(contender, job, result) end
  return result, job, meter, before
end

--- Runs one contender once: { rate, cpu_us, memory }, of which the last is bytes, and with `sampled` the sample of its
--- output. Raises when it fails, or when its output is not complete.
function rounds.measure(contender, input, setting, sampled)
  local result, job, meter, before = run_once(contender, input, setting, tree.meter)
  local sample = sampled and not contender.counts and inputs.sample(job.out)
  if contender.counts then contender.counts(job, result, sampled) end
  kafka.delete_topic(job.out)
  local cpu, memory = meter:totals()
  local cpu_us = (cpu - (before or 0)) / result.read * 1e6
  return { rate = result.read / result.seconds, cpu_us = cpu_us, memory = memory }, sample
end

--- The same, of a peer with its first setting, with the processor time of each part (scripts/bench/threads.lua):
--- { rate, cpu_us, parts = { name = us } }, and what the contender says of itself.
function rounds.parts(contender, input)
  local setting = contender.settings and contender.settings[1]
  local result, job, meter, before = run_once(contender, input, setting, threads.meter)
  kafka.delete_topic(job.out)
  local seconds, parts, sum = meter:totals(), {}, 0
  for part, total in pairs(seconds) do
    parts[part] = (total - (before and before[part] or 0)) / result.read * 1e6
    sum = sum + parts[part]
  end
  return { rate = result.read / result.seconds, cpu_us = sum, parts = parts }, result
end

--- Tries the settings of a peer, once each, again one that fails; sets `setting` to the best one and `heats` to what
--- each did. Returns why the peer has to be left out, or nil.
function rounds.choose(contender, input)
  if not contender.settings then return nil end
  contender.setting, contender.heats = contender.settings[1], {}
  if figures.quick then return nil end
  local best, reason = 0, nil
  for i, setting in ipairs(contender.settings) do
    local ok, result = pcall(rounds.measure, contender, input, setting)
    if not ok then ok, result = pcall(rounds.measure, contender, input, setting) end
    local rate = ok and result.rate or 0
    contender.heats[i] = { title = setting.title, rate = rate, failed = not ok and tostring(result) or nil }
    figures.say("%s, %s: %s", contender.name, setting.title, ok and ("%.0f messages/s"):format(rate) or result)
    if not ok then reason = result end
    if rate > best then best, contender.setting = rate, setting end
  end
  return best == 0 and tostring(reason) or nil
end

-- A peer that fails in a round is tried once more; then it is left out of the rest.
local function try(contender, input, sampled)
  local ok, result, sample = pcall(rounds.measure, contender, input, contender.setting, sampled)
  if not ok and contender.peer then
    figures.say("%s, once more", result)
    ok, result, sample = pcall(rounds.measure, contender, input, contender.setting, sampled)
  end
  if not ok and not contender.peer then error(result, 0) end
  return ok, result, sample
end

--- Returns { name = { rate = {one a round}, cpu_us = {...}, memory = {...} } }, and the samples of the first round. Who
--- begins moves on from round to round. contender.failed is why one was left out.
function rounds.run(list, topics, count)
  local all, samples = {}, {}
  for _, contender in ipairs(list) do all[contender.name] = { rate = {}, cpu_us = {}, memory = {} } end
  for round = 1, count do
    for i = 1, #list do
      local contender = list[(round + i - 2) % #list + 1]
      local ok, result, sample
      if not contender.failed then ok, result, sample = try(contender, topics[contender.input], round == 1) end
      if ok then
        figures.say("round %d of %d: %-13s %9.0f messages/s, %6.2f us of processor a message", round, count,
          contender.name, result.rate, result.cpu_us)
        for what, value in pairs(result) do all[contender.name][what][round] = value end
        if sample then samples[#samples + 1] = { contender = contender, values = sample } end
      elseif not contender.failed then
        contender.failed = tostring(result)
        figures.say("%s is left out: %s", contender.name, result)
      end
    end
  end
  return all, samples
end

return rounds
