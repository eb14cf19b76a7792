-- SPDX-License-Identifier: MIT
-- Hostile messages and functions of tide.window: times, keys and values that are to close the windows of others, to
-- keep them open, or to fill memory. Each becomes a dead letter or is counted where it belongs; the windows of other
-- keys close as they should.
local tide = require "tidemill"
local testing = require "tidemill.testing"

local MINUTE = 60000
local HANGS = "a loop without end"

describe("a hostile message of tide.window", function()
  local test

  after_each(function()
    if test then test:close() end
    test = nil
  end)

  local function show(value, w) return ("%s %d %s"):format(w.key, w.from / MINUTE, tostring(value):sub(1, 20)) end

  -- What hangs ends by message_timeout; elsewhere that is so long that a busy machine ends no other message by it.
  local function start(options, hangs)
    local step = { size = "1min", time = "json:t", by = "json:k", result = show, processes = 1,
      add = function(n) return (n or 0) + 1 end }
    for name, value in pairs(options or {}) do step[name] = value end
    test = testing.steps({ tide.window(step) }, { settings = { worker_memory = "64MiB",
      message_timeout = hangs and "1s" or "30s" } })
  end

  local function message(key, minute, more)
    return ('{"k":"%s","t":%.0f%s}'):format(key, minute * MINUTE, more or "")
  end

  local function sorted(list)
    table.sort(list)
    return list
  end

  -- By what the time is: as it stands in the JSON.
  for what, time in pairs { ["a text"] = '"soon"', ["null"] = "null", ["negative"] = "-1", ["zero"] = "0",
    ["a fraction"] = "0.25", ["too large for a number"] = "1e400", ["of many digits"] = ("9"):rep(400),
    ["a list"] = "[1]",
    ["a date that there is not"] = '"2026-02-31T25:61:00Z"', ["in the year 275760"] = "8640000000000000",
    ["beyond all dates"] = "9007199254740991" } do
    it("a hostile message closes no window of others by a time that is " .. what, function()
      start()
      test:feed(message("a", 10), ('{"k":"evil","t":%s}'):format(time), message("a", 10), message("b", 10))
      assert.same({}, test:values())
      test:feed(message("c", 12))
      assert.same({ "a 10 2", "b 10 1" }, sorted(test:values()))
    end)
  end

  it("a hostile message in as many windows as there may be counts in each, and others go on", function()
    start { size = "1s", every = "1ms" }
    test:feed(message("evil", 10), message("a", 10), message("a", 11))
    assert.equal(2000, #test:values())
    assert.same({}, test:rejects())
  end)

  it("hostile messages that open windows without end fill no more than the value of their key", function()
    start { size = "1ms", grace = "50min", add = function(_, m)
      return m.json.k == "evil" and ("x"):rep(10000) or "x"
    end }
    local list = {}
    for i = 1, 200 do list[i] = ('{"k":"evil","t":%d}'):format(10 * MINUTE + i) end
    test:feed(unpack(list))
    assert.is_true(#test:rejects() > 50) -- beyond a MiB of open windows
    test:feed(message("a", 10), message("b", 62))
    assert.is_truthy(table.concat(test:values(), "\n"):find("a 10 x", 1, true))
  end)

  it("hostile messages of thousands of keys close no window, and each of theirs closes", function()
    start()
    local list = {}
    for i = 1, 3000 do list[i] = message("k" .. i, 10) end
    test:feed(unpack(list))
    test:feed(message("a", 12))
    assert.equal(3000, #test:values())
  end)

  for what, body in pairs {
    ["an error"] = function() error "no" end,
    ["a value longer than any"] = function() return ("x"):rep(2 ^ 20 + 1) end,
    ["a value of gigabytes"] = function() return ("x"):rep(2 ^ 31 - 100) end,
    ["nothing"] = function() return nil end,
    ["a function"] = function() return print end,
    ["a table that holds itself"] = function()
      local list = {}
      list[1] = list
      return list
    end,
    ["the end of its worker"] = function() os.exit(3) end,
    [HANGS] = function() while true do end end,
    ["another list of windows"] = function(_, m)
      for level = 2, 10 do
        for i = 1, 40 do
          local name, value = debug.getlocal(level, i)
          if name == "open" and type(value) == "table" then value[1] = { -1, 2 ^ 53, "forged" } end
          if not name then break end
        end
      end
      return m.value
    end,
  } do
    it("a hostile function of a window harms no other key by " .. what, function()
      start({ add = function(n, m)
        if m.json.evil then return body(n, m) end
        return (n or 0) + 1
      end }, what == HANGS)
      test:feed(message("a", 10), message("evil", 10, ',"evil":true'), message("a", 10), message("b", 10))
      test:feed(message("c", 12))
      local got = {}
      for _, value in ipairs(test:values()) do
        if value:find "^[ab] " then got[#got + 1] = value end
      end
      assert.same({ "a 10 2", "b 10 1" }, sorted(got))
    end)

    it("a hostile result of a window harms no other key by " .. what, function()
      start({ result = function(value, w)
        if w.key == "evil" then return body(value, { value = "x", json = {} }) end
        return show(value, w)
      end }, what == HANGS)
      test:feed(message("a", 10), message("evil", 10), message("b", 10))
      test:feed(message("c", 12))
      local got = {}
      for _, value in ipairs(test:values()) do
        if value:find "^[ab] " then got[#got + 1] = value end
      end
      assert.same({ "a 10 1", "b 10 1" }, sorted(got))
    end)
  end
end)
