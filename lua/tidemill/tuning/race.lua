-- SPDX-License-Identifier: MIT
-- tuning/race.lua: finds the fastest of a few candidates although each measurement is noisy. All are measured in
-- turn, in an order that is reversed from round to round, so that a machine that becomes slower meanwhile is as bad
-- for one as for the other. Those that are clearly slower leave after each round (successive halving); the others are
-- compared round by round, by medians.
local race = {}

local MOST_ROUNDS = 3
local FIRST_NOISE = 0.03 -- the relative deviation of one measurement where nothing is known of it
local LEAST_MARGIN = 0.02 -- a candidate that is less than this behind stays

--- Candidates whose medians differ by less than this are equally fast; the first one, which is the cheapest, wins.
race.TIE = 0.01
-- Where the machine is noisy, the clock tells less than processor time does: candidates that cannot be told apart are
-- equally fast, and those leave that need more processor time for a message than SAVING above the least. What cannot be
-- told apart may still be far apart, and several such choices follow each other: so the tie stays narrow.
local NOISY = 0.05
local WIDEST_TIE = 0.05
local SAVING = 0.05

--- Returns the median of a list of numbers.
function race.median(list)
  local sorted = { unpack(list) }
  table.sort(sorted)
  local middle = #sorted / 2
  return (sorted[math.ceil(middle)] + sorted[math.floor(middle) + 1]) / 2
end

-- What all that are still in the race reached in this round, as one number: the geometric mean.
local function level_of(entries, round)
  local sum = 0
  for _, entry in ipairs(entries) do sum = sum + math.log(math.max(entry.rates[round], 1e-9)) end
  return math.exp(sum / #entries)
end

-- The median over the rounds of what this one reached against all of them.
local function score(entries)
  local levels = {}
  for round = 1, #entries[1].rates do levels[round] = level_of(entries, round) end
  for _, entry in ipairs(entries) do
    local relative = {}
    for round, rate in ipairs(entry.rates) do relative[round] = rate / levels[round] end
    entry.score = race.median(relative)
  end
end

local function best_of(entries)
  local best = 0
  for _, entry in ipairs(entries) do best = math.max(best, entry.score) end
  return best
end

-- How far behind the best one a candidate may be and still count as equally fast, as far as can be told by now.
local function tie_width(entries, noise)
  if noise < NOISY then return race.TIE end
  return math.min(WIDEST_TIE, noise / math.sqrt(#entries[1].rates))
end

-- Returns the candidate that is taken of those that are equally fast: the cheapest, and where the machine is noisy the
-- cheapest of those that need the least processor time.
local function winner_of(entries, noise)
  local least = best_of(entries) * (1 - tie_width(entries, noise))
  local equal, least_cpu = {}, math.huge
  for _, entry in ipairs(entries) do
    if entry.score >= least then
      entry.cpu = noise >= NOISY and #entry.cpus > 0 and race.median(entry.cpus) or 0
      equal[#equal + 1], least_cpu = entry, math.min(least_cpu, entry.cpu)
    end
  end
  for _, entry in ipairs(equal) do
    if entry.cpu <= least_cpu * (1 + SAVING) then return entry end
  end
end

-- Returns those that stay: the one that would be taken now, and those within `margin` of the best; at most `most`.
local function survivors(entries, margin, most, noise)
  local first, ranked = winner_of(entries, noise), { unpack(entries) }
  table.sort(ranked, function(a, b)
    if (a == first) ~= (b == first) then return a == first end
    if a.score ~= b.score then return a.score > b.score end
    return a.index < b.index
  end)
  local stay, best = {}, best_of(entries)
  for rank, entry in ipairs(ranked) do
    if rank <= most and entry.score >= best * (1 - margin) then stay[#stay + 1] = entry end
  end
  table.sort(stay, function(a, b) return a.index < b.index end)
  return stay
end

local function measure_round(entries, measure, backwards)
  for i = 1, #entries do
    local entry = entries[backwards and #entries + 1 - i or i]
    local result = measure(entry.candidate)
    if not result then return false end
    entry.fresh, entry.fresh_cpu = result.rate, result.cpu
  end
  for _, entry in ipairs(entries) do
    entry.rates[#entry.rates + 1] = entry.fresh
    entry.cpus[#entry.cpus + 1] = entry.fresh_cpu
  end
  return true
end

local function entries_of(candidates, known)
  local entries = {}
  for i, candidate in ipairs(candidates) do
    local first = known and known[i]
    entries[i] = { candidate = candidate, index = i, rates = { first and first.rate }, cpus = { first and first.cpu } }
  end
  return entries
end

--- Returns the index of the winner; nil when there were not even measurements for one round. `candidates`: what is
--- compared, the cheapest first. `measure(candidate)` returns { rate = number, cpu = number or nil }, or nil when there
--- may be no more measurements: then what is known decides. options, all optional: noise(): the relative deviation of
--- one measurement as it is known by now; rounds; known: a first round that was measured already, by index.
function race.run(candidates, measure, options)
  options = options or {}
  local entries = entries_of(candidates, options.known)
  local rounds, round = options.rounds or MOST_ROUNDS, options.known and 1 or 0
  local noise = FIRST_NOISE
  while true do
    if round > 0 then
      score(entries)
      noise = options.noise and options.noise() or FIRST_NOISE
      local margin = math.max(LEAST_MARGIN, 3 * noise / math.sqrt(round))
      entries = survivors(entries, margin, round == 1 and math.max(3, math.ceil(#entries / 2)) or 2, noise)
      score(entries)
    end
    if #entries == 1 or round == rounds then break end
    round = round + 1
    if not measure_round(entries, measure, round % 2 == 0) then break end
  end
  return entries[1].score and winner_of(entries, noise).index or nil
end

return race
