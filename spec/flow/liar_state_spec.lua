-- SPDX-License-Identifier: MIT
-- A worker that lies about state (tide.keyed): a change that no function could have made is a violation, and one that
-- some function could have made harms no other key.
local faults = require "spec.support.faults"
local C, arm = faults.use()
local tide = require "tidemill"
local testing = require "tidemill.testing"
local liar = require "spec.support.liar"

local SIZE = liar.SIZE
local TASK = "strategies.run_task_with_multiprocessing."
local STRING, NUMBER, JSON, TIMED = C.TIDE_STATE_STRING, C.TIDE_STATE_NUMBER, C.TIDE_STATE_JSON, C.TIDE_STATE_TIMED

local function change(set)
  local fields = { kind = C.TIDE_RESULT_STATE, topic = STRING, partition = 0 }
  for name, value in pairs(set) do fields[name] = value end
  return fields
end

local violations = {
  ["a state that there is not"] = change { partition = 2 },
  ["a state below the first"] = change { partition = -1 },
  ["a kind that there is not"] = change { topic = JSON + 1 },
  ["a kind of all bits"] = change { topic = 65535 },
  ["a number of four bytes"] = change { topic = NUMBER },
  ["no value of some bytes"] = change { topic = C.TIDE_STATE_NONE },
  ["a timer of four bytes"] = change { topic = STRING + TIMED },
  ["a value longer than any"] = change { value_length = 2 ^ 31 - 1 },
  ["a null"] = change { value_length = -1 },
  ["a key"] = change { key_length = 1 },
  ["headers"] = change { headers_length = 4 },
  ["an inherited value"] = change { inherit = 1 },
  ["a life that ends after all times"] = change { timestamp = 2 ^ 62 },
  ["a life below none"] = change { timestamp = -2 },
}

local harmless = {
  ["a JSON that is none"] = { change { topic = JSON, value_length = 8 }, ("\255"):rep(8) },
  ["a NaN of all bits"] = { change { topic = NUMBER, value_length = 8 }, ("\255"):rep(8) },
  ["a timer before all times"] = { change { topic = STRING + TIMED, value_length = 8 }, "\0\0\0\0\0\0\0\128" },
  ["a timer after all times"] = { change { topic = STRING + TIMED, value_length = 8 }, ("\255"):rep(7) .. "\127" },
  ["a timer of no time"] = { change { topic = STRING + TIMED, value_length = 8 }, ("\0"):rep(8) },
}

describe("a worker that lies about state", function()
  local test

  -- Counts, in two states; the message "x..." makes it lie, if `lie` is given.
  local function start(lie)
    test = testing.steps { tide.keyed { function(m, states)
      states.a.value = (states.a.value or 0) + 1
      states.b.value = "b"
      if lie and m.value:find "x" then lie(liar.found("job").output) end
      return m.value .. " " .. states.a.value
    end, state = { "a", "b" }, time = "timestamp", processes = 1, max_batch_size = SIZE } }
  end

  local function values(bad)
    local list = {}
    for i = 1, SIZE do list[i] = { key = "k" .. i % 8, value = (i == bad and "x" or "") .. i, timestamp = i } end
    return list
  end

  -- What comes of a batch whose message `bad` lies each time.
  local function after(lie, bad)
    start(lie)
    test:feed(unpack(values(bad)))
    return test:values(), test:rejects(), test:metrics()
  end

  before_each(function() arm "" end)
  after_each(function()
    if test then test:close() end
    test = nil
  end)

  for name, set in pairs(violations) do
    it("is replaced, its message is a dead letter, and the states of others count on: " .. name, function()
      local lie = liar.leaves { set }
      local got, rejects, metrics = after(lie, 9)
      assert.same({ 8, "crash", "protocol" }, { rejects[1].original_offset, rejects[1].reason, rejects[1].cause })
      assert.equal(1, #rejects)
      assert.is_true(metrics[TASK .. "worker.violation{kind=results}"] >= 1)
      assert.equal(SIZE - 1, #got)
      assert.equal("64 8", got[#got])
      assert.equal("57 7", got[SIZE - 8]) -- of the key of the message that lied
    end)
  end

  for name, lie in pairs(harmless) do
    it("may leave a value of the key that it was given, and harms no other: " .. name, function()
      start(liar.leaves({ lie[1] }, lie[2], os.exit))
      test:feed(unpack(values(1)))
      test:feed { key = "k2", value = "again", timestamp = 100 }
      local got = test:values()
      assert.equal("again 9", got[#got])
      assert.equal(0, test:metrics()[TASK .. "worker.violation{kind=results}"])
      assert.equal(SIZE + 1, test:committed())
    end)
  end
end)
