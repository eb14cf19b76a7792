-- SPDX-License-Identifier: MIT
-- The seed of a random spec. It is printed before anything is drawn, so that a failure of any kind has it in the log
-- (scripts/dev/run_specs.sh shows what a file printed if it failed); TIDE_SEED=number draws the same again.
local seed = {}

--- Seeds math.random. Returns the seed.
function seed.draw()
  local value = tonumber(os.getenv "TIDE_SEED") or os.time()
  print(("TIDE_SEED=%d"):format(value))
  math.randomseed(value)
  return value
end

return seed
