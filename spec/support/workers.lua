-- SPDX-License-Identifier: MIT
-- A real zygote with real workers and no engine: pools (proc/pool.h) whose workers do what a job tells them. A job's
-- `one_by_one` is what to do, its `end` a number that goes with it; it begins at record 0. What engine's side and
-- workers tell each other beside the sockets is in shared words.
local ffi = require "ffi"
local wait = require "spec.support.wait"
require "spec.support.child" -- declares signal, _exit
local C = require("spec.support.headers").declare("base/loop.h", "base/descriptors.h", "shm/block.h", "shm/outputs.h",
  "proc/zygote.h", "proc/pool.h", "proc/inside.h")

ffi.cdef [[
void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);
int munmap(void *address, size_t length);
struct tide_spec_shared {
  uint32_t gate;   /* "wait" goes on once it is at least the job's number */
  uint32_t short_lived; /* workers leave before their first job */
  uint32_t count;  /* of done: job numbers in the order in which workers began them */
  uint32_t done[60];
  int32_t pids[64];
};
]]

local workers = { C = C }
workers.__index = workers

local DO = { "ok", "full", "wait", "crash", "exit", "leave", "lie", "twice", "late", "check" }
local NUMBER = {}
local BLOCKS, ROOM = 1000, 4096 -- works that are not given back, bytes for results of each
for i, name in ipairs(DO) do NUMBER[name] = i end

-- In a worker. Each returns the status to report; nil = has reported already.
local acts = {}

function acts.ok(job)
  C.tide_worker_publish(job.output, job["end"], 0)
  return C.TIDE_JOB_DONE
end

function acts.full()
  return C.TIDE_JOB_FULL
end

function acts.wait(job, self)
  while self.shared.gate < job["end"] do wait.pause(1) end
  return acts.ok(job)
end

function acts.crash()
  ffi.C.signal(11, nil) -- a sanitizer's handler would make an exit code of it
  ffi.C.kill(ffi.C.getpid(), 11)
end

function acts.exit(job)
  C.tide_worker_exit(job["end"])
end

function acts.leave(job) -- dies, but not within the loop
  C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
  C.tide_worker_exit(job["end"])
end

function acts.lie(job, self)
  local other = ffi.new("struct tide_job", job)
  other.number = job.number + 1000
  C.tide_worker_report(self.zygote, other, C.TIDE_JOB_DONE, false)
  while true do wait.pause(10) end
end

function acts.twice(job, self)
  C.tide_worker_report(self.zygote, job, C.TIDE_JOB_DONE, false)
  while self.shared.gate < 1 do wait.pause(1) end
  return C.TIDE_JOB_DONE
end

function acts.late(job, self) -- reports, and dies before anybody looks
  C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
  C.tide_worker_report(self.zygote, job, C.TIDE_JOB_DONE, false)
  C.tide_worker_exit(9)
end

function acts.check(job, self)
  return self.check(job, self) or C.TIDE_JOB_DONE
end

local function work(self)
  local job = ffi.new "struct tide_job"
  if self.shared.short_lived ~= 0 then C.tide_worker_exit(1) end
  if self.start_hook then self.start_hook(self) end
  C.tide_worker_started(self.zygote, nil, false)
  while true do
    if C.tide_worker_next(self.zygote, job, true) < 0 then C.tide_worker_exit(0) end
    self.shared.done[self.shared.count % 60] = tonumber(job.number)
    self.shared.count = self.shared.count + 1
    C.tide_worker_running(job.output, C.TIDE_RUNNING_ONE)
    local status = acts[DO[job.one_by_one]](job, self)
    C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
    if status then C.tide_worker_report(self.zygote, job, status, false) end
  end
end

local function zygote_main(self, load)
  local ok, problem = xpcall(function()
    if load then load(self) end
    C.tide_zygote_loaded(self.zygote, nil, false)
    self.slot = C.tide_zygote_serve(self.zygote, 0)
    work(self)
  end, debug.traceback)
  io.stderr:write(tostring(ok and "returned" or problem), "\n")
  ffi.C._exit(98)
end

