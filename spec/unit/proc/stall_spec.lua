-- SPDX-License-Identifier: MIT
-- The stall detector (proc/stall.h) on a block that the spec writes to: what is too long, and what cannot be true.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("shm/outputs.h", "proc/pool.h", "proc/stall.h")

local NONE, FOUND, FALSE = C.TIDE_STALL_NONE, C.TIDE_STALL_FOUND, C.TIDE_STALL_FALSE
local NOT, ONE, SEVERAL = C.TIDE_RUNNING_NOT, C.TIDE_RUNNING_ONE, C.TIDE_RUNNING_SEVERAL
local FIRST, END, LIMIT_US = 10, 20, 1000000
local stall, work, output, now_us

local function begin(begins_again)
  stall, work, output = ffi.new "struct tide_stall", ffi.new "struct tide_work", ffi.new "struct tide_output"
  work.job.number, work.job.first, work.job["end"], work.job.output = 1, FIRST, END, output
  work.begins_again = begins_again or false
  output.progress = FIRST
  now_us = 0
end

-- What the detector says when it finds the worker there, `pass_us` after it looked last.
local function look(next, running, pass_us)
  output.progress, output.running = next, running
  now_us = now_us + (pass_us or 1000)
  return tonumber(C.tide_stall_check(stall, work, LIMIT_US, now_us))
end

