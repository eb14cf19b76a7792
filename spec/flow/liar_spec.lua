-- SPDX-License-Identifier: MIT
-- A worker that tells what is not so: it is killed, what it left is not used, its batch is run again. Nothing is
-- lost or doubled; a message whose function makes it lie each time is dead-lettered, and only that one. Lies that race
-- with the engine are in liar_race_spec.lua, those of a zygote in unit/proc/mail_spec.lua.
local faults = require "spec.support.faults"
local C, arm = faults.use()
local tide = require "tidemill"
local testing = require "tidemill.testing"
local liar = require "spec.support.liar"

local SIZE = liar.SIZE
local TASK = "strategies.run_task_with_multiprocessing."
local NOT, ONE, SEVERAL = C.TIDE_RUNNING_NOT, C.TIDE_RUNNING_ONE, C.TIDE_RUNNING_SEVERAL

local reports, leaves, sends, publishes = liar.reports, liar.leaves, liar.sends, liar.publishes

local function write(set, tail) return leaves({ set }, tail) end

local MOST = 2 ^ 31 - 1
local HEADERS = { value_length = -1, headers_length = 8 }

-- By what the engine finds it by: worker.violation{kind=...} (the counters of TIDE_M_WORKER_VIOLATION_RESULTS,
-- WORKER_VIOLATION_MESSAGE, WORKER_VIOLATION_PROGRESS, WORKER_VIOLATION_MEMORY).
local lies = {
  results = {
    ["more bytes than a block has"] = reports({}, SIZE, 2 ^ 32 - 8),
    ["bytes that hold no result"] = reports({}, SIZE, 8),
    ["a value longer than its result"] = write { value_length = 1000000 },
    ["a value length below null"] = write { value_length = -2 },
    ["a key length below null"] = write { key_length = -2 ^ 31 },
    ["lengths whose sum wraps around"] = write { value_length = MOST, key_length = MOST, headers_length = 6 },
    ["a record behind the end"] = write { index = SIZE },
    ["a record of all bits"] = write { index = 2 ^ 32 - 1 },
    ["a result that is not aligned"] = write { size = 44 },
    ["a result of no size"] = write { size = 0 },
    ["a result larger than all of them"] = write { size = 2 ^ 32 - 8 },
    ["a topic that there is not"] = write { topic = 4000 },
    ["a partition below none"] = write { partition = -2 },
    ["a timestamp below none"] = write { timestamp = -2 },
    ["an inheritance that there is not"] = write { inherit = 8 },
    ["an inheritance of all bits"] = write { inherit = 255 },
    ["a kind that there is not"] = write { kind = 9 },
    ["no kind"] = write { kind = 0 },
    ["headers that run over"] = write { headers_length = 2 ^ 32 - 1 },
    ["headers that are cut short"] = write { value_length = -1, headers_length = 7 },
    ["a header whose name is longer than all of them"] = write(HEADERS, "\1\0\0\0\0\0\0\0"),
    ["a header whose lengths wrap around"] = write(HEADERS, "\255\255\255\255\255\255\255\127"),
    ["a header whose value is shorter than null"] = write(HEADERS, "\0\0\0\0\254\255\255\255"),
  },
  message = {
    ["no such outcome"] = reports { status = 7 },
    ["a job that is not its own"] = reports { number = 1000000 },
    ["a job that is over"] = reports { number = 0 },
    ["a generation that is not its own"] = reports { generation = 77 },
    ["a whole batch of all bits"] = reports { whole_batch = 2 ^ 32 },
    ["a hello again"] = sends { { "struct tide_hello", { kind = C.TIDE_HELLO_READY } } },
    ["a hello of no kind"] = sends { { "struct tide_hello", { kind = 99 } } },
    ["a flood of hellos"] = sends { { "struct tide_hello", { kind = C.TIDE_HELLO_HOOK }, times = 10000 } },
    ["a flood of reports"] = sends { { "struct tide_job_report", { number = 2 ^ 50 }, times = 10000 } },
    ["a profile that nobody asked for"] = sends { { "struct tide_profile_piece", { size = 9, last = 1 } } },
    ["a piece of a profile larger than itself"] = sends { { "struct tide_profile_piece", { size = 2 ^ 32 - 1 } } },
    ["a message of one byte"] = sends { { "char[1]" } },
    ["an empty message"] = sends { { "char[1]", nil, size = 0 } },
    ["a message larger than any"] = sends { { "char[60000]" } },
    ["an event of the zygote"] = sends { { "struct tide_zygote_event", { kind = C.TIDE_ZYGOTE_EXITED } } },
  },
  progress = {
    ["progress behind the end"] = publishes { SIZE + 1, ONE },
    ["progress of all bits"] = publishes { 2 ^ 32 - 1, ONE },
    ["progress that goes back"] = publishes({ 20, ONE }, { 10, ONE }),
    ["a running flag that there is not"] = publishes { 20, 3 },
    ["a running flag of all bits"] = publishes { 20, 2 ^ 32 - 1 },
    ["a run that begins again"] = publishes({ 20, ONE }, { 20, NOT }, { 20, ONE }),
    ["several records after one"] = publishes({ 20, ONE }, { 20, SEVERAL }),
  },
  any = { -- by what the engine comes to look at first
    ["done without work"] = reports({}, 0),
    ["done before the end"] = reports({}, 20),
    ["full without work"] = reports({ status = C.TIDE_JOB_FULL }, 0),
    ["a report twice"] = sends { { "struct tide_job_report", {}, times = 2 } },
  },
}