-- All blocks as the zygote is to know them: those of the caller, and the output blocks of all slots.
local function blocks_of(self, given)
  local list = {}
  for _, block in ipairs(given or {}) do list[#list + 1] = block end
  local index = 0
  while C.tide_outputs_memory(self.outputs, index) ~= nil do
    list[#list + 1] = C.tide_outputs_memory(self.outputs, index)
    index = index + 1
  end
  return ffi.new("struct tide_block *[?]", #list, list), #list
end

--- options: pools = { processes... } ({ 1 }), prefetch (0), blocks = an array of further blocks, load = run in the
--- zygote, check = what a worker does for "check", start = what it does before it is ready, kill = a C function in
--- place of the signal that kills a worker. The zygote is forked, not yet awaited. The output blocks of all works are
--- self.outputs.
function workers.new(options)
  local self = setmetatable({ pools = {}, works = {}, check = options.check, start_hook = options.start }, workers)
  self.shared = options.shared or workers.shared()
  local places = 0
  for _, processes in ipairs(options.pools or { 1 }) do places = places + processes end
  self.loop = C.tide_loop_new()
  self.counters = C.tide_counters_new(4)
  self.zygote = C.tide_zygote_new(self.loop, places)
  self.zygote.kill = options.kill
  self.outputs = C.tide_outputs_new(0, places, BLOCKS, ROOM)
  C.tide_zygote_blocks(self.zygote, blocks_of(self, options.blocks))
  places = 0
  for i, processes in ipairs(options.pools or { 1 }) do
    self.pools[i] = C.tide_pool_new(self.zygote, self.loop, places, processes, self.counters)
    C.tide_pool_join(self.pools[i], i, options.prefetch or 0, self.outputs)
    places = places + processes
  end
  io.stdout:flush()
  self.pid = C.tide_zygote_fork(self.zygote)
  if self.pid == 0 then zygote_main(self, options.load) end
  return self
end

--- Words that all processes forked from now on share.
function workers.shared()
  return ffi.cast("struct tide_spec_shared *", ffi.C.mmap(nil, ffi.sizeof "struct tide_spec_shared", 3, 0x21, -1, 0))
end

--- As new, with the workers there.
function workers.start(options)
  local self = workers.new(options or {})
  assert(C.tide_zygote_wait_loaded(self.zygote, -1) == C.TIDE_OK)
  for _, pool in ipairs(self.pools) do assert(C.tide_pool_start(pool) == C.TIDE_OK) end
  if not (options and options.short_lived) then self:until_alive() end
  return self
end

--- One turn of the loop; the status of the pools.
function workers:turn()
  local event = ffi.new "struct tide_zygote_event"
  C.tide_loop_wait(self.loop, 5000)
  local now_us, status = C.tide_clock_us(), C.TIDE_OK
  while status >= 0 do
    local got = C.tide_zygote_receive(self.zygote, event)
    if got < 0 then return got end
    if got == 0 then break end
    for _, pool in ipairs(self.pools) do
      if C.tide_pool_zygote_event(pool, self.zygote, event, now_us) then break end
    end
  end
  for _, pool in ipairs(self.pools) do
    local answer = C.tide_pool_poll(pool, now_us)
    status = answer < 0 and answer or status
  end
  return status
end

--- Turns until `fn` returns something true.
function workers:turn_until(fn, what)
  return wait.until_true(function()
    self.status = self:turn()
    return fn()
  end, what)
end

function workers:worker_pid(index, pool)
  return C.tide_pool_pid(self.pools[pool or 1], index)
end

function workers:until_alive()
  self:turn_until(function()
    for i, pool in ipairs(self.pools) do
      for index = 0, C.tide_pool_processes(pool) - 1 do
        if self:worker_pid(index, i) == 0 then return false end
      end
    end
    return true
  end, "all workers")
end

--- Gives the pool a work: what = a word of DO; options: number (the job's `end`), step, sequence, continued, fresh,
--- lane (it is pinned then), pool.
function workers:submit(what, options)
  options = options or {}
  local one = ffi.new "struct tide_work"
  self.works[#self.works + 1] = one
  one.job.one_by_one, one.job["end"] = NUMBER[what], options.number or what == "check" and 2 ^ 31 or 0
  one.job.step, one.sequence = options.step or 0, options.sequence or #self.works
  one.continued = options.continued or false
  one.fresh = options.fresh or false
  one.pinned, one.lane = options.lane ~= nil, options.lane or 0
  one.job.output_size, one.job.output_max = ROOM, ROOM
  one.outputs = self.outputs
  C.tide_pool_submit(self.pools[options.pool or 1], one)
  return one
end

--- Waits until a worker is at a record of this work, and returns the work.
function workers:until_running(one)
  self:turn_until(function()
    return one.job.output ~= nil and one.job.output.running == C.TIDE_RUNNING_ONE
  end, "a worker to begin a work")
  return one
end

--- Waits until the work is DONE or LOST, and returns which.
function workers:finish(one)
  self:turn_until(function()
    return self.status < 0 or one.state == C.TIDE_WORK_DONE or one.state == C.TIDE_WORK_WORKER_LOST
  end, "the end of a work")
  return one.state == C.TIDE_WORK_DONE and "done" or one.state == C.TIDE_WORK_WORKER_LOST and "lost" or self.status
end

--- Numbers of the jobs in the order in which workers began them.
function workers:begun()
  local list = {}
  for i = 0, self.shared.count - 1 do list[i + 1] = self.shared.done[i] end
  return list
end

function workers:count(metric, row)
  return tonumber(C.tide_counters_get(self.counters, row or 1, metric).count)
end

function workers:free()
  for _, pool in ipairs(self.pools) do C.tide_pool_free(pool) end
  C.tide_zygote_free(self.zygote)
  C.tide_outputs_free(self.outputs)
  C.tide_counters_free(self.counters)
  C.tide_loop_free(self.loop)
end

return workers
