-- SPDX-License-Identifier: MIT
-- plan/engines.lua: how many engines run a pipeline, what each of them is, and which pipelines only one can run. Each
-- is the whole pipeline once more, as a process and a member of the group of its own: what the file says of workers,
-- batches and buffers is of each. Only what belongs to the machine is shared: processors and memory_limit.
-- docs/scaling.md says how many to use; cli/engines.lua runs them.
local cores = require("tidemill.plan.cores")

local engines = {}

--- An engine at full speed with cheap functions keeps so many processors busy: its own thread, those of librdkafka for
--- fetching and for producing, and a worker.
engines.PROCESSORS = 4

--- Returns the number of engines. value: the option; usable (for specs): the processors that may be used.
function engines.count(value, usable)
  if value ~= "auto" then return value or 1 end
  return math.max(1, math.floor((usable or cores.usable()) / engines.PROCESSORS))
end

--- Returns how many processors one of `count` engines may take to be its own, at least 1.
function engines.cores(count, usable)
  return math.max(1, math.floor((usable or cores.usable()) / count))
end

-- What several engines cannot have in common, by the name of a step; nil = nothing.
local UNSHARED = {
  file_source = "one engine alone can read a file; several share the partitions of kafka_source",
  file_sink = "one engine alone can write a file; several write to produce",
  healthcheck = "several engines would touch one file, and one that hangs would not be seen; use /healthz of metrics",
}

local LONGEST = 150 -- bytes of a name of an instance, whose number would be cut off otherwise

--- Calls fault(declaration, text) for each reason why several engines cannot run a pipeline that plan/pipeline_file.lua
--- has checked.
function engines.check(pipeline, fault)
  for _, step in ipairs(pipeline.steps) do
    if UNSHARED[step.name] then fault(step.declaration, step.name .. ": " .. UNSHARED[step.name]) end
    local instance = step.values.instance
    if type(instance) == "string" and #instance > LONGEST then
      fault(step.declaration, ("the name of the instance is longer than %d bytes: make it shorter"):format(LONGEST))
    end
  end
  for _, tag in ipairs(pipeline.metrics and pipeline.metrics.values.tags or {}) do
    if tag.name == "engine" then
      fault(pipeline.metrics.declaration, 'tags: by the label "engine" the metrics of several engines are told apart; '
        .. "give the tag another name")
    end
  end
end

--- Makes the plan that of engine `number`, from 1: it has a state_dir of its own, and as a static member a name, from
--- which its transactional id follows (engine_build.c). Where each engine ends by itself it is no static member: such a
--- member does not leave the group, which would then wait for it.
function engines.become(plan, number)
  local source = plan.tables.source
  if plan.tables.state_dir then
    plan.tables.state_dir = ("%s-%d"):format(plan.tables.state_dir, number)
    table.insert(plan.anchor, plan.tables.state_dir)
    plan.c.state_dir = plan.tables.state_dir
  end
  if not source.instance then return end
  if plan.c.source.until_end then
    source.instance, plan.c.source.instance = nil, nil
    return
  end
  source.instance = ("%s-%d"):format(source.instance, number)
  table.insert(plan.anchor, source.instance)
  plan.c.source.instance = source.instance
end

local function plural(count, one)
  return ("%d %s%s"):format(count, one, count == 1 and "" or one:find("s$") and "es" or "s")
end

--- Returns the line of `check` on a plan with several engines; nil for one engine.
function engines.text(plan)
  local tables, begin, max = plan.tables, 0, 0
  if tables.engines == 1 then return nil end
  for _, limits in ipairs(tables.pool_limits) do begin, max = begin + limits.begin, max + limits.max end
  local instance = tables.source.instance
  local each = begin == max and plural(begin, "worker process")
    or ("%d to %d worker processes"):format(begin, max)
  local all = begin == max and tostring(begin * tables.engines)
    or ("%d to %d"):format(begin * tables.engines, max * tables.engines)
  return ("%s, each with %s: %s in all%s"):format(plural(tables.engines, "engine"), each, all,
    instance and ("; members %s-1 to %s-%d of the group"):format(instance, instance, tables.engines)
    or "; set instance in kafka_source, so that one that is started again gets its partitions back at once")
end

return engines
