-- SPDX-License-Identifier: MIT
-- cli/canary.lua: the canary that `tidemill reload` asks for, as the number that goes with its signal (SIGUSR1, by
-- sigqueue). Without a number (kill(1)) the pipeline's own setting holds.
local canary = {}

-- The share in ten-thousandths, and above it: bits.
local WHOLE, COMPARE, SHARE, MOST = 10000, 2 ^ 16, 2 ^ 17, 2 ^ 18

--- Returns the number for a share from 0 to 1 (nil = that of the pipeline's setting) and whether results are compared.
function canary.encode(share, compare)
  return (share and math.floor(share * WHOLE + 0.5) + SHARE or 0) + (compare and COMPARE or 0)
end

--- Returns { share, compare }, or nil: as the pipeline's setting says, whose share is `own`. The number may be
--- anybody's. To compare without any share is to compare all.
function canary.decode(number, own)
  local share, compare = number % COMPARE, number % SHARE >= COMPARE
  if number <= 0 or number >= MOST or share > WHOLE then return nil end
  if number >= SHARE then return { share = share / WHOLE, compare = compare } end
  return { share = own > 0 and own or 1, compare = compare }
end

return canary
