-- SPDX-License-Identifier: MIT
-- Hostile functions of tide.keyed: they attack the engine by what they may change, state, its life and its timers. Each
-- message that does so becomes a dead letter or harms its own key alone; the keys beside it count on.
local ffi = require "ffi"
local tide = require "tidemill"
local testing = require "tidemill.testing"

pcall(ffi.cdef, "void *mmap(void *at, size_t size, int protection, int flags, int fd, long offset);")

-- By name: what the function does on the message "attack", and then "dead" (the message is a dead letter), or what its
-- result is; a function gets the results behind it.
local HANGS = "a change before a loop without end"
local attacks = {
  ["a value longer than any"] = { function(_, state) state.value = ("x"):rep(2 ^ 20 + 1) end, "dead" },
  ["a value of two gigabytes"] = { function(_, state) state.value = ("x"):rep(2 ^ 31 - 100) end, "dead" },
  ["a table of ten megabytes"] = { function(_, state)
    local list = {}
    for i = 1, 1e6 do list[i] = "xxxxxxxx" end
    state.value = list
  end, "dead" },
  ["a table that holds itself"] = { function(_, state)
    local list = {}
    list[1] = list
    state.value = list
  end, "dead" },
  ["a table of a thousand levels"] = { function(_, state)
    local list = {}
    for _ = 1, 5000 do list = { list } end
    state.value = list
  end, "dead" },
  ["a function"] = { function(_, state) state.value = print end, "dead" },
  ["a pointer"] = { function(_, state) state.value = ffi.cast("void *", 8) end, "dead" },
  ["a million changes"] = { function(_, state)
    for i = 1, 1e6 do state.value = i end
  end, "attack" },
  ["a million tables"] = { function(_, state)
    for i = 1, 1e6 do state.value = { i } end
  end, "attack" },
  ["a field that there is not"] = { function(_, state) state.worth = 1 end, "dead" },
  ["another metatable"] = { function(_, state) setmetatable(state, {}) end, "dead" },
  ["a change that is taken back by an error"] = { function(_, state)
    state.value = "not to be seen"
    error "no"
  end, "dead" },
  ["a change before the worker leaves"] = { function(_, state)
    state.value = "not to be seen"
    os.exit(3)
  end, "dead" },
  [HANGS] = { function(_, state)
    state.value = "not to be seen"
    while true do end
  end, "dead" },
  ["a thousand results beside a change"] = { function(m, state)
    state.value = ("y"):rep(2 ^ 19)
    local list = {}
    for i = 1, 1000 do list[i] = m.value end
    return tide.many(list)
  end, "attack" },
  ["the states of its batch written over"] = { function()
    for level = 2, 40 do
      for i = 1, 200 do
        local name, value = debug.getlocal(level, i)
        if name == "job" then ffi.fill(ffi.cast("char *", value.states), 4096, 255) end
        if not name then break end
      end
    end
  end, "dead" },
}

for name, time in pairs { ["a NaN"] = 0 / 0, ["infinity"] = 1 / 0, ["before all times"] = -1 / 0, ["negative"] = -1,
  ["zero"] = 0, ["after all times"] = 2 ^ 63, ["a text"] = "soon", ["a table"] = {}, ["all bits"] = -1ULL } do
  attacks["a timer at a time that is " .. name] = { function(_, state) state:timer(time) end, "dead" }
end
for name, time in pairs { ["a NaN"] = 0 / 0, ["infinity"] = 1 / 0, ["negative"] = -1, ["zero"] = 0,
  ["after all times"] = "99999999999999d", ["a text"] = "soon", ["of no unit"] = "5 parsecs" } do
  attacks["a life that is " .. name] = { function(_, state) state:expire(time) end, "dead" }
end
attacks["a timer in the far future"] = { function(_, state) state:timer(2 ^ 52) end, "attack" }
attacks["a timer in the past"] = { function(_, state) state:timer(1) end, "attack" }

