-- SPDX-License-Identifier: MIT
-- plan/sizes.lua: what becomes of sizes that are "auto" when a plan is made: their ranges, the shares of
-- target_latency, and the blocks that memory_limit allows. docs/tuning.md has the rules. What changes at run time is in
-- engine/chain/task_sizes.c and tuning/controller.lua.
local cores = require("tidemill.plan.cores")
local units = require("tidemill.plan.units")

local sizes = {}

--- The most processes that a pool may have.
sizes.MOST_PROCESSES = 512
local MANY = 16 -- processes: so many at least may there be where workers sleep, on a small machine too
local PAGE = 4096
local AROUND = 128 -- bytes of a block beside its messages or results: struct tide_output and TIDE_BLOCK_TAIL
local SMALLEST = 64 * 1024
--- A message of Kafka's default maximum, 1 MB, should fit: for that an automatic number of processes is kept lower.
local WANTED = 2 ^ 20 + 16384

--- Returns the range of a number of processes: { auto, min, max, begin }. value: a number, "auto", or a table with min,
--- max or both. usable: the processors that this engine may take to be its own; all that may be used without it.
function sizes.processes(value, usable)
  if type(value) == "number" then return { auto = false, min = value, max = value, begin = value } end
  local given = type(value) == "table" and value or {}
  usable = usable or cores.usable()
  local max = given.max or math.max(given.min or 1, math.min(sizes.MOST_PROCESSES, math.max(MANY, 4 * usable)))
  local min = given.min or math.min(usable, max)
  return { auto = true, min = min, max = max, begin = math.max(min, math.min(usable, max)) }
end

local function has_workers(step)
  return step.kind == "TIDE_STEP_TASK" or step.kind == "TIDE_STEP_REDUCE"
end

--- Gives each step with workers an equal share of target_latency. A message waits in a batch that is filled for a
--- quarter of it.
function sizes.latency(result)
  local count = 0
  for _, step in ipairs(result.steps) do count = count + (has_workers(step) and 1 or 0) end
  for number, step in ipairs(result.target_latency_us and result.steps or {}) do
    if step.kind == "TIDE_STEP_TASK" then
      step.latency_us = math.max(1, math.floor(result.target_latency_us / count))
      if result.automatic[number].max_batch_time then
        step.max_batch_time_us = math.max(1, math.min(step.max_batch_time_us, math.floor(step.latency_us / 4)))
      end
    end
  end
end

local function memory_of(size)
  return math.ceil((size + AROUND) / PAGE) * PAGE
end

--- How many batches a step has: as many as its workers can have, and one more to be filled, with order = "key" one for
--- each lane (engine/chain/task.h).
function sizes.batches(step, processes)
  return processes * (1 + step.prefetch_batches) + (step.order == "TIDE_ORDER_KEY" and processes or 1)
end

-- Returns what the blocks take whose size or maximum the pipeline file gives, how many others there are, and the number
-- of all.
local function blocks_of(result)
  local fixed, others, all = 0, 0, 0
  for number, step in ipairs(result.steps) do
    local batches = has_workers(step) and sizes.batches(step, result.pools[step.pool + 1]) or 0
    for _, side in ipairs { "input", "output" } do
      local given = batches > 0 and result.given_blocks[number][side]
      all = all + batches
      if given then
        local name = (given == "max" and "max_" or "") .. side .. "_block_size"
        fixed = fixed + batches * memory_of(step[name])
      else
        others = others + batches
      end
    end
  end
  return fixed, others, all
end

-- Lowers the pool with most processes by one, if that is automatic.
local function lower_a_pool(result)
  local most
  for i, limits in ipairs(result.pool_limits) do
    if limits.auto and limits.max > limits.min and (not most or limits.max > result.pool_limits[most].max) then
      most = i
    end
  end
  if not most then return false end
  local limits = result.pool_limits[most]
  limits.max = limits.max - 1
  result.pools[most] = limits.max
  result.pools_begin[most] = math.min(result.pools_begin[most], limits.max)
  return true
end

-- The bytes that each of the other blocks may hold; negative when there is nothing left for them.
local function share_of(result)
  local fixed, others, all = blocks_of(result)
  local left, need = result.memory_limit - fixed, fixed + others * memory_of(SMALLEST)
  if others == 0 then return left >= 0 and math.huge or -1, need, all end
  return math.floor(left / others / PAGE) * PAGE - AROUND, need, all
end

-- A block of a given size never grows.
local function apply(step, side, given, share)
  local max, size = "max_" .. side .. "_block_size", side .. "_block_size"
  if given == "max" then return end
  step[max] = given == "size" and step[size] or math.min(step[max], share)
  step[size] = math.min(step[size], step[max])
end

--- Keeps all blocks together within memory_limit: their maxima are lowered, and the kernel lets no block grow past its
--- maximum, whatever the traffic does. Sets result.memory_fault when that cannot be.
function sizes.memory(result)
  if not result.memory_limit then return end
  local share, need, all
  repeat share, need, all = share_of(result) until share >= WANTED or not lower_a_pool(result)
  if share < SMALLEST then
    local each = (result.engines or 1) > 1 and (" for each of %d engines"):format(result.engines) or ""
    result.memory_fault = ('option "memory_limit" = %s%s: too small for the %d blocks of its batches, which need %s; '
      .. "raise it, or lower processes, prefetch_batches or the block sizes"):format(
      units.show_size(result.memory_limit), each, all, units.show_size(need))
    return
  end
  for number, step in ipairs(result.steps) do
    for _, side in ipairs(has_workers(step) and { "input", "output" } or {}) do
      apply(step, side, result.given_blocks[number][side], share)
    end
  end
end

return sizes
