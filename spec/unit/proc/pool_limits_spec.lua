-- SPDX-License-Identifier: MIT
-- What workers use up (proc/pool_limits.c), in an order of events that whole chains seldom have.
local ffi = require "ffi"
local wait = require "spec.support.wait"
local workers = require "spec.support.workers"
local C = workers.C

describe("a worker whose growth is watched", function()
  local run

  after_each(function() run:free() end)

  it("a worker whose growth is watched gets no work before its process is known, by which its memory is", function()
    run = workers.new { pools = { 2 } } -- one of them is spare, to take the place of the other
    assert(C.tide_zygote_wait_loaded(run.zygote, -1) == C.TIDE_OK)
    assert(C.tide_pool_limit_workers(run.pools[1], ffi.new("struct tide_worker_limits", { max_growth = 2 ^ 30 })) == 0)
    assert(C.tide_pool_start(run.pools[1]) == C.TIDE_OK)
    local one, view = run:submit "ok", ffi.new "struct tide_worker_view"
    wait.until_true(function() -- what the zygote tells is not read meanwhile
      C.tide_pool_poll(run.pools[1], C.tide_clock_us())
      C.tide_pool_worker(run.pools[1], 0, view)
      return view.state ~= C.TIDE_WORKER_SEEN_STARTING
    end, "its hello")
    assert.same({ 0, tonumber(C.TIDE_WORK_WAITING) }, { view.pid, tonumber(one.state) })
    assert.equal("done", run:finish(one))
    assert.is_true(run:worker_pid(0) > 0)
  end)
end)
