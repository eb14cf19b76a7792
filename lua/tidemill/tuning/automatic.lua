-- SPDX-License-Identifier: MIT
-- tuning/automatic.lua: the part of the observer that changes the number of processes where it is "auto": it measures
-- each pool once a second, asks the controller, and logs each change with its reason.
local controller = require("tidemill.tuning.controller")
local metrics = require("tidemill.metrics")
local tide = require("tidemill.run.ffi")

local automatic = {}
local Automatic = {}
Automatic.__index = Automatic

-- Nanoseconds that a process was on a processor, or waited for one; nil when the kernel does not say.
local function demand_of(pid)
  local file = io.open(("/proc/%d/schedstat"):format(pid))
  if not file then return nil end
  local ran, waited = (file:read("*l") or ""):match("^(%d+) (%d+)")
  file:close()
  return ran and tonumber(ran) + tonumber(waited)
end

-- Returns the time that the workers of a pool wanted a processor since the last call, in nanoseconds. A worker that is
-- new counts from its second second on. Without numbers of the kernel each of them is said to want one.
local function demand(engine, pool, elapsed)
  local sum, known = 0, {}
  for index = 0, pool.processes - 1 do
    local pid = engine:worker_pid(pool.index, index)
    local now = pid and demand_of(pid)
    if pid then known[pid] = now end
    if not pid or not now then
      sum = sum + elapsed
    elseif pool.known[pid] then
      sum = sum + now - pool.known[pid]
    end
  end
  pool.known = known
  return sum
end

local function microseconds(engine, rows, name)
  local most, sum = 0, 0
  for i, row in ipairs(rows) do
    local value = engine:counter(row, "TIDE_M_" .. name).count
    sum = sum + value - (rows[name] and rows[name][i] or value)
    most = math.max(most, value - (rows[name] and rows[name][i] or value))
    rows[name] = rows[name] or {}
    rows[name][i] = value
  end
  return sum, most
end

-- The pools of a plan whose number of processes is automatic, with the rows of their steps.
local function pools_of(plan)
  local list, by_index = {}, {}
  for _, row in ipairs(metrics.task_rows(plan)) do
    local step = plan.tables.steps[row]
    local limits = plan.tables.pool_limits[step.pool + 1]
    local pool = by_index[step.pool]
    if limits.auto and not pool then
      pool = { index = step.pool, rows = {}, engine = { 0 }, known = {}, stage = step.stage,
        controller = controller.new { min = limits.min, max = limits.max, cores = plan.tables.cores } }
      by_index[step.pool] = pool
      list[#list + 1] = pool
    end
    if pool then pool.rows[#pool.rows + 1] = row end
  end
  return list
end

--- The part; nil when nothing is automatic.
function automatic.new(observer)
  local pools = pools_of(observer.plan)
  if #pools == 0 then return nil end
  return setmetatable({ engine = observer.engine, pools = pools }, Automatic)
end

local function look(self, pool, elapsed_us)
  local row = pool.rows[1]
  pool.processes = self.engine:sizes(row).processes
  -- The pool had to do without the last ones, since they could not start: it would be so again.
  if pool.processes < (pool.wanted or 0) then pool.controller:limit(pool.processes) end
  pool.wanted = pool.processes
  local _, blocked = microseconds(self.engine, pool.rows, "BLOCKED_WORKERS")
  local busy = microseconds(self.engine, pool.rows, "WORKER_BUSY_TIME")
  local engine = microseconds(self.engine, pool.engine, "TIME_BUSY")
  local measured = { processes = pool.processes, blocked = blocked / elapsed_us, busy = busy / elapsed_us,
    engine = engine / elapsed_us,
    demand = demand(self.engine, pool, elapsed_us * 1000) / (elapsed_us * 1000) }
  if not pool.looked then -- nothing to compare with
    pool.looked = true
    return
  end
  local to, reason = pool.controller:second(measured)
  if not to then return end
  local set, problem = self.engine:set_sizes(row, { processes = to })
  if set then pool.wanted = to end
  tide.C.tide_log_text("TIDE_LOG_INFO", set
    and ("%s: processes is %d now, after %d: %s"):format(pool.stage, to, pool.processes, reason)
    or ("%s: processes stays %d: %s"):format(pool.stage, pool.processes, problem))
end

function Automatic:second()
  local now_us = tonumber(tide.C.tide_clock_us())
  local elapsed_us = now_us - (self.looked_us or now_us - 1e6)
  self.looked_us = now_us
  if elapsed_us <= 0 then return end
  for _, pool in ipairs(self.pools) do look(self, pool, elapsed_us) end
end

return automatic
