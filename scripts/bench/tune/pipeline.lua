-- SPDX-License-Identifier: MIT
-- The five pipelines of `make bench-tune`, chosen by --set workload=NAME: all are one function in workers.
local ffi = require "ffi"
local tide = require "tidemill"

ffi.cdef [[ int usleep(unsigned microseconds); ]]

local workloads = {}

-- 60 bytes in and out: the cost of the engine and of batches is all there is.
function workloads.tiny(message)
  return message
end

-- 50 KB in and out: memory is moved.
function workloads.large(message)
  message.value = message.value .. "."
  return message
end

-- 40 results of 300 bytes for each message.
function workloads.expanding(message)
  local results, value = {}, message.value
  for i = 1, 40 do results[i] = value end
  return tide.many(results)
end

-- Waits 1 ms for something outside, and computes nothing.
function workloads.sleeps(message)
  ffi.C.usleep(1000)
  return message
end

-- About 0.3 ms of computing for each message.
function workloads.heavy(message)
  local sum = #message.value
  for i = 1, 20000 do sum = (sum * 31 + i) % 1000003 end
  message.value = ("%d"):format(sum)
  return message
end

return tide.pipeline "bench-tune" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { workloads[tide.param("workload", "tiny")], processes = 2 },
  tide.produce { topic = "out", brokers = "127.0.0.1:1" },
}
