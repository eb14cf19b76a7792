-- SPDX-License-Identifier: MIT
-- How long a death is felt: from kill -9 of a worker under load to its replacement being ready (start hooks through),
-- with a transform that has loaded a table of 100,000 entries before the fork.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local flow = require("spec.support.flow")
local wait = require("spec.support.wait")

pcall(ffi.cdef, "int kill(int pid, int signal);")

local KILLS, PROCESSES, SIGKILL = tonumber(os.getenv("BENCH_KILLS")) or 300, 2, 9

local names = {}
for i = 1, 100000 do names[i] = "name " .. i end

local run = assert(flow.new { pools = { PROCESSES }, partitions = 4, steps = { { function(message)
  return names[#message.value] and message
end } } })
for i = 1, 1024 do run:push { value = ("x"):rep(1 + i % 270), partition = i % 4 } end
C.tide_memory_repeat(run.source, 1e12)
C.tide_memory_discard(run.sink)
run:start()
run.turn = 0.0005

local function until_ready(index, before)
  run:turn_until(function()
    local now = run.engine:worker_pid(0, index)
    return now and now ~= before
  end)
end

local took = {}
for index = 0, PROCESSES - 1 do until_ready(index) end
for i = 1, KILLS do
  local index = i % PROCESSES
  until_ready(index) -- it may be replaced just now: one whose batch was lost with another's
  local produced, pid = run.engine:totals().produced, run.engine:worker_pid(0, index)
  local killed = wait.now()
  ffi.C.kill(pid, SIGKILL)
  until_ready(index, pid)
  took[i] = (wait.now() - killed) * 1000
  run:turn_until(function() return run.engine:totals().produced > produced end)
end
local metric = run:metric(1, "WORKER_RESPAWN_TIME")
run:free()
table.sort(took)
local function at(share) return took[math.max(1, math.ceil(share * KILLS))] end
print(("Replacement of a worker killed under load, %d times: p50 %.1f ms, p99 %.1f ms, most %.1f ms "
  .. "(worker.respawn.time: p99 %.1f ms)\n"):format(KILLS, at(0.5), at(0.99), took[KILLS], metric.p99 * 1000))
