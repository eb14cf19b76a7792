-- SPDX-License-Identifier: MIT
-- tuning/controller.lua: the rule for an automatic number of processes. It is called once a second with what was
-- measured of a pool, and says what the number is to be. It touches no engine, so that a simulation runs the same code
-- (spec/unit/lua/tuning/controller_spec.lua). The sizes of batches and blocks follow the messages from batch to batch,
-- in C (engine/chain/task_sizes.c). The rules are on one page, docs/tuning.md.
local controller = {}
local Controller = {}
Controller.__index = Controller

--- Workers are the limit when for so much of the time the step takes nothing because they have all its batches ...
controller.BLOCKED = 0.5
--- ... in so many seconds in a row.
controller.SECONDS = 2
--- ... and the engine's thread works for less than this part of it. One without time left takes late what workers have
--- done, so that all look busy, and more of them would only take its processor.
controller.ENGINE = 0.9
--- The number grows by a quarter at least, or not at all.
controller.WORTH = 1.25
--- The number is halved when, for so many seconds ...
controller.QUIET = 60
--- ... never more than this part of the workers had a batch.
controller.QUARTER = 0.25

--- limits: min and max (processes), cores (processors that may be used).
function controller.new(limits)
  return setmetatable({ min = limits.min, max = limits.max, cores = limits.cores, bound = 0, quiet = 0 }, Controller)
end

-- Workers that sleep leave processors free: there may be as many as fill these, but at most twice as many as now.
local function grown(self, measured)
  local processes, demand = measured.processes, math.max(measured.demand, 0.001)
  local fit = math.floor(processes * self.cores / demand)
  return math.min(fit, 2 * processes, self.max)
end

local function grow(self, measured)
  local wanted = measured.blocked >= controller.BLOCKED and measured.engine < controller.ENGINE
  self.bound = wanted and self.bound + 1 or 0
  if self.bound < controller.SECONDS then return nil end
  self.bound = 0
  local to = grown(self, measured)
  if to < measured.processes * controller.WORTH then return nil end
  return to, ("its workers have all its batches for %.0f %% of the time, and want %.1f of %d processors"):format(
    measured.blocked * 100, measured.demand, self.cores)
end

local function shrink(self, measured)
  if measured.busy > measured.processes * controller.QUARTER then self.quiet = 0 end
  self.quiet = self.quiet + 1
  if self.quiet <= controller.QUIET then return nil end
  self.quiet = 0
  local to = math.max(self.min, math.ceil(measured.processes / 2))
  if to >= measured.processes then return nil end
  return to, "a quarter of the workers was enough for a minute"
end

--- From now on there are no more than so many processes.
function Controller:limit(most)
  self.max = math.min(self.max, math.max(self.min, most))
end

--- One second of a pool. measured: processes (in use), blocked (share of the second in which the step took nothing
--- since its workers had all its batches), demand (processors that the workers used or waited for), busy (workers that
--- had a batch, on average). Returns nil, or the number of processes to use from now on and the reason.
function Controller:second(measured)
  local to, reason = grow(self, measured)
  if not to then to, reason = shrink(self, measured) end
  if to then self.bound, self.quiet = 0, 0 end
  return to, reason
end

return controller