local function violations(metrics, kind)
  if kind ~= "any" then return metrics[TASK .. ("worker.violation{kind=%s}"):format(kind)] end
  return violations(metrics, "results") + violations(metrics, "message") + violations(metrics, "progress")
end

describe("a worker that lies", function()
  local test

  local function start(lie, most)
    test = testing.steps { tide.run_task_with_multiprocessing { function(m)
      if m.value:find "x" or C.tide_fault_pass "w.lie" then lie(liar.found("job").output) end
      return m.value .. "!"
    end, processes = 2, prefetch_batches = 1, max_batch_size = SIZE, max_batch_time = 3600, eager = false,
      max_output_block_size = most } }
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

  for kind, list in pairs(lies) do
    for name, lie in pairs(list) do
      it("a worker that lies once is replaced, and its batch redone: " .. name, function()
        start(lie)
        arm(("w.lie=%d:errno:1"):format(SIZE + 30))
        assert.same({}, feed())
        local metrics = test:metrics()
        assert.equal(1, metrics[TASK .. "worker.lost{cause=protocol}"])
        assert.equal(0, metrics[TASK .. "worker.lost{cause=signal}"])
        -- Two reports are two lies: the engine may see the second before it has killed the worker for the first.
        local counted = violations(metrics, kind)
        assert.is_true(counted == 1 or counted == 2 and kind == "any", counted)
      end)
    end
  end

  it("a worker that lies by a record that goes back is replaced; what was complete before stays as it said", function()
    start(leaves { { index = 9 }, { index = 8 } })
    arm(("w.lie=%d:errno:1"):format(SIZE + 30))
    local values, missing = {}, {}
    for i = 1, 3 * SIZE do values[i] = tostring(i) end
    test:feed(unpack(values))
    local got = " " .. table.concat(test:values(), " ") .. " "
    for i = 1, 3 * SIZE do
      if not got:find((" %d! "):format(i), 1, true) then missing[#missing + 1] = i end
    end
    -- It said that the first nine of its batch were filtered: the engine has no reason to doubt that.
    assert.equal(9, #missing)
    assert.equal(missing[1] + 8, missing[9])
    assert.equal(1, missing[1] % SIZE)
    assert.equal(1, violations(test:metrics(), "results"))
  end)

  for _, kind in ipairs { "results", "message", "progress" } do
    local name, lie = next(lies[kind])
    it("a worker that lies at one message each time has that one dead-lettered, found by its " .. kind, function()
      start(lie)
      local rejects = feed(SIZE + 3)
      assert.equal(1, #rejects, name)
      assert.same({ SIZE + 2, "crash", "protocol" },
        { rejects[1].original_offset, rejects[1].reason, rejects[1].cause })
    end)
  end

  it("a worker that lies by touching blocks that it was not given is replaced, and the memory is back", function()
    start(liar.touches_all, "32MiB")
    arm(("w.lie=%d:errno:1"):format(SIZE + 30))
    assert.same({}, feed())
    local metrics = test:metrics()
    assert.equal(1, metrics[TASK .. "worker.violation{kind=memory}"])
    assert.is_true(tonumber(C.tide_engine_block_memory(test.engine.handle, 0, false)) < 16 * 2 ^ 20)
  end)

  it("a worker that lies about the time that it took is not believed", function()
    start(function(output)
      C.tide_worker_publish(output, SIZE, 0) -- all of them filtered
      liar.reports { busy_ns = 2 ^ 63, cpu_ns = 2 ^ 63, delay_ns = 2 ^ 63 }(output)
    end)
    arm "w.lie=1:errno:1"
    test:feed(unpack((function()
      local values = {}
      for i = 1, SIZE do values[i] = tostring(i) end
      return values
    end)()))
    local metrics = test:metrics()
    assert.is_true(metrics[TASK .. "message.time"].max < 60)
    assert.is_true(metrics[TASK .. "worker.run.time"] < 60e6)
  end)

end)