-- Looks at each pair { next, running }: what the last look says; the ones before it say NONE.
local function run(...)
  local places = { ... }
  for i = 1, #places - 1 do assert.equal(tonumber(NONE), look(places[i][1], places[i][2]), i) end
  return look(places[#places][1], places[#places][2])
end

describe("the stall detector", function()
  before_each(function() begin() end)

  it("the stall detector takes a run as it goes for true, whatever of it is seen", function()
    assert.equal(tonumber(NONE), run({ 10, NOT }, { 10, ONE }, { 12, ONE }, { 20, ONE }, { 20, NOT }))
    begin()
    assert.equal(tonumber(NONE), run({ 10, SEVERAL }, { 15, ONE }, { 20, NOT }))
    begin()
    assert.equal(tonumber(NONE), run({ 20, NOT }, { 20, NOT }))
  end)

  local lies = {
    ["progress behind the end"] = { { 21, ONE } },
    ["progress before the first record"] = { { 9, ONE } },
    ["progress of all bits"] = { { 2 ^ 32 - 1, ONE } },
    ["progress that goes back"] = { { 15, ONE }, { 14, ONE } },
    ["a running flag that there is not"] = { { 10, 3 } },
    ["a running flag of all bits"] = { { 10, 2 ^ 32 - 1 } },
    ["a run that begins again after its end"] = { { 10, ONE }, { 15, NOT }, { 15, ONE } },
    ["several records after one"] = { { 10, ONE }, { 10, SEVERAL } },
  }
  for name, places in pairs(lies) do
    it("the stall detector finds " .. name, function() assert.equal(tonumber(FALSE), run(unpack(places))) end)
  end

  it("the stall detector lets a step that reduces begin again once for each record, and no more", function()
    begin(true)
    for _ = FIRST + 1, END do assert.equal(tonumber(NONE), run({ 12, ONE }, { 11, ONE })) end
    assert.equal(tonumber(FALSE), run({ 12, ONE }, { 11, ONE }))
  end)

  it("the stall detector begins anew with each job", function()
    run({ 20, ONE }, { 20, NOT })
    work.job.number = 2
    assert.equal(tonumber(NONE), run({ 10, NOT }, { 10, SEVERAL }))
  end)

  it("the stall detector finds a worker that only changes how many bytes it has written", function()
    local found
    for i = 1, 8 do found = look(10 + i * 2 ^ 32, ONE, LIMIT_US / 4) end
    assert.equal(tonumber(NONE), found)
    assert.is_true(stall.stalled)
  end)

  local function processor(delay_us, ran_ns, ready)
    return ffi.new("struct tide_stall_processor", delay_us, ran_ns or 1, ready or false)
  end

  it("the stall detector takes off the time in which a worker had no processor", function()
    local function stand(times)
      local found
      for _ = 1, times do found = look(12, ONE, LIMIT_US / 4) end
      return found
    end
    assert.is_false(C.tide_stall_wants_processor(stall, LIMIT_US))
    stand(2)
    assert.is_true(C.tide_stall_wants_processor(stall, LIMIT_US))
    stall.before.delay_us = 5000
    assert.is_false(C.tide_stall_wants_processor(stall, LIMIT_US))
    assert.equal(tonumber(FOUND), stand(4))
    assert.is_true(C.tide_stall_excuse(stall, processor(5000 + LIMIT_US / 2), LIMIT_US))
    assert.equal(tonumber(FOUND), stand(2)) -- another half a second
    assert.is_false(C.tide_stall_excuse(stall, processor(5000 + LIMIT_US / 2), LIMIT_US))
    assert.is_true(stall.stalled)
  end)

  -- The kernel counts such a wait when it is over.
  it("the stall detector excuses a worker that still waits for a processor, not one that sleeps or runs", function()
    for _, case in ipairs { { true, 7, true }, { false, 7, false }, { true, 8, false } } do
      begin()
      for _ = 1, 2 do look(12, ONE, LIMIT_US / 4) end
      assert.is_true(C.tide_stall_wants_processor(stall, LIMIT_US))
      stall.before = processor(5000, 7, true)
      for _ = 1, 3 do look(12, ONE, LIMIT_US / 4) end
      assert.equal(tonumber(FOUND), look(12, ONE, LIMIT_US / 4))
      assert.equal(case[3], C.tide_stall_excuse(stall, processor(5000, case[2], case[1]), LIMIT_US))
      assert.equal(not case[3], stall.stalled)
    end
  end)

  -- The kernel notes the time of a process that runs at its ticks, so between two of these it looks as if it waited.
  it("the stall detector excuses no more than the time since it asked", function()
    for _ = 1, 2 do look(12, ONE, LIMIT_US / 4) end
    assert.is_true(C.tide_stall_wants_processor(stall, LIMIT_US))
    stall.before = processor(5000, 7, true)
    for _ = 1, 4 do look(12, ONE, LIMIT_US / 4) end
    assert.is_true(C.tide_stall_excuse(stall, processor(5000 + LIMIT_US / 2, 8, true), LIMIT_US))
    for ran = 8, 9 do
      assert.equal(tonumber(NONE), look(12, ONE, LIMIT_US / 4))
      assert.equal(tonumber(FOUND), look(12, ONE, LIMIT_US / 4))
      assert.equal(ran == 8, C.tide_stall_excuse(stall, processor(5000 + LIMIT_US / 2, ran, true), LIMIT_US))
    end
  end)

  it("the stall detector asks the kernel once while a worker stands still, also of one that never waited", function()
    for _ = 1, 2 do look(12, ONE, LIMIT_US / 4) end
    assert.is_true(C.tide_stall_wants_processor(stall, LIMIT_US))
    stall.before.delay_us = 0
    look(12, ONE, LIMIT_US / 4)
    assert.is_false(C.tide_stall_wants_processor(stall, LIMIT_US))
    look(13, ONE)
    for _ = 1, 2 do look(13, ONE, LIMIT_US / 4) end
    assert.is_true(C.tide_stall_wants_processor(stall, LIMIT_US))
  end)

  it("the stall detector believes the clock where the kernel does not tell of processors", function()
    for _ = 1, 5 do look(12, ONE, LIMIT_US / 4) end
    stall.before.delay_us = -1
    assert.equal(tonumber(FOUND), look(12, ONE, LIMIT_US / 4))
    assert.equal(-1, tonumber(C.tide_stall_processor(2 ^ 30).delay_us))
    assert.is_false(C.tide_stall_excuse(stall, C.tide_stall_processor(2 ^ 30), LIMIT_US))
    local own = C.tide_stall_processor(tonumber(io.open("/proc/self/stat"):read("*n")))
    assert.is_true(own.delay_us >= 0 and own.ran_ns > 0 and own.ready)
  end)

  -- For how many milliseconds last words are awaited: at each look `pass_ms` and what `state(n)` tells have passed.
  local function awaited(pass_ms, state)
    stall.asked_us, stall.asked = 1, processor(state(0))
    for n = 1, 1000 do
      if not C.tide_stall_awaits(stall, processor(state(n)), 1 + n * pass_ms * 1000) then return n * pass_ms end
    end
  end

  it("the stall detector awaits last words for 200 ms in which the worker could have said them", function()
    assert.equal(200, awaited(5, function() return 50, 7, false end)) -- it sleeps, or is stopped
    begin()
    assert.equal(200, awaited(5, function(n) return 50, 7 + n, true end)) -- it runs
    begin()
    assert.equal(200, awaited(5, function() return -1, 0, false end)) -- the kernel does not tell
    begin()
    assert.equal(1000, awaited(5, function(n) return n * 4000, n, true end)) -- it has a fifth of a processor
    begin()
    assert.equal(1000, awaited(100, function() return 50, 7, false end)) -- the engine is stopped now and then
    begin()
    assert.is_nil(awaited(5, function() return 50, 7, true end)) -- it waits for a processor
    begin()
    assert.equal(695, awaited(5, function(n) -- for 495 ms, which is told when that is over
      return n < 100 and 0 or 495000, n < 100 and 7 or n, true
    end))
  end)

  it("the stall detector says once that a worker stands still for too long", function()
    local said = {}
    for _ = 1, 8 do said[#said + 1] = look(12, ONE, LIMIT_US / 4) end
    assert.same({ 0, 0, 0, 0, 0, tonumber(FOUND), 0, 0 }, said)
    assert.is_true(C.tide_stall_killed(stall, work))
    output.progress = 13
    assert.is_false(C.tide_stall_killed(stall, work))
  end)
end)
