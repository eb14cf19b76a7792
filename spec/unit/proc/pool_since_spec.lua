-- SPDX-License-Identifier: MIT
-- Since when workers are in what they run (tide_pool_since_us), as the pool knows it: never later than it is, so that
-- what was replaced before is read by nobody; and not much earlier, whatever a worker says.
local ffi = require "ffi"
local seed = require "spec.support.seed"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = workers.C

local NEVER = 0x7fffffffffffffffLL
local run

local function since(of) return C.tide_pool_since_us(run.pools[1], of) end

describe("a pool knows since when its workers are in what they run", function()
  after_each(function()
    if run then run:free() end
    run = nil
  end)

  it("a worker that has reported is in nothing, and the job that began first counts", function()
    run = workers.start { pools = { 2 } }
    assert.equal(NEVER, since())
    local before = C.tide_clock_us()
    run:turn()
    local one = run:submit("wait", { number = 1 })
    local first = since()
    assert.is_true(first >= before and first <= C.tide_clock_us())
    run:turn()
    local two = run:submit("wait", { number = 2 })
    assert.equal(first, since())
    run.shared.gate = 1
    run:finish(one)
    assert.is_true(since() > first and since() <= C.tide_clock_us())
    run.shared.gate = 2
    run:finish(two)
    assert.equal(NEVER, since())
  end)

  it("a worker that does not end its job, or dies in it, is in it to its end and no longer", function()
    run = workers.start()
    local before = C.tide_clock_us()
    run:turn()
    local one = run:submit("wait", { number = 1 })
    local began = since()
    for _ = 1, 20 do run:turn() end
    assert.equal(began, since())
    assert.is_true(began > before)
    assert.equal(0, ffi.C.kill(run:worker_pid(0), 9))
    run:finish(one)
    assert.equal(NEVER, since())
  end)

  it("a worker that starts is in its hooks for what is looked for in its zygote alone", function()
    run = workers.start { short_lived = true, start = function(self)
      while self.shared.gate < 1 do wait.pause(1) end
    end }
    local other = ffi.new "struct tide_zygote"
    assert.is_true(since(run.zygote) < C.tide_clock_us())
    assert.same({ NEVER, NEVER }, { since(), since(other) })
    run.shared.gate = 1
    run:until_alive()
    assert.equal(NEVER, since(run.zygote))
  end)

  it("a job that waits behind another is taken to begin no later than it does", function()
    seed.draw()
    local began = ffi.cast("int64_t *", ffi.C.mmap(nil, 4096, 3, 0x21, -1, 0)) -- by workers; 0 = in no job
    run = workers.start { pools = { 2 }, prefetch = 2, check = function(job)
      began[job.worker] = C.tide_clock_us()
      for _ = 1, tonumber(job.number) * 7919 % 13 * 30000 do end
      began[job.worker] = 0
    end }
    local given, seen, latest = 0, 0, 0LL
    while given < 300 or seen < 5 and given < 900 do -- there are output blocks for 1000
      run:turn()
      while given < 900 and math.random(4) > 1 do
        run:submit "check"
        given = given + 1
      end
      local now = since()
      for worker = 0, 1 do
        local at = began[worker]
        assert.is_true(at == 0 or now <= at, ("since %s, but a job began at %s"):format(tostring(now), tostring(at)))
        seen = seen + (at ~= 0 and 1 or 0)
      end
      if now ~= NEVER then
        assert.is_true(now >= latest)
        latest = now
      end
    end
    for _, one in ipairs(run.works) do run:finish(one) end
    assert.equal(NEVER, since())
    assert.is_true(seen >= 5)
    ffi.C.munmap(ffi.cast("void *", began), 4096)
  end)
end)
