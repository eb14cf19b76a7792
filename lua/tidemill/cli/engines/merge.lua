-- SPDX-License-Identifier: MIT
-- cli/engines/merge.lua: makes one snapshot (metrics/snapshot.lua) of those of several engines: what GET /status of the
-- whole answers, and what its report has. A pure function of what the supervisor knows.
--
--   totals, rates, counts     the sum; what an engine had counted when it was lost stays in the sum, and what it had in
--                             flight then counts as dropped: it is read again
--   lag.seconds, uptime ...   the largest
--   p50, p99                  the largest of the engines: the quantile of all together is not above it
--   gauges                    the sum; the largest of those in seconds, of shares and revisions, and of those in bytes,
--                             which are the sizes of one block (but not of tables and state: each engine has its own)
--   verdict                   that of the engine that is furthest behind, since it holds up the whole
--   steps, partitions,        those of all engines, each with the field `engine`
--   workers, dead letters,
--   slow messages, lookup
--   tables
--   engines                   number, state, pid, life, losses, ready, totals, rates, verdict of each
local list = require("tidemill.metrics.list")
local snapshot = require("tidemill.metrics.snapshot")

local merge = {}

local SLOW, LETTERS = 10, 10 -- of the slowest messages, of the last dead letters
local SUMMED = { "read", "produced", "produced_from", "filtered", "dead_lettered", "dropped", "in_flight" }
local RATES = { "read", "produced", "filtered", "dead_lettered" }

-- ---- numbers ----

local function larger(a, b)
  if not a or not b then return a or b end
  return math.max(a, b)
end

local function sum(a, b)
  if not a or not b then return a or b end
  return a + b
end

-- The units of gauges by their names; those of scripts are not in the list.
local units = {}
for _, metric in ipairs(list) do units[metric.name] = metric.unit end

local OF_ONE = { seconds = true, share = true, revision = true }

local function is_of_one(name)
  local unit = units[name:match("^[^{]*")]
  local own = name:find("lookup", 1, true) or name:find("table", 1, true) or name:sub(1, 6) == "state."
  return OF_ONE[unit] or unit == "bytes" and not own
end

local function merge_value(name, a, b)
  if a == nil or b == nil then return a or b end
  if type(a) == "number" then return a + b end
  local seen = (a.count or 0) > 0 and (b.count or 0) > 0
  local filled = (a.count or 0) > 0 and a or b
  return { count = sum(a.count, b.count), sum = sum(a.sum, b.sum),
    min = seen and a.min and b.min and math.min(a.min, b.min) or filled.min,
    max = seen and larger(a.max, b.max) or filled.max, p50 = larger(a.p50, b.p50), p99 = larger(a.p99, b.p99),
    last = (is_of_one(name) and larger or sum)(a.last, b.last) }
end

--- Returns the sum of two tables of metrics (metrics.collect); either may be nil.
function merge.metrics(a, b)
  local values = {}
  for name, value in pairs(a or {}) do values[name] = value end
  for name, value in pairs(b or {}) do values[name] = merge_value(name, values[name], value) end
  return values
end

--- Returns the sum of two tables of totals; either may be nil. `in_turn`: they are of one engine's lives, so that their
--- seconds add up.
function merge.totals(a, b, in_turn)
  if not a or not b then return a or b end
  local totals = { lag = sum(a.lag, b.lag), lag_seconds = larger(a.lag_seconds, b.lag_seconds),
    seconds = (in_turn and sum or larger)(a.seconds, b.seconds) }
  for _, name in ipairs(SUMMED) do totals[name] = (a[name] or 0) + (b[name] or 0) end
  return totals
end

--- What is left of an engine's last snapshot when it is lost: totals and metrics, with no present values.
function merge.lost(before, seen)
  if not seen then return before end
  local totals, values = {}, {}
  for name, value in pairs(seen.totals) do totals[name] = value end
  totals.dropped, totals.in_flight, totals.lag, totals.lag_seconds = totals.dropped + totals.in_flight, 0, nil, nil
  for name, value in pairs(seen.metrics) do
    local copy = value
    if type(value) == "table" then
      copy = {}
      for field, number in pairs(value) do copy[field] = number end
      if copy.last then copy.last = 0 end
    end
    values[name] = copy
  end
  before = before or {}
  return { totals = merge.totals(before.totals, totals, true), metrics = merge.metrics(before.metrics, values) }
