-- SPDX-License-Identifier: MIT
-- Slow messages on whole chains: which message it is that took long, as the engine saw it.
local flow = require "spec.support.flow"

local fixture = flow.fixture()

-- Sleeps in C, as a lookup over the network does.
local function sleeper(slow)
  local ffi = require "ffi"
  pcall(ffi.cdef, "int usleep(unsigned us);")
  return function(message)
    local ms = slow[message.value]
    if ms then ffi.C.usleep(ms * 1000) end
    return message
  end
end

describe("a slow message", function()
  it("is named with topic, partition and offset among fast ones", function()
    local run = fixture.new { partitions = 4, steps = { { sleeper { ["77"] = 300 } } } }
    run:push_numbers(4000, 4)
    assert.equal("done", run:finish().kind)
    local slowest = run.engine:slow_messages()[1]
    assert.same({ "in", 0, 19, 1 }, { slowest.topic, slowest.partition, slowest.offset, slowest.row })
    assert.is_true(slowest.seconds > 0.1)
  end)

  it("is named while it is still running", function()
    local run = fixture.new { steps = { { sleeper { ["5"] = 60000 } } }, message_timeout = 60 }
    run:push_numbers(10)
    run:start()
    run:turn_until(function()
      local slowest = run.engine:slow_messages()[1]
      return slowest and slowest.offset == 4 and slowest.seconds > 0.2
    end)
  end)

  it("comes before faster ones of the same batch", function()
    local run = fixture.new { steps = { { sleeper { ["10"] = 150, ["20"] = 400, ["30"] = 250 } } } }
    run:push_numbers(1000)
    assert.equal("done", run:finish().kind)
    local order = {}
    for i = 1, 3 do order[i] = run.engine:slow_messages()[i].offset end
    assert.same({ 19, 29, 9 }, order)
  end)

  it("is the whole batch where a function has it at once", function()
    local folder = os.tmpname()
    local file = assert(io.open(folder, "w"))
    file:write [[
      local ffi = require "ffi"
      ffi.cdef "int usleep(unsigned us);"
      return { batch = function(messages) ffi.C.usleep(200000) return messages end }
    ]]
    file:close()
    local run = fixture.new { steps = { { { kind = "file", path = folder }, eager = false, max_batch_size = 8 } } }
    run:push_numbers(8)
    assert.equal("done", run:finish().kind)
    os.remove(folder)
    local slowest = run.engine:slow_messages()[1]
    assert.same({ 0, 8 }, { slowest.offset, slowest.messages })
  end)
end)
