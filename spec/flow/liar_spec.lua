-- SPDX-License-Identifier: MIT
-- A worker that tells what is not so: it is killed, what it left is not used, its batch is run again. Nothing is
-- lost or doubled; a message whose function makes it lie each time is dead-lettered, and only that one.
local ffi = require "ffi"
local faults = require "spec.support.faults"
local C, arm = faults.use()
local tide = require "tidemill"
local testing = require "tidemill.testing"

ffi.cdef "int poll(void *descriptors, unsigned long count, int timeout_ms);"

local SIZE = 64

-- A local variable of one of the callers (the loop, run/runner.lua, run/worker.lua).
local function found(name)
  for level = 2, 40 do
    for i = 1, 200 do
      local local_name, value = debug.getlocal(level, i)
      if not local_name then break end
      if local_name == name then return value end
    end
  end
  error("no local " .. name)
end

local function report(outcome, number)
  local job = ffi.new("struct tide_job", found "job")
  job.number = number or job.number
  C.tide_worker_running(job.output, C.TIDE_RUNNING_NOT)
  C.tide_worker_report(found "zygote", job, outcome, false)
end

-- What a liar does last: it goes on to spoil its block until it is killed.
local function go_on_spoiling(output)
  while true do
    for i = 0, 500 do
      ffi.cast("uint64_t *", output)[i] = 0x4141414141414141ULL
    end
    ffi.C.poll(nil, 0, 1)
  end
end

local function leave(next, bytes, outcome)
  return function(output)
    if next then C.tide_worker_publish(output, next, bytes) end
    report(outcome)
    ffi.C.poll(nil, 0, 20) -- so that the engine sees that first
    go_on_spoiling(output)
  end
end

local function write(set)
  return function(output)
    local result = ffi.cast("struct tide_result *", ffi.cast("char *", output) + ffi.sizeof "struct tide_output")
    local fields = { size = 48, kind = C.TIDE_RESULT_MESSAGE, value_length = 4, key_length = -1, topic = 65535,
      partition = -1 }
    for name, value in pairs(set) do fields[name] = value end
    result[0] = fields
    C.tide_worker_publish(output, SIZE, 48)
    report(C.TIDE_JOB_DONE)
    ffi.C.poll(nil, 0, 20)
    go_on_spoiling(output)
  end
end

local lies = {
  ["done without work"] = leave(0, 0, C.TIDE_JOB_DONE),
  ["done before the end"] = leave(20, 0, C.TIDE_JOB_DONE),
  ["full without work"] = leave(0, 0, C.TIDE_JOB_FULL),
  ["progress behind the end"] = leave(SIZE + 1, 0, C.TIDE_JOB_DONE),
  ["more bytes than a block has"] = leave(SIZE, 2 ^ 32 - 8, C.TIDE_JOB_DONE),
  ["bytes that hold no result"] = leave(SIZE, 8, C.TIDE_JOB_DONE),
  ["no such outcome"] = leave(nil, 0, 7),
  ["done twice"] = function(output)
    report(C.TIDE_JOB_DONE)
    report(C.TIDE_JOB_DONE)
    go_on_spoiling(output)
  end,
  ["done with a job that is not its own"] = function(output)
    report(C.TIDE_JOB_DONE, 1000000)
    go_on_spoiling(output)
  end,
  ["a value longer than its result"] = write { value_length = 1000000 },
  ["a record behind the end"] = write { index = SIZE },
  ["a topic that there is not"] = write { topic = 4000 },
  ["a partition below none"] = write { partition = -2 },
  ["headers that run over"] = write { headers_length = 2 ^ 32 - 1 },
  ["a kind that there is not"] = write { kind = 9 },
}

describe("a worker that lies", function()
  local test

  local function start(lie)
    test = testing.steps { tide.run_task_with_multiprocessing { function(m)
      if m.value:find "x" or C.tide_fault_pass "w.lie" then lie(found("job").output) end
      return m.value .. "!"
    end, processes = 2, prefetch_batches = 1, max_batch_size = SIZE, max_batch_time = 3600, eager = false } }
  end

  -- Three batches; `bad` = the message that makes it lie.
  local function feed(bad)
    local values, wanted = {}, {}
    for i = 1, 3 * SIZE do
      values[i] = (i == bad and "x" or "") .. i
      if i ~= bad then wanted[#wanted + 1] = i .. "!" end
    end
    test:feed(unpack(values))
    assert.equal(table.concat(wanted, " "), table.concat(test:values(), " "))
    assert.equal(3 * SIZE, test:committed())
    return test:rejects()
  end

  before_each(function() arm "" end)
  after_each(function()
    if test then test:close() end
    test = nil
  end)

  for name, lie in pairs(lies) do
    it("a worker that lies once is replaced, and its batch redone: " .. name, function()
      start(lie)
      arm(("w.lie=%d:errno:1"):format(SIZE + 30))
      assert.same({}, feed())
      assert.equal(1, test:metrics()["strategies.run_task_with_multiprocessing.worker.lost{cause=protocol}"])
      assert.equal(0, test:metrics()["strategies.run_task_with_multiprocessing.worker.lost{cause=signal}"])
    end)

    it("a worker that lies at one message each time has that one dead-lettered: " .. name, function()
      start(lie)
      local rejects = feed(SIZE + 3)
      assert.equal(1, #rejects)
      assert.same({ SIZE + 2, "crash", "protocol" },
        { rejects[1].original_offset, rejects[1].reason, rejects[1].cause })
    end)
  end
end)
