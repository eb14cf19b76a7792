-- SPDX-License-Identifier: MIT
-- Transforms that take a whole batch, and hooks: { init, start, process, batch, close }.
local ffi = require "ffi"
local tide = require "tidemill"
local testing = require "tidemill.testing"

pcall(ffi.cdef, "int kill(int pid, int signal);")
pcall(ffi.cdef, "int getpid(void);")

describe("a batch transform", function()
  local test, path

  -- The transform is a file whose text sees `tide` and `kill`.
  local function transform(text, ...)
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write('local tide, ffi = require "tidemill", require "ffi"\n'
      .. "local function kill() ffi.C.kill(ffi.C.getpid(), 9) end\n" .. text)
    file:close()
    test = testing.steps { tide.run_task_with_multiprocessing { path, processes = 1, max_batch_size = 4,
      eager = false, max_batch_time = 3600, output_block_size = 4096, max_output_block_size = 65536 }, ... }
    return test
  end

  after_each(function()
    if test then test:close() end
    if path then os.remove(path) end
    test, path = nil, nil
  end)

  it("a batch transform gets all messages of a block at once and returns as many results", function()
    transform [[return { batch = function(messages)
      local results = {}
      for i, m in ipairs(messages) do results[i] = #messages .. m.value .. m.offset end
      return results
    end }]]
    test:feed("a", "b", "c", "d", "e", "f", "g", "h")
    assert.produces(test, { "4a0", "4b1", "4c2", "4d3", "4e4", "4f5", "4g6", "4h7" })
    assert.equal(8, test:committed())
  end)

  it("a batch transform may return messages, tables, several, and rejects; each message is an"
    .. " object of its own", function()
    transform [[return { batch = function(messages)
      messages[1].value, messages[4].value = messages[4].value, messages[1].value
      return { messages[1], { value = "t", key = "k" }, tide.drop, tide.many { messages[4], "x", tide.many { "y" } } }
    end }]]
    test:feed("a", "b", "c", "d")
    assert.produces(test, { "d", { value = "t", key = "k" }, "a", "x", "y" })
    assert.filtered(test, 1)
    assert.equal(4, test:committed())
  end)

  it("a batch transform filters by tide.drop, in tide.many too, and refuses it in place of the array", function()
    transform [[return { batch = function(messages)
      if #messages == 1 then return tide.drop end
      return { tide.drop, "b", tide.many { "c", tide.drop }, tide.many { tide.drop } }
    end }]]
    test:feed("a", "b", "c", "d")
    test:feed("alone"):finish()
    assert.produces(test, { "b", "c" })
    assert.filtered(test, 2)
    assert.rejects(test, { "returned tide.drop; batch returns an array" })
  end)

  it("a batch transform stands between functions of one message", function()
    path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write [[return { batch = function(list)
      for _, m in ipairs(list) do m.value = m.value .. #list end
      return list
    end }]]
    file:close()
    test = testing.steps { tide.unfold { function(m) return { m, m.value .. "'" } end },
      tide.filter { function(m) return m.value ~= "b" end },
      tide.run_task_with_multiprocessing { path, processes = 1, max_batch_size = 2, eager = false },
      tide.run_task { function(m) return { key = m.value .. m.offset } end } }
    test:feed("a", "b")
    assert.produces(test, { { value = "a3", key = "a30" }, { value = "a'3", key = "a'30" },
      { value = "b'3", key = "b'31" } })
    assert.equal(2, test:committed())
  end)

  describe("message.json", function()
    it("message.json in a batch transform is a view of each message's own: all may be read and"
      .. " edited at once", function()
      transform [[return { batch = function(list)
        local sum = 0
        for _, m in ipairs(list) do sum = sum + m.json.v end
        for i, m in ipairs(list) do
          if i ~= 2 then m.json.share = m.json.v / sum end
        end
        list[3].json.tags[2].id = nil
        return list
      end }]]
      test:feed('{ "v":1, "big":12345678901234567890 }', '{"v" :2}', '{"v":3,"tags":[ 1,{"id":5,"x":[]} ]}', '{"v":4}')
      assert.same({ '{ "v":1, "big":12345678901234567890,"share":0.1 }', '{"v" :2}',
        '{"v":3,"tags":[ 1,{"x":[]} ],"share":0.3}', '{"v":4,"share":0.4}' }, test:values())
    end)

    it("of message.json and value the one written last wins in a batch transform;"
      .. " both read what was written", function()
      transform [[return { batch = function(list)
        local a, b, c, d = unpack(list)
        a.json.x = 1; a.value = "text"
        b.value = '{"y":1}'; b.json.x = b.json.y + 1
        c.json.x = 1; c.value = c.value .. " "; c.json.x = 2
        d.json = { x = tide.null }
        assert(d.json.x == tide.null and d.value == '{"x":null}')
        d.value = nil
        assert(d.json == nil)
        return list
      end }]]
      test:feed("{}", "{}", "{}", "{}")
      assert.produces(test, { "text", '{"y":1,"x":2}', '{"x":2} ', {} })
    end)

    it("message.json in a batch transform may be part of any result, of several too", function()
      transform [[return { batch = function(list)
        local a, b = list[1].json, list[2].json
        return { { json = b.items }, tide.many { { json = a.items[1] }, { json = { a.items[2], b } } },
          { key = "k" }, list[4].json }
      end }]]
      test:feed('{"items":[1,{"x":2}]}', '{"items":[ ]}', "3", "4")
      assert.same({ "[ ]", "1", '[{"x":2},{"items":[ ]}]', "3" }, test:values())
      assert.equal("k", test:results()[4].key)
      assert.rejects(test, { "returned a number" })
    end)

    it("message.json in a batch transform of a message that is no JSON rejects that message only", function()
      transform [[return { batch = function(list)
        for _, m in ipairs(list) do m.json.n = #list end
        return list
      end }]]
      test:feed("{}", "{x", "{}", "[]")
      assert.produces(test, { '{"n":1}', '{"n":1}' })
      assert.rejects(test, { "the value is not JSON: ", 'json%.n: ' })
    end)

    it("message.json in a batch transform is gone when the results are taken; a kept message has a new one"
      .. " then", function()
      transform [[local view, message
      return { batch = function(list)
        if not view then
          message, view = list[1], list[1].json
          message.json.x = 1
          return { "a", "b", "c", "d" }
        end
        local ok, problem = pcall(function() return view.x end)
        return { tostring(ok), problem, message, message.json.x .. "" }
      end }]]
      test:feed("{}", "b", "c", "d", "e", "f", "g", "h")
      local values = test:values()
      assert.matches("this view is gone", values[6])
      table.remove(values, 6)
      assert.same({ "a", "b", "c", "d", "false", '{"x":1}', "1" }, values)
    end)
  end)

  it("a batch transform that writes what no message can have gets that message rejected with the reason", function()
    transform [[return { batch = function(list)
      list[1].topic, list[2].headers[1], list[4].timestamp = "nope", 5, 1.5
      return list
    end }]]
    test:feed("a", "b", "c", "d")
    assert.produces(test, { "c" })
    assert.rejects(test, { 'bad_return: .*:%d+ topic "nope" is none that produce names',
      "bad_return: .*:%d+ message.headers%[1%] is not", "bad_return: .*:%d+ message.timestamp takes" })
  end)

  it("a batch transform has no result where it says tide.drop; false is refused, as everywhere", function()
    transform [[return { batch = function(list)
      return { false, tide.drop, tide.many { list[3], false }, list[4] }
    end }]]
    test:feed("a", "b", "c", "d")
    assert.produces(test, { "d" })
    assert.filtered(test, 1)
    assert.rejects(test, { "returned a boolean; return the message, a string, a table, tide.drop",
      "returned a boolean" })
  end)

  it("a batch transform rejects by index, with the reason", function()
    transform [[return { batch = function(list)
      return { list[1], tide.reject "no", 5, list[4] }
    end }]]
    test:feed("a", "b", "c", "d")
    assert.produces(test, { "a", "d" })
    assert.rejects(test, { "rejected: no", "bad_return: .*:%d+ returned a number" })
    assert.equal(4, test:committed())
  end)

  it("a batch transform is run one by one after an error, to find the message", function()
    transform [[return { batch = function(list)
      for _, m in ipairs(list) do if m.value == "bad" then error "found" end end
      local results = {}
      for i, m in ipairs(list) do results[i] = #list .. m.value end
      return results
    end }]]
    test:feed("a", "bad", "c", "d", "e", "f", "g", "h")
    assert.produces(test, { "1a", "1c", "1d", "4e", "4f", "4g", "4h" })
    assert.rejects(test, { "error: .*:%d+: found" })
    assert.equal(8, test:committed())
  end)

  it("a batch transform is run one by one when the number of results is wrong", function()
    transform [[return { batch = function(list)
      if #list == 4 then return { "x" } end
      if list[1].value == "bad" then return { "x", "y" } end
      if list[1].value == "none" then return "text" end
      return list
    end }]]
    test:feed("a", "bad", "none", "d")
    assert.produces(test, { "a", "d" })
    assert.rejects(test, { "returned 2 results for 1 messages", "returned a string; batch returns an array" })
  end)

  it("a batch transform is run one by one after a crash: nothing is released twice, only the message"
    .. " that is due is rejected", function()
    transform [[return { batch = function(list)
      for _, m in ipairs(list) do if m.value == "deadly" then kill() end end
      local results = {}
      for i, m in ipairs(list) do results[i] = #list .. m.value end
      return results
    end }]]
    test:feed("a", "b", "deadly", "d")
    assert.produces(test, { "1a", "1b", { value = "1d" } })
    assert.rejects(test, { "crash: " })
    assert.equal("2", tostring(test:rejects()[1].original_offset))
    assert.equal(4, test:committed())
  end)

  it("a batch transform goes on in a fresh block when its results fill one, and rejects one above the"
    .. " maximum", function()
    transform [[return { batch = function(list)
      local results = {}
      for i, m in ipairs(list) do results[i] = m.value .. ("x"):rep(m.value == "big" and 70000 or 3000) end
      return results
    end }]]
    test:feed("a", "b", "big", "d")
    local values = test:values()
    assert.same({ "a", "b", "d" }, { values[1]:sub(1, 1), values[2]:sub(1, 1), values[3]:sub(1, 1) })
    assert.rejects(test, { "too_large: " })
    assert.equal(4, test:committed())
  end)
end)

