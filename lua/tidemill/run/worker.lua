-- SPDX-License-Identifier: MIT
-- run/worker.lua: the life of the zygote and of the workers after their fork. The zygote loads the user's code once and
-- forks workers when the engine asks for them; a worker runs its steps over one job after another. Start reading at
-- worker.main.
local ffi = require("ffi")
local library = require("tidemill.run.ffi")
local C = library.C
local profile = require("tidemill.run.profile")
local traces = require("tidemill.run.traces")
local transforms = require("tidemill.run.transforms")
local lookups = require("tidemill.run.lookups")
local tables = require("tidemill.run.tables")
local targets = require("tidemill.run.targets")
local hardened = require("tidemill.run.hardened")
local number = require("tidemill.run.number")
local posix = require("tidemill.run.posix")
local result = require("tidemill.run.result")
local variables = require("tidemill.run.variables")

local worker = {}

local ORDER = 2 -- tide_worker_next: an order in place of a job
local CLOSE_US = 800000 -- how long `close` may take, for all workers together; time without a processor does not count

-- The engine is gone, or needs this worker no longer: it runs its `close` hooks and ends.
local function leave(steps)
  lookups.begin()
  tables.begin()
  for _, step in pairs(steps) do
    for _, close in ipairs(step.closes) do
      local ok, problem = xpcall(close, debug.traceback)
      if not ok then io.stderr:write("tidemill: close: " .. tostring(problem) .. "\n") end
    end
  end
  io.stdout:flush()
  tables.done()
  C.tide_worker_exit(0)
end

local function has_close(steps)
  for _, step in pairs(steps) do
    if #step.closes > 0 then return true end
  end
  return false
end

-- When Lua is refused memory, the worker or zygote ends (run/memory.c). An error could be caught by a script, which
-- would go on with a heap that is half changed.
local guard_memory = assert(package.loadlib(library.folder .. "/tidemill_memory.so", "luaopen_tidemill_memory"))

-- What the last words of a process that crashes say of the script (run/stack.c).
local watch_stack = assert(package.loadlib(library.folder .. "/tidemill_stack.so", "luaopen_tidemill_stack"))()

local function run_job(zygote, step, job)
  profile.job(job.step)
  C.tide_crash_functions(step.where)
  lookups.begin()
  tables.begin()
  local done = step.run(job)
  tables.done()
  C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
  profile.job_done()
  io.stdout:flush()
  C.tide_worker_report(zygote, job, done and C.TIDE_JOB_DONE or C.TIDE_JOB_FULL, step.whole_batch)
end

local function work(zygote, steps)
  local job = ffi.new "struct tide_job"
  math.randomseed(C.tide_worker_seed())
  traces.listen()
  lookups.begin()
  local problem, again = transforms.start(steps, function(what) C.tide_worker_starting(zygote, what) end)
  C.tide_worker_started(zygote, problem and result.cut(problem, #problem * 4), again)
  while true do
    local got = C.tide_worker_next(zygote, job, false)
    if got == 0 then
      collectgarbage "step" -- nothing else to do right now
      got = C.tide_worker_next(zygote, job, true)
    end
    if got < 0 then return leave(steps) end
    if got == ORDER then
      profile.obey(C.tide_worker_order(zygote), function(text) C.tide_worker_answer(zygote, text, #text) end)
    else
      run_job(zygote, steps[job.step], job)
    end
  end
end

local function text_of(problem)
  local text = type(problem) == "table" and problem.load or tostring(problem)
  return result.cut(text, #text * 4)
end

local script_metrics, own_row

--- The table of script metrics, and the row of it that belongs to this worker; nil outside of a worker.
function worker.script_metrics()
  return script_metrics, own_row
end

--- Loads the user's code and serves the engine in the zygote, and works in each forked worker; it never returns.
--- `engine` is the C handle.
function worker.main(zygote, engine, plan)
  C.tide_environment_forget(plan.c.secret_variables, plan.c.secret_variable_count)
  if plan.channel then posix.close(plan.channel) end -- what leads to the supervisor of several engines is the engine's
  -- The defaults are meant for small scripts; here whole transforms are compiled into the loop.
  require("jit.opt").start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")
  math.randomseed(C.tide_worker_seed())
  io.stdout:setvbuf "line" -- goes to standard error; what is not written when a worker dies would be lost
  number.install()
  guard_memory()
  watch_stack(traces.OWN)
  variables.withhold(plan.withheld)
  if plan.trust == "hardened" then hardened.enter() end
  local ok, steps = pcall(function()
    local function announce(what) C.tide_zygote_loading(zygote, what) end
    targets.use(C.tide_engine_topics(engine), plan.topics or {}, plan.instead)
    tables.begin_loading(C.tide_engine_tables(engine), plan.topic_tables)
    lookups.begin_loading(C.tide_zygote_lookups(zygote), plan.lookups or {}, plan.folder or ".", announce)
    return transforms.steps(plan, announce)
  end)
  lookups.end_loading()
  C.tide_zygote_tell_lookups(zygote)
  if not ok then C.tide_zygote_loaded(zygote, text_of(steps), type(steps) == "table" and steps.again or false) end
  C.tide_zygote_loaded(zygote, nil, false)
  collectgarbage "collect"
  own_row = C.tide_zygote_serve(zygote, has_close(steps) and CLOSE_US or 0)
  script_metrics = C.tide_engine_script_metrics(engine)
  local _, problem = xpcall(work, debug.traceback, zygote, steps)
  io.stderr:write("tidemill: worker: " .. tostring(problem) .. "\n")
  C.tide_worker_exit(70)
end

return worker
