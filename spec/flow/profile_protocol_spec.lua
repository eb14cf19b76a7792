-- SPDX-License-Identifier: MIT
-- Profiles between engine and worker (engine/proc/profile.h): whatever the worker does meanwhile, messages go on.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"

local fixture = flow.fixture()

-- A run of messages again and again through this function.
local function endless(fn, options)
  options = options or {}
  options.steps = { { fn, max_batch_size = 100 } }
  local run = fixture.new(options)
  for i = 1, 100 do run:push { value = "v" .. i } end
  C.tide_memory_repeat(run.source, 1e12)
  C.tide_memory_discard(run.sink)
  run:start()
  run:turn_until(function() return run.engine:profile_begin(0, 0, 100) end)
  return run
end

-- A run that waits for messages, with its worker under a profile.
local function profiled(fn, options)
  options.steps, options.dlq = { { fn } }, true
  local run = fixture.new(options)
  run:start()
  run:turn_until(function() return run.engine:profile_begin(0, 0, 100) end)
  return run
end

-- The next message goes through.
local function until_next(run)
  run.engine:profile_forget(0, 0)
  local before = run.engine:totals().produced
  run:push { value = "next" }
  run:turn_until(function() return run.engine:totals().produced > before end)
end

local function until_state(run, state)
  run:turn_until(function() return (run.engine:profile(0, 0)) == state end, 60, function()
    return state .. ", not " .. (run.engine:profile(0, 0))
  end)
end

local function until_more(run)
  local before = run.engine:totals().produced
  run:turn_until(function() return run.engine:totals().produced > before + 1000 end)
end

-- Sends a piece of a profile that says so on each socket of the worker.
local function send_piece(given)
  pcall(ffi.cdef, "long send(int socket, const void *bytes, size_t size, int flags);")
  local piece = ffi.new("struct tide_profile_piece", given)
  for fd = 3, 60 do ffi.C.send(fd, piece, ffi.sizeof(piece), 0x40) end
end

describe("the profile of a worker", function()
  it("is there once it was asked for, and can be taken again", function()
    local run = endless(function(message) return message end)
    for _ = 1, 3 do
      assert.equal("sampling", (run.engine:profile(0, 0)))
      assert.is_false(run.engine:profile_begin(0, 0, 1)) -- one at a time
      run:turn_until(function() return run.engine:profile_end(0, 0) end)
      until_state(run, "done")
      local _, text = run.engine:profile(0, 0)
      assert.matches("^tidemill%-profile\t1\t%d+\t%d+\t%d+\t%d+\n", text)
      run.engine:profile_forget(0, 0)
      run:turn_until(function() return run.engine:profile_begin(0, 0, 100) end)
    end
  end)

  it("is lost when the worker dies, and its replacement can be profiled", function()
    local run = endless(function(message) return message end)
    local pid = run:turn_until(function() return run.engine:worker_pid(0, 0) end)
    pcall(ffi.cdef, "int kill(int pid, int signal);")
    ffi.C.kill(pid, 9)
    until_state(run, "lost")
    run.engine:profile_forget(0, 0)
    assert.equal("none", (run.engine:profile(0, 0)))
    run:turn_until(function() return run.engine:profile_begin(0, 0, 100) end)
    until_more(run)
    assert.is_true(run:balanced())
  end)

  it("is lost with a worker that hangs, once message_timeout has passed", function()
    local run = profiled(function(message)
      while message.value == "hang" do message.key = "k" end
      return message
    end, { message_timeout = 60 })
    run:push { value = "hang" }
    run:outlast(0)
    until_state(run, "lost")
    until_next(run)
  end)

  it("is dropped when nobody wants it any more, and the next one is whole", function()
    local run = endless(function(message) return message end)
    run.engine:profile_forget(0, 0)
    run:turn_until(function() return run.engine:profile_begin(0, 0, 100) end)
    run:turn_until(function() return run.engine:profile_end(0, 0) end)
    until_state(run, "done")
    local _, text = run.engine:profile(0, 0)
    local _, heads = text:gsub("tidemill%-profile\t", "")
    assert.equal(1, heads)
  end)
end)

describe("a worker that sends pieces of a profile", function()
  -- Its messages are complete all the same, since another worker runs them.
  local function replaced(given)
    local run = fixture.new { steps = { { function(message)
      if message.value == "500" and message.key == "first" then send_piece(given) end
      return message
    end, crash_retries = 3, max_batch_size = 10 } }, dlq = true }
    for i = 1, 1000 do run:push { value = tostring(i), key = i == 500 and "first" or "other" } end
    assert.equal("done", run:finish().kind)
    assert.is_true(run:metric(1, "WORKER_LOST_PROTOCOL").count > 0)
    local totals = run.engine:totals()
    assert.equal(1000, totals.produced_from + totals.dead_lettered)
    assert.is_true(totals.produced_from >= 999)
  end

  it("that nobody asked for is replaced", function()
    replaced { generation = 1, last = 1, size = 10 }
  end)

  it("of a size that cannot be is replaced", function()
    replaced { generation = 1, last = 0, size = 2 ^ 32 - 1 }
  end)

  it("before it was told to answer is replaced", function()
    local run = profiled(function(message)
      if message.value == "lie" then send_piece { generation = 1, last = 1, size = 4 } end
      return message
    end, {})
    run:push { value = "lie" }
    until_state(run, "lost")
    until_next(run)
    assert.is_true(run:metric(1, "WORKER_LOST_PROTOCOL").count > 0)
  end)
end)
