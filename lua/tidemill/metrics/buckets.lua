-- SPDX-License-Identifier: MIT
-- metrics/buckets.lua: the bounds of the histograms that are exported. The engine has 252 buckets, four for each power
-- of two (shm/counters.h); they are merged into some fifteen for each unit, so that a page stays small.
--
-- Each bound is an edge of the engine's buckets, so that nothing is guessed. A bucket of the engine holds what is below
-- its upper edge, one of Prometheus what is not above it: for whole numbers (messages, bytes) the bound is therefore
-- one less than the edge, and exact. Of times only a value that is an edge itself counts in the bucket above.
local C = require("tidemill.run.ffi").C

local buckets = {}

local LOWEST = -20 -- the engine's first bucket begins at 2^-20
local PER_POWER = 4

-- Powers of two. Times: 15 us to 17 minutes; the finest where batches and commits are. Sizes: up to 1 GiB.
local EDGES = {
  seconds = { -16, -13, -10, -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 4, 6, 10 },
  bytes = { 8, 10, 12, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 28, 30 },
  messages = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 18 },
}

local sets = {}

--- Returns the bounds for a unit: an array of { le = the bound as text, to = the first bucket of the engine above it }.
--- The last one has all others, le = "+Inf".
function buckets.of(unit)
  if sets[unit] then return sets[unit] end
  local set = {}
  for i, power in ipairs(EDGES[unit]) do
    local bound = unit == "seconds" and 2 ^ power or 2 ^ power - 1
    set[i] = { le = ("%.15g"):format(bound), to = (power - LOWEST) * PER_POWER }
  end
  set[#set + 1] = { le = "+Inf", to = C.TIDE_BUCKETS }
  sets[unit] = set
  return set
end

--- Returns the middle of the engine's bucket `index` (from 0).
function buckets.middle(index)
  local part = index % PER_POWER
  return 2 ^ ((index - part) / PER_POWER + LOWEST) * (1 + (part + 0.5) / PER_POWER)
end

return buckets