end

-- ---- steps ----

local function add_fields(to, from)
  for name, value in pairs(from or {}) do to[name] = (to[name] or 0) + value end
end

-- Each engine has chosen its own sizes, so the largest are shown.
local function add_sizes(to, from)
  for name, value in pairs(from or {}) do
    if type(value) == "number" then to[name] = larger(to[name], value) else to[name] = value end
  end
end

local function add_step(steps, step, engine)
  local whole = steps[step.number]
  if not whole then
    whole = { number = step.number, kind = step.kind, stage = step.stage, processes = 0, batches_in_progress = 0,
      sizes = {}, closes = {}, overflow = {}, backpressure = 0, workers = {} }
    steps[step.number] = whole
  end
  for _, name in ipairs { "processes", "batches_in_progress", "backpressure" } do
    whole[name] = whole[name] + (step[name] or 0)
  end
  add_sizes(whole.sizes, step.sizes)
  local time, whole_time = step.event_time, whole.event_time or { watermark_lag = 0, waiting_timers = 0 }
  whole.event_time = time and { watermark_lag = larger(time.watermark_lag, whole_time.watermark_lag),
    waiting_timers = time.waiting_timers + whole_time.waiting_timers } or whole.event_time
  if step.retry and step.retry.seconds > (whole.retry and whole.retry.seconds or -1) then whole.retry = step.retry end
  add_fields(whole.closes, step.closes)
  add_fields(whole.overflow, step.overflow)
  for _, worker in ipairs(step.workers or {}) do
    worker.engine = engine
    table.insert(whole.workers, worker)
  end
end

-- ---- lists ----

local function first_of(all, count)
  for i = #all, count + 1, -1 do all[i] = nil end
  return all
end

local function add_letters(whole, letters)
  whole.total = whole.total + (letters.total or 0)
  add_fields(whole.reasons, letters.reasons)
  for _, letter in ipairs(letters.last or {}) do table.insert(whole.last, letter) end
end

local function add_all(to, from, engine)
  for _, item in ipairs(from or {}) do
    item.engine = engine
    table.insert(to, item)
  end
end

-- ---- the verdict ----

local function is_further(a, b)
  local lag_a, lag_b = a.totals.lag or 0, b.totals.lag or 0
  if lag_a ~= lag_b then return lag_a > lag_b end
  if (a.rates.read or 0) ~= (b.rates.read or 0) then return (a.rates.read or 0) > (b.rates.read or 0) end
  return a.totals.read > b.totals.read
end

