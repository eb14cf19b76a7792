-- SPDX-License-Identifier: MIT
-- batch and unbatch: messages packed into one, and taken out again.
local tide = require "tidemill"
local testing = require "tidemill.testing"

describe("batch and unbatch", function()
  local full = { value = "v", key = "k", headers = { { "a", "1" }, { "a" }, { "", "" } }, timestamp = 7 }

  it("batch and unbatch keep all fields of all messages", function()
    local test = testing.steps { tide.batch { max_batch_size = 3 }, tide.unbatch {} }
    test:feed(full, { value = nil, key = "" }, { value = "", timestamp = 9 })
    local results = test:results()
    assert.same({ value = "v", key = "k", headers = full.headers, timestamp = 7 }, results[1])
    assert.same({ key = "", headers = {}, timestamp = 0 }, results[2])
    assert.same({ value = "", headers = {}, timestamp = 9 }, results[3])
    assert.equal(3, test:committed())
    test:close()
  end)

  it("batch and unbatch let functions between them have the whole batch", function()
    local test = testing.steps {
      tide.batch { max_batch_size = 2 },
      tide.run_task_with_multiprocessing { function(m)
        local list = assert(tide.unpack(m.value))
        assert(list[1].topic == "in" and list[2].offset == 1)
        for i, one in ipairs(list) do one.value = i .. "/" .. #list .. one.value end
        return tide.pack(list)
      end, processes = 1 },
      tide.noop {},
      tide.unbatch {},
    }
    test:feed("a", "b")
    assert.produces(test, { "1/2a", "2/2b" })
    assert.equal(2, test:committed())
    test:close()
  end)

  it("batch and unbatch reject a value that is no batch, whole or cut", function()
    local test = testing.steps { tide.unbatch {} }
    local packed = tide.pack { full }
    test:feed("x", packed:sub(1, -2), packed)
    assert.produces(test, { "v" })
    assert.rejects(test, { "is none that tide.batch made", "ends early" })
    test:close()
  end)
end)
