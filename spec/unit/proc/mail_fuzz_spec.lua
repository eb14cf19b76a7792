-- SPDX-License-Identifier: MIT
-- Whatever a zygote or a worker sends, the engine reads nothing outside of it, asserts nothing, and keeps its books.
-- TIDE_SEED repeats a run.
local ffi = require "ffi"
local seeds = require "spec.support.seed"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = workers.C

pcall(ffi.cdef, "long send(int socket, const void *bytes, size_t size, int flags);")

local EVENTS, LIVES, SIGKILL, SIGSTOP, DONTWAIT = 100000, 100, 9, 19, 0x40
local EVENT, HELLO, REPORT = ffi.sizeof "struct tide_zygote_event", ffi.sizeof "struct tide_hello",
  ffi.sizeof "struct tide_job_report"

local function any_word()
  local odd = { 0, 1, 2, 3, 127, 255, 65536, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 1 }
  return math.random(3) == 1 and math.random(0, 2 ^ 31 - 1) or odd[math.random(#odd)]
end

-- `size` bytes of words as they come; where `like` says so, those of the struct at first.
local function any_bytes(size, like)
  local words = ffi.new("uint32_t[?]", math.ceil(size / 4) + 1)
  for i = 0, math.ceil(size / 4) do words[i] = any_word() end
  if like then ffi.copy(words, like, math.min(size, ffi.sizeof(like))) end
  return words
end

-- All sockets that this process has: its own socket is among them.
local function send_everywhere(bytes, size)
  for fd = 3, 60 do ffi.C.send(fd, bytes, size, DONTWAIT) end
end

describe("mail that makes no sense", function()
  local run, seed

  setup(function()
    seed = seeds.draw()
  end)
  after_each(function()
    if run then run:free() end
    run = nil
  end)

  -- Events of every kind, in any order, for a pool of two whose zygote is silent; the books beside it say which of
  -- them count. Ends when the pool gives up: five deaths in a row that nobody could prevent.
  local function episode(most)
    run = workers.start { pools = { 2 } }
    ffi.C.kill(run.pid, SIGSTOP)
    local pool, now, lost = run.pools[1], C.tide_clock_us(), 0
    local books = { [0] = { generation = 1, alive = true, pid = run:worker_pid(0) },
      { generation = 1, alive = true, pid = run:worker_pid(1) } }
    for i = 1, most do
      local kind, slot = math.random(0, 4), math.random(0, 3)
      local book = books[slot]
      local generation = book and math.random(4) > 1 and book.generation or any_word()
      local pid = math.random(5) == 1 and -1 or book and math.random(3) > 1 and book.pid or any_word()
      local event = ffi.new("struct tide_zygote_event", { kind = kind, worker = slot, generation = generation,
        pid = pid, status = any_word() })
      ffi.fill(event.text, ffi.sizeof(event.text), 0xff)
      assert(C.tide_pool_zygote_event(pool, run.zygote, event, now) == (slot < 2))
      if book and generation == book.generation then
        if kind == C.TIDE_ZYGOTE_EXITED and book.alive and event.pid == book.pid then
          book.alive, book.due, lost = false, true, lost + 1
        elseif kind == C.TIDE_ZYGOTE_SPAWNED and not book.alive and not book.due then
          book.alive, book.due, book.pid = event.pid > 0, event.pid < 0, event.pid
        end
      end
      assert(tonumber(C.tide_pool_workers_lost(pool)) == lost)
      if #run.works < 40 and math.random(3) == 1 then
        run:submit "ok"
      elseif math.random(3) == 1 then
        now = now + 200000
        if C.tide_pool_poll(pool, now) < 0 then return i end
        for _, one in pairs(books) do
          if one.due then one.generation, one.due = one.generation + 1, false end
        end
      end
      for _, work in ipairs(run.works) do
        if work.state == C.TIDE_WORK_WORKER_LOST then
          assert(not work.violation)
          work.state = C.TIDE_WORK_IDLE
        end
      end
    end
    return most
  end

  it("mail that makes no sense from the zygote changes nothing but what it is about", function()
    local left = EVENTS
    while left > 0 do
      left = left - episode(math.min(left, 5000))
      ffi.C.kill(run.pid, SIGKILL) -- it is stopped, and would be waited for
      run:free()
      run = nil
    end
  end)

  it("mail that makes no sense from the zygote that is no event at all is ignored and counted", function()
    local seen = { [0] = 0, 0 }
    for _ = 1, LIVES do
      local sizes = { 1, 4, EVENT - 1, EVENT, EVENT, EVENT + 1, 9000 }
      local size = sizes[math.random(#sizes)]
      local bytes = any_bytes(size)
      run = workers.new { pools = { 2 }, load = function(self)
        C.tide_zygote_loaded(self.zygote, nil, false)
        send_everywhere(bytes, size)
      end }
      assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
      local event, status = ffi.new "struct tide_zygote_event", 0
      wait.until_true(function()
        status = C.tide_zygote_receive(run.zygote, event)
        return status ~= 0 or C.tide_zygote_false_events(run.zygote) == 1
      end, "the mail")
      assert(status == 0 or status == 1 and size == EVENT and event.worker < 2
        and event.kind >= C.TIDE_ZYGOTE_SPAWNED)
      seen[status] = seen[status] + 1
      run:free()
      run = nil
    end
    assert.is_true(seen[0] > LIVES / 4)
  end)

  it("mail that makes no sense from the zygote, and nothing else, is the loss of it", function()
    run = workers.new { load = function(self)
      C.tide_zygote_loaded(self.zygote, nil, false)
      while true do
        send_everywhere(any_bytes(9000), 9000)
        wait.pause(1)
      end
    end }
    assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
    local event, status = ffi.new "struct tide_zygote_event", 0
    wait.until_true(function()
      repeat
        local before = C.tide_zygote_false_events(run.zygote)
        status = C.tide_zygote_receive(run.zygote, event)
      until status < 0 or C.tide_zygote_false_events(run.zygote) == before
      return status < 0
    end, "the loss")
    assert.equal(C.TIDE_ETEMPORARY, status)
    ffi.C.kill(run.pid, SIGKILL) -- it reads nothing, and would be waited for
  end)

  it("mail that makes no sense from a worker costs that worker, and its work at the most", function()
    run = workers.start { pools = { 2 }, check = function(job)
      math.randomseed(tonumber(job.number) + seed)
      local report = ffi.new("struct tide_job_report", { number = job.number, generation = job.generation,
        status = math.random(0, 9) })
      local hello = ffi.new("struct tide_hello", { generation = job.generation, kind = math.random(0, 3) })
      local sizes = { 1, REPORT - 1, REPORT, REPORT, REPORT + 1, HELLO - 1, HELLO, HELLO, HELLO + 1, 9000 }
      for _ = 1, math.random(1, 4) do
        local size = sizes[math.random(#sizes)]
        send_everywhere(any_bytes(size, math.random(2) == 1 and (size >= HELLO and hello or report) or nil), size)
      end
    end }
    for _ = 1, LIVES do
      local one, two = run:submit "check", run:submit "ok"
      run:finish(one)
      assert(run:finish(two) == "done" or two.state == C.TIDE_WORK_WORKER_LOST)
      assert(run.status >= 0)
    end
    -- A worker that is found out only later would take the last work with it. Both are new, or about to be, once each
    -- of them has lost a work at the same time.
    local outcomes
    repeat
      run:until_alive()
      local one, two = run:submit "check", run:submit "check"
      outcomes = { run:finish(one), run:finish(two) }
      assert(run.status >= 0)
    until outcomes[1] == "lost" and outcomes[2] == "lost"
    run:until_alive()
    assert.equal("done", run:finish(run:submit "ok"))
    assert.is_true(run:count(C.TIDE_M_WORKER_LOST_PROTOCOL) > LIVES / 4)
  end)
end)
