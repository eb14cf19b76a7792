-- SPDX-License-Identifier: MIT
-- What the order costs and gains, in process: the rate of four workers against one, where each message sleeps 1 ms and
-- all are of one partition, by each `order`; and a long check of the order by key: so many messages (ORDER_MESSAGES,
-- 1,000,000), some of which sleep, while workers are killed.
local C = require("tidemill.run.ffi").C
local ffi = require "ffi"
local flow = require "spec.support.flow"
local wait = require "spec.support.wait"

pcall(ffi.cdef, "int poll(void *, unsigned long, int); int kill(int pid, int signal);")

local MESSAGES, KEYS, WORKERS, SIGKILL = tonumber(os.getenv "ORDER_MESSAGES") or 1000000, 1000, 4, 9
local KILL_EVERY = 1 -- seconds
local SEED = tonumber(os.getenv "ORDER_SEED") or os.time() % 100000

local function until_ready(run, processes)
  run:start()
  run:turn_until(function()
    for i = 0, processes - 1 do
      if not run.engine:worker_pid(0, i) then return false end
    end
    return true
  end)
end

local function seconds(order, processes, count)
  local run = assert(flow.new { pools = { processes }, steps = { { function(message)
    ffi.C.poll(nil, 0, 1)
    return message
  end, order = order } } })
  for i = 1, count do run:push { key = "key" .. i, value = tostring(i) } end -- many keys: lanes get equal shares
  until_ready(run, processes)
  local from = wait.now()
  assert(run:finish(600).kind == "done")
  local took = wait.now() - from
  assert(#run:results() == count)
  run:free()
  return took
end

local one = seconds("partition", 1, 4000)
for _, order in ipairs { "partition", "key", "none" } do
  local four = seconds(order, WORKERS, 4000 * WORKERS)
  print(("order = %-11s 1 partition, 1 ms a message: %d workers do %.2f times what one does"):format(
    '"' .. order .. '",', WORKERS, WORKERS * one / four))
end

-- One message in a hundred sleeps, for up to 3 ms.
local function check(order)
  math.randomseed(SEED)
  local run = assert(flow.new { pools = { WORKERS }, partitions = 4, max_messages = 2 * MESSAGES, steps = { {
    function(message)
      local n = tonumber(message.value)
      if n % 97 == 0 then ffi.C.poll(nil, 0, n % 4) end
      return message
    end, order = order, crash_retries = 100 } } })
  local pushed, killed = 0, 0
  until_ready(run, WORKERS)
  local next_kill = wait.now()
  while pushed < MESSAGES do
    for i = pushed + 1, math.min(MESSAGES, pushed + 20000) do
      local key = math.random(KEYS)
      run:push { key = "key" .. key, value = tostring(i), partition = key % 4 }
    end
    pushed = math.min(MESSAGES, pushed + 20000)
    run:turn_until(function()
      if wait.now() >= next_kill then
        local pid = run.engine:worker_pid(0, math.random(WORKERS) - 1)
        if pid then ffi.C.kill(pid, SIGKILL) end
        killed, next_kill = killed + (pid and 1 or 0), wait.now() + KILL_EVERY * math.random()
      end
      return run.engine:totals().in_flight < 20000
    end)
  end
  assert(run:finish(600).kind == "done", run.last.text)
  local last, out_of_order, results = {}, 0, 0
  for i = 0, tonumber(C.tide_memory_count(run.sink)) - 1 do
    local message = C.tide_memory_get(run.sink, i)
    local key = ffi.string(message.key, message.key_length)
    local number = tonumber(ffi.string(message.value, message.value_length))
    if number <= (last[key] or 0) then out_of_order = out_of_order + 1 end
    last[key], results = number, results + 1
  end
  run:free()
  print(("order = %-11s %d messages of %d keys, %d workers killed: %d results, %d out of the order of their key "
    .. "(ORDER_SEED=%d)"):format('"' .. order .. '",', MESSAGES, KEYS, killed, results, out_of_order, SEED))
  return results == MESSAGES and (order ~= "key" or out_of_order == 0)
end

local kept = check "key"
check "none"
print ""
assert(kept, "the order was not kept")
