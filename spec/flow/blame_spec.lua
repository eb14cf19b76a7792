-- SPDX-License-Identifier: MIT
-- A worker dies once, at each place there is, at every record of a batch of 64: nothing is lost, doubled, or out of
-- order, and nobody is blamed, since the second try goes well. A message that kills each time is blamed, and only it.
local ffi = require "ffi"
local faults = require "spec.support.faults"
local C, arm = faults.use()
local pipeline_file = require "spec.support.pipeline_file"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"

local SIZE = 64
local BATCH = { processes = 1, max_batch_size = SIZE, max_batch_time = 3600, eager = false }

local function task(options)
  for name, value in pairs(BATCH) do options[name] = options[name] or value end
  return tide.run_task_with_multiprocessing(options)
end

local function call(m)
  C.tide_fault_pass "w.in_call"
  if m.value:find "x" then os.exit(3) end
  return m
end

local function same(m) return m end
local function mark(m) return m.value .. "!" end

-- Each kind of loop: the steps, and what is to come out of values v.
local kinds = {
  ["one function"] = {
    steps = function() return { task { function(m) return mark(call(m)) end } } end,
    wanted = function(values)
      local list = {}
      for i, value in ipairs(values) do list[i] = value .. "!" end
      return list
    end,
  },
  ["fused functions"] = {
    steps = function()
      return { task { same, call, mark }, tide.filter { function(m) return not m.value:find "7" end } }
    end,
    wanted = function(values)
      local list = {}
      for _, value in ipairs(values) do
        if not value:find "7" then list[#list + 1] = value .. "!" end
      end
      return list
    end,
  },
  ["tide.many"] = {
    steps = function()
      return { task { call, function(m) return tide.many { m.value .. "a", m.value .. "b" } end } }
    end,
    wanted = function(values)
      local list = {}
      for _, value in ipairs(values) do
        list[#list + 1] = value .. "a"
        list[#list + 1] = value .. "b"
      end
      return list
    end,
  },
  ["a batch function"] = {
    steps = function()
      return { task { (pipeline_file.write [[
        local C = require("tidemill.run.ffi").C
        return { batch = function(messages)
          local results = {}
          for i, m in ipairs(messages) do
            C.tide_fault_pass "w.in_call"
            if m.value:find "x" then os.exit(3) end
            results[i] = m.value .. "!"
          end
          return results
        end }]]) } }
    end,
  },
  ["reduce"] = {
    steps = function()
      return { tide.reduce { function(list, m)
        list[#list + 1] = call(m).value
        return list
      end, initial_value = function() return {} end, result = function(list) return table.concat(list, ",") end,
        max_batch_size = SIZE, max_batch_time = 3600 } }
    end,
    wanted = function(values) return { table.concat(values, ",") } end,
  },
}
kinds["a batch function"].wanted = kinds["one function"].wanted

-- Places that a worker passes at each record, and those that it passes once or twice a batch.
local EACH, ONCE = { "w.in_call", "w.after_write", "w.after_publish" },
  { "w.after_recv", "w.before_call", "w.before_done", "w.idle" }
local ACTIONS = { "kill9", "segv", "abort", "exit:9" }

describe("a worker that dies once", function()
  local test, fed, seen

  -- A batch; with `bad` the record that kills its worker each time.
  local function feed(bad)
    local values = {}
    for i = 1, SIZE do values[i] = (i == bad and "x" or "") .. fed + i end
    fed = fed + SIZE
    test:feed(unpack(values))
    return values
  end

  local function new_values()
    local list = {}
    while true do
      local message = C.tide_memory_get(test.sink, seen)
      if message == nil then return list end
      list[#list + 1], seen = ffi.string(message.value, message.value_length), seen + 1
    end
  end

  -- One batch, with the fault at a hit. True when it struck.
  local function batch(kind, point, hit, action)
    arm(("%s=%d:%s"):format(point, hit, action))
    local values = feed()
    assert.same(kind.wanted(values), new_values(), ("%s at hit %d"):format(point, hit))
    assert.equal(0, #test:rejects(), ("%s at hit %d"):format(point, hit))
    assert.equal(fed, test:committed())
    return tonumber(C.tide_fault_hits(point)) >= hit
  end

  -- One more, and the end: what comes late of the batches before would be seen.
  local function end_of(kind)
    arm ""
    assert.same(kind.wanted(feed()), new_values())
    test:finish()
    assert.same({}, new_values())
    local totals = test:totals()
    assert.same({ fed, 0 }, { totals.read, totals.in_flight })
  end

  before_each(function()
    arm ""
    fed, seen = 0, 0
  end)

  after_each(function()
    if test then test:close() end
    test = nil
    pipeline_file.remove_all()
  end)

  for name, kind in pairs(kinds) do
    for _, point in ipairs(EACH) do
      it(("a worker that dies once in %s, %s, at each record of a batch, costs nothing"):format(name, point), function()
        test = testing.steps(kind.steps())
        local struck = 0
        for hit = 1, SIZE do
          if batch(kind, point, hit, ACTIONS[hit % #ACTIONS + 1]) then struck = struck + 1 end
        end
        assert.equal(SIZE, struck)
        end_of(kind)
      end)
    end

    for _, point in ipairs(ONCE) do
      it(("a worker that dies once in %s, %s, costs nothing"):format(name, point), function()
        test = testing.steps(kind.steps())
        batch(kind, point, 1, "segv")
        -- A worker that has nothing to do may be on its way there yet.
        wait.until_true(function() return C.tide_fault_hits(point) >= 1 end)
        batch(kind, point, 2, "kill9")
        batch(kind, point, 3, "abort")
        end_of(kind)
      end)
    end

    it("a worker that dies once is replaced; when it dies of a message each time, that one is blamed:"
      .. " in " .. name, function()
      test = testing.steps(kind.steps())
      for index = 1, SIZE do
        local values = feed(index)
        table.remove(values, index)
        assert.same(kind.wanted(values), new_values(), "record " .. index)
        local rejects = test:rejects()
        local letter = rejects[#rejects]
        assert.equal(index, #rejects)
        assert.same({ fed - SIZE + index - 1, "crash", "exit 3", 2 },
          { letter.original_offset, letter.reason, letter.cause, letter.attempts })
        assert.equal(fed, test:committed())
      end
      end_of(kind)
    end)
  end
end)