describe("a hostile function of tide.keyed", function()
  local test

  after_each(function()
    if test then test:close() end
    test = nil
  end)

  local function count(m, state)
    state.value = (tonumber(state.value) or 0) + 1
    return m.value .. " " .. state.value
  end

  -- Counts; a message "attack" runs the function. What hangs ends by message_timeout; elsewhere that is so long that a
  -- busy machine ends no other message by it.
  local function start(attack, name)
    local options = { function(m, state)
      if m.timer then return nil end
      if m.value ~= "attack" then return count(m, state) end
      local result = attack(m, state)
      return result ~= nil and result or m.value
    end, state = "s", time = "timestamp", processes = 1 }
    test = testing.steps({ tide.keyed(options) }, { settings = { worker_memory = "64MiB",
      message_timeout = name == HANGS and "1s" or "30s" } })
  end

  local function message(key, value, time) return { key = key, value = value, timestamp = time or 1000 } end

  for name, one in pairs(attacks) do
    it("a hostile function harms no other key by " .. name, function()
      start(one[1], name)
      test:feed(message("a", "1"), message("b", "2"), message("a", "attack"), message("b", "3"), message("c", "4"))
      local got, rejects, attacked = {}, test:rejects(), 0
      for _, value in ipairs(test:values()) do
        if value == "attack" then
          attacked = attacked + 1
        elseif not value:find "^ " then
          got[#got + 1] = value
        end
      end
      assert.same({ "1 1", "2 1", "3 2", "4 1" }, got)
      assert.equal(one[2] == "dead" and 1 or 0, #rejects)
      assert.equal(one[2] == "dead", attacked == 0)
      if one[2] == "dead" then -- what it changed does not count
        test:feed(message("a", "5"))
        local values = test:values()
        assert.equal("5 2", values[#values])
      end
      assert.equal(one[2] == "dead" and 6 or 5, test:committed())
    end)
  end

  it("a hostile function whose timer sets the next one, a hundred thousand times, lets others through", function()
    test = testing.steps { tide.keyed { function(m, state)
      if m.timer then
        state.value = (state.value or 0) + 1
        if state.value < 1e5 then state:timer(m.timer + 1) end
        return state.value == 1e5 and "storm is over" or nil
      end
      if m.value == "attack" then
        state:timer(2000)
        return nil
      end
      return m.value
    end, state = "s", time = "timestamp", processes = 1 } }
    test:feed(message("a", "attack"), message("b", "rise", 1e6), message("b", "2", 1e6))
    local values = test:values()
    table.sort(values)
    assert.same({ "2", "rise", "storm is over" }, values)
    assert.same({}, test:rejects())
  end)

  it("a hostile function that keeps the table of one key, and changes it with another, changes neither", function()
    test = testing.steps { tide.keyed { function(m, state)
      if m.value == "keep" then
        state.value = { n = 1 }
        KEPT = state.value -- luacheck: ignore
        return "kept"
      elseif m.value == "spoil" then
        KEPT.n = 666 -- luacheck: ignore
        return "spoilt"
      end
      return tide.json.encode(state.value)
    end, state = "s", processes = 1 } }
    test:feed(message("a", "keep"), message("b", "spoil"), message("b", "show"), message("a", "show"))
    test:feed(message("a", "show"))
    local values = test:values()
    assert.same({ "kept", "spoilt" }, { values[1], values[2] })
    assert.equal('{"n":1}', values[#values])
    assert.is_nil(table.concat(values, " "):find "666")
  end)

  it("a hostile function whose timer crashes its worker each time is a dead letter, once, and others go on", function()
    test = testing.steps { tide.keyed { function(m, state)
      if m.timer then ffi.fill(ffi.cast("char *", 8), 8) end
      if m.value == "attack" then state:timer(2000) end
      return m.value
    end, state = "s", time = "timestamp", processes = 1 } }
    test:feed(message("a", "attack"), message("b", "rise", 5000), message("b", "2", 6000), message("b", "3", 7000))
    local values = test:values()
    assert.same({ "attack", "rise", "2", "3" }, values)
    assert.equal(1, #test:rejects())
  end)

  it("a hostile message by its key harms nobody: too long, empty, of zero bytes", function()
    start(function() end)
    test:feed(message(("k"):rep(481), "1"), message("", "2"), message(("\0"):rep(480), "3"), message("b", "4"))
    assert.same({ "2 1", "3 1", "4 1" }, test:values())
    assert.equal(1, #test:rejects())
  end)
end)