describe("hooks", function()
  it("hooks run in their order, and close when a worker leaves with the engine", function()
    local path, seen = os.tmpname(), os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write(([[
      local function note(what) local f = io.open(%q, "a") f:write(what, " ") f:close() end
      return { init = function() note "init" end, start = function() note "start" end,
        process = function(m) note(m.value) return m end, close = function() note "close" end }]]):format(seen))
    file:close()
    local test = testing.steps({ tide.run_task { path } }, { settings = { files = { write = "/tmp" } } })
    test:feed("a", "b")
    test:close()
    local noted = io.open(seen)
    assert.equal("init start a b close ", noted:read "*a")
    noted:close()
    os.remove(path)
    os.remove(seen)
  end)

  for text, expected in pairs {
    ["return { close = function() end }"] = 'has no function "process" and no "batch"',
    ["return { process = function() end, batch = function() end }"] = '"process" and "batch"',
    ["return { process = 5 }"] = '"process" is no function but a number',
    ["return { prcess = function() end }"] = 'has no "prcess"; it has init, start, process, batch, close',
  } do
    it("hooks are checked when they are loaded: " .. expected, function()
      local path = os.tmpname()
      local file = assert(io.open(path, "w"))
      file:write(text)
      file:close()
      local ok, problem = pcall(testing.transform, path)
      assert.is_false(ok)
      assert.matches(expected, problem, 1, true)
      os.remove(path)
    end)
  end
end)