local function verdict_of(seen)
  local worst, alike = nil, 0
  for _, one in ipairs(seen) do
    if not worst or is_further(one.snapshot, worst.snapshot) then worst = one end
  end
  if not worst then return { limit = "none", since = 0, text = "", evidence = {}, procedure = {} } end
  local verdict = {}
  for name, value in pairs(worst.snapshot.verdict) do verdict[name] = value end
  for _, one in ipairs(seen) do
    local other = one.snapshot.verdict
    if other.limit == verdict.limit and other.step == verdict.step then alike = alike + 1 end
  end
  verdict.engine = worst.number
  if verdict.text ~= "" then
    local all = alike == #seen and ("all %d engines alike; of engine %d: "):format(#seen, worst.number)
    verdict.text = (all or ("engine %d, which is furthest behind (%d of %d are limited like that): "):format(
      worst.number, alike, #seen)) .. verdict.text
  end
  return verdict
end

-- ---- the whole ----

-- What is shown of one engine; nothing but its state while it has no snapshot.
local function entry_of(one)
  local seen = one.snapshot or {}
  return { number = one.number, state = one.state, pid = one.pid, life = one.life, losses = one.losses,
    ready = one.ready or false, totals = merge.totals(one.lost and one.lost.totals, seen.totals, true),
    rates = seen.rates, verdict = seen.verdict }
end

local TOLD = { failed = true, rolled_back = true } -- outcomes that are told whatever the others say

local function add_canary(reload, canary)
  if not canary then return end
  local all = reload.canary or { share = canary.share, compared = 0, differing = 0, rejected = 0 }
  for _, name in ipairs { "compared", "differing", "rejected" } do all[name] = all[name] + canary[name] end
  reload.canary = all
end

-- The lowest revision, since that is what some engine runs, and what became of the last reload: as long as one is at it
-- that is the state; one that failed is what is told, and the number is that of the engine that has seen fewest.
-- An engine that has ended runs no transforms, and comes to no reload any more.
local function add_reload(whole, one)
  local seen, number = one.snapshot, one.number
  local reload = seen.reload
  if not reload or one.state == "ENDED" then return end
  whole.revision = math.min(whole.revision or seen.revision, seen.revision)
  local all = whole.reload or { state = "none", last = reload.last }
  if reload.state ~= "none" then all.state = reload.state end
  add_canary(all, reload.canary)
  local last, other = all.last, reload.last
  if last and other then
    local told = TOLD[other.outcome] and not TOLD[last.outcome] and other or last
    all.last = { number = math.min(last.number, other.number), outcome = told.outcome, text = told.text,
      time = told.time, engine = told.engine or told == other and number or nil }
  else
    all.last = nil
  end
  whole.reload = all
end

-- An engine without a snapshot starts, or will start again: it has come no further than in its life before.
local function hold_reload(whole, one)
  local last = whole.reload and whole.reload.last
  if one.snapshot or one.state == "ENDED" or not last then return end
  local number = math.min(last.number, one.reloaded or 0)
  whole.reload.last = number > 0 and { number = number, outcome = last.outcome, text = last.text, time = last.time,
    engine = last.engine } or nil
end

local function collect(whole, one)
  local seen, entry = one.snapshot, entry_of(one)
  table.insert(whole.engines, entry)
  whole.totals = merge.totals(whole.totals, entry.totals)
  if one.lost then whole.metrics = merge.metrics(whole.metrics, one.lost.metrics) end
  if not seen then return end
  whole.metrics = merge.metrics(whole.metrics, seen.metrics)
  for _, name in ipairs(RATES) do whole.rates[name] = whole.rates[name] + (seen.rates[name] or 0) end
  for _, step in ipairs(seen.steps or {}) do add_step(whole.steps, step, one.number) end
  add_all(whole.partitions, seen.partitions, one.number)
  add_all(whole.slow_messages, seen.slow_messages, one.number)
  add_all(whole.lookups, seen.lookups, one.number)
  add_all(whole.tables, seen.tables, one.number)
  add_letters(whole.dead_letters, seen.dead_letters or {})
  add_reload(whole, one)
end

--- Returns the snapshot of all. engines: an array of { number, state, pid, life, losses, ready, snapshot (of its
--- present life, decoded; nil = none yet), lost (as merge.lost), reloaded (as cli/engines/reloads.lua) }; run: name,
--- program, pid, uptime, state, ready, time.
function merge.snapshot(engines, run)
  local whole = { version = snapshot.VERSION, engines = {}, rates = {}, steps = {}, partitions = {}, slow_messages = {},
    lookups = {}, tables = {}, dead_letters = { total = 0, reasons = {}, last = {} }, metrics = {} }
  for name, value in pairs(run) do whole[name] = value end
  for _, name in ipairs(RATES) do whole.rates[name] = 0 end
  local seen = {}
  for _, one in ipairs(engines) do
    collect(whole, one)
    if one.snapshot then seen[#seen + 1] = one end
  end
  for _, one in ipairs(engines) do hold_reload(whole, one) end
  whole.verdict = verdict_of(seen)
  whole.totals = whole.totals or { seconds = 0 }
  for _, name in ipairs(SUMMED) do whole.totals[name] = whole.totals[name] or 0 end
  table.sort(whole.partitions, function(a, b)
    if a.topic ~= b.topic then return a.topic < b.topic end
    return a.partition < b.partition
  end)
  table.sort(whole.slow_messages, function(a, b) return a.seconds > b.seconds end)
  table.sort(whole.dead_letters.last, function(a, b) return a.time > b.time end)
  first_of(whole.slow_messages, SLOW)
  first_of(whole.dead_letters.last, LETTERS)
  return whole
end

return merge
