-- SPDX-License-Identifier: MIT
-- reduce, buffer: one message of a batch. What is made of it, and what becomes of the offsets. batch: unbatch_spec.lua.
local ffi = require "ffi"
local pipeline_file = require "spec.support.pipeline_file"
local flow = require "spec.support.flow"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"
local C = testing.C

pcall(ffi.cdef, "int kill(int pid, int signal); int getpid(void);")

local function join(acc, m)
  acc[#acc + 1] = m.value
  return acc
end

local function joined(options)
  options[1] = options[1] or join
  options.initial_value = options.initial_value or function() return {} end
  options.result = options.result or function(acc) return table.concat(acc, ",") end
  return tide.reduce(options)
end

describe("reduce", function()
  local fixture = flow.fixture()
  local steps = fixture.steps

  it("reduce makes one message of max_batch_size messages, and commits the highest offset of each partition", function()
    steps(joined { max_batch_size = 4, max_batch_time = "1h" })
    fixture.test:feed("a", "b", { value = "c", partition = 1 })
    assert.produces(fixture.test, {})
    assert.is_nil(fixture.test:committed(0))
    fixture.test:feed({ value = "d", partition = 1 }, { value = "e", partition = 1 })
    local values = fixture.test:values()
    assert.equal(1, #values)
    assert.equal(7, #values[1])
    assert.equal(4, fixture.test:totals().produced_from)
    assert.equal(2, fixture.test:committed(0))
    assert.equal(2, fixture.test:committed(1))
    assert.equal(1, fixture.test:totals().in_flight)
  end)

  it("reduce closes at max_batch_time, and at the end of the stream", function()
    local from = wait.now()
    steps(joined { max_batch_size = 1000, max_batch_time = "1h" })
    fixture.test:feed("a", "b")
    fixture.test:advance(3540)
    assert.produces(fixture.test, {})
    fixture.test:advance(61)
    assert.produces(fixture.test, { "a,b" })
    fixture.test:feed("c"):finish()
    assert.produces(fixture.test, { "a,b", "c" })
    assert.equal(3, fixture.test:committed())
    local time = fixture.test:metrics()["strategies.reduce.batch_time"]
    assert.equal(2, time.count)
    assert.is_true(time.max >= 3600 and time.max < 3601 + wait.now() - from)
  end)

  it("reduce takes a plain initial value, and forwards the accumulated value without result", function()
    steps(tide.reduce { function(sum, m) return sum .. m.value end, initial_value = "=", max_batch_size = 2 })
    fixture.test:feed("a", "b", "c", "d")
    assert.produces(fixture.test, { "=ab", "=cd" })
  end)

  it("reduce inherits nothing but the newest timestamp; a table or a copy tells the rest", function()
    steps(tide.reduce { function(_, m) return m:copy() end, max_batch_size = 2, max_batch_time = "1h",
      result = function(m)
        return m.value == "d" and { value = "table", key = "K" } or m.value == "b" and "text" or m
      end })
    for _, value in ipairs { "a", "b", "c", "d", "e", "f" } do
      fixture.test:feed { value = value, key = "k", headers = { { "h", value } }, timestamp = value:byte() }
    end
    local results = fixture.test:results()
    assert.same({ value = "text", headers = {}, timestamp = 98 }, results[1])
    assert.same({ value = "table", key = "K", headers = {}, timestamp = 100 }, results[2])
    assert.same({ value = "f", key = "k", headers = { { "h", "f" } }, timestamp = 102 }, results[3])
  end)

  it("reduce may keep copies, whose views are read and edited at the end", function()
    steps(tide.reduce { function(list, m)
      list[#list + 1] = m:copy()
      list[1].json.n = #list
      return list
    end, initial_value = function() return {} end, max_batch_size = 2, result = function(list)
      list[1].json.last = list[2].json
      return tide.many { list[1], { json = list[1].json.last.x } }
    end })
    fixture.test:feed('{"x":1}', '{"x":[ 2]}', "{}", '{"x":3}')
    assert.same({ '{"x":1,"n":2,"last":{"x":[ 2]}}', "[ 2]", '{"n":2,"last":{"x":3}}', "3" }, fixture.test:values())
  end)

  it("reduce may make several messages or none: the offsets wait for the last", function()
    steps(joined { max_batch_size = 2, result = function(acc)
      if acc[1] == "none" then return nil end
      if acc[1] == "drop" then return tide.drop end
      return tide.many(acc)
    end })
    C.tide_memory_hold(fixture.test.sink, true)
    fixture.test:feed("a", "b", "none", "x", "drop", "x")
    assert.is_nil(fixture.test:committed())
    assert.equal(4, fixture.test:filtered())
    C.tide_memory_hold(fixture.test.sink, false)
    fixture.test:finish()
    assert.produces(fixture.test, { "a", "b" })
    assert.equal(6, fixture.test:committed())
    assert.equal(2, fixture.test:totals().produced_from)
  end)

  it("reduce commits nothing before the reduced message is delivered", function()
    steps(joined { max_batch_size = 2 })
    C.tide_memory_hold(fixture.test.sink, true)
    fixture.test:feed("a", "b")
    assert.produces(fixture.test, { "a,b" })
    assert.is_nil(fixture.test:committed())
    assert.equal(2, fixture.test:totals().in_flight)
    C.tide_memory_hold(fixture.test.sink, false)
    fixture.test:feed("c"):finish()
    assert.equal(3, fixture.test:committed())
  end)

  it("reduce works between other steps, and its results go on through the functions behind it", function()
    steps(tide.run_task_with_multiprocessing { function(m) return m.value .. "1" end, processes = 2 }, joined {
      max_batch_size = 3, max_batch_time = "1h" }, tide.run_task { function(m) return "<" .. m.value .. ">" end },
      tide.noop {}, tide.filter { function() return true end })
    fixture.test:feed("a", "b", "c")
    assert.produces(fixture.test, { "<a1,b1,c1>" })
    assert.equal(3, fixture.test:committed())
  end)

  it("reduce counts all its messages as filtered when the step behind it drops their result", function()
    steps(joined { max_batch_size = 2 },
      tide.run_task_with_multiprocessing { function() return nil end, processes = 1 })
    fixture.test:feed("a", "b", "c", "d")
    assert.produces(fixture.test, {})
    assert.equal(4, fixture.test:filtered())
    assert.equal(4, fixture.test:committed())
  end)

  it("reduce rejects the message whose accumulation fails and accumulates the others anew", function()
    steps(joined { function(acc, m)
      acc[#acc + 1] = m.value
      if m.value == "bad" then error "cannot add" end
      return acc
    end, max_batch_size = 4 })
    fixture.test:feed("a", "bad", "b", "bad")
    assert.produces(fixture.test, { "a,b" })
    assert.rejects(fixture.test, { "error: .*reduce_spec.lua:%d+: cannot add", "cannot add" })
    assert.equal(4, fixture.test:committed())
    assert.same({ 2, 2 }, { fixture.test:totals().produced_from, fixture.test:totals().dead_lettered })
  end)

  it("reduce rejects only the message for which tide.reject is returned in place of what is accumulated", function()
    steps(tide.reduce { function(acc, m)
      acc.sum = acc.sum + (tonumber(m.value) or 1000)
      if not tonumber(m.value) then return tide.reject("no number: " .. m.value) end
      return acc
    end, initial_value = function() return { sum = 0 } end, max_batch_size = 5,
      result = function(acc) return tostring(acc.sum) end })
    fixture.test:feed("1", "2", "x", "4", "5", "y", "7", "8", "9", "z")
    assert.produces(fixture.test, { "12", "24" })
    assert.rejects(fixture.test, { "rejected: no number: x", "rejected: no number: y", "rejected: no number: z" })
    assert.equal(0, fixture.test:filtered())
    assert.equal(10, fixture.test:committed())
  end)

  it("reduce does so where what is accumulated is a plain value, or nothing is left", function()
    steps(tide.reduce { function(text, m)
      return m.value == "bad" and tide.reject "bad" or text .. m.value
    end, initial_value = "=", max_batch_size = 2 })
    fixture.test:feed("a", "bad", "bad", "b", "bad", "bad", "c", "d")
    assert.produces(fixture.test, { "=a", "=b", "=cd" })
    assert.rejects(fixture.test, { "rejected: bad", "rejected: bad", "rejected: bad", "rejected: bad" })
    assert.equal(8, fixture.test:committed())
  end)

  it("reduce names tide.many in place of what is accumulated as a wrong return", function()
    steps(joined { function(acc, m)
      if m.value == "many" then return tide.many { "x" } end
      if m.value == "gap" then return tide.many { a = "x" } end
      return join(acc, m)
    end, max_batch_size = 4 })
    fixture.test:feed("a", "many", "gap", "b")
    assert.produces(fixture.test, { "a,b" })
    assert.rejects(fixture.test, { "bad_return: .*reduce_spec.lua:%d+ returned tide.many; ",
      "bad_return: .*reduce_spec.lua:%d+ returned tide.many of what is no array" })
    assert.equal(4, fixture.test:committed())
  end)

  for name, case in pairs {
    ["an error"] = { function() error "cannot end" end, "error: .*cannot end" },
    ["a wrong type"] = { function() return 5 end, "bad_return: .*reduce_spec.lua:%d+ returned a number" },
    ["tide.reject"] = { function() return tide.reject "not this" end, "rejected: not this" },
    ["too much"] = { function() return ("x"):rep(100000) end, "too_large: " },
  } do
    it("reduce rejects all messages of a batch whose result is " .. name .. ", and goes on", function()
      steps(joined { max_batch_size = 2, max_output_block_size = 65536, result = function(acc)
        if acc[1] == "a" then return case[1]() end
        return acc[1]
      end })
      fixture.test:feed("a", "b", "c", "d")
      assert.produces(fixture.test, { "c" })
      assert.rejects(fixture.test, { case[2], case[2] })
      assert.equal(4, fixture.test:committed())
    end)
  end

  it("reduce loses nothing and doubles nothing when its worker is killed at any message", function()
    local path = os.tmpname()
    fixture.settings = { files = { write = "/tmp" } }
    for at = 1, 6 do
      os.remove(path)
      steps(joined { function(acc, m)
        if m.value == tostring(at) and not io.open(path) then
          io.open(path, "w"):close()
          ffi.C.kill(ffi.C.getpid(), 9)
        end
        return join(acc, m)
      end, max_batch_size = 6 })
      fixture.test:feed("1", "2", "3", "4", "5", "6")
      assert.produces(fixture.test, { "1,2,3,4,5,6" })
      assert.rejects(fixture.test, {})
      assert.equal(6, fixture.test:committed())
      fixture.test:close()
    end
    os.remove(path)
  end)

  it("reduce rejects the message that workers die of, and reduces the others", function()
    steps(joined { function(acc, m)
      if m.value == "deadly" then ffi.C.kill(ffi.C.getpid(), 9) end
      return join(acc, m)
    end, max_batch_size = 4 })
    fixture.test:feed("a", "b", "deadly", "c")
    assert.produces(fixture.test, { "a,b,c" })
    assert.rejects(fixture.test, { "crash: " })
    assert.equal("2", tostring(fixture.test:rejects()[1].original_offset))
    assert.equal(4, fixture.test:committed())
  end)

  it("reduce rejects the message that takes longer than message_timeout, and reduces the others", function()
    local path = pipeline_file.write([[local tide = require "tidemill"
      return tide.pipeline "x" { message_timeout = "1s", tide.file_source { path = "-" },
        tide.reduce { function(acc, m)
          while m.value == "hang" do end
          return acc .. m.value
        end, initial_value = "", max_batch_size = 3 } }]])
    fixture.test = testing.pipeline(path)
    fixture.test:feed("a", "hang", "b")
    assert.produces(fixture.test, { "ab" })
    assert.rejects(fixture.test, { "timeout: " })
    assert.equal(3, fixture.test:committed())
    pipeline_file.remove_all()
  end)

  it("reduce rejects a batch of whose result workers die", function()
    steps(joined { max_batch_size = 2, result = function(acc)
      if acc[1] == "a" then ffi.C.kill(ffi.C.getpid(), 9) end
      return acc[1]
    end })
    fixture.test:feed("a", "b", "c", "d")
    assert.produces(fixture.test, { "c" })
    assert.rejects(fixture.test, { "crash: ", "crash: " })
    assert.equal(4, fixture.test:committed())
  end)

  it("reduce drops a batch whose partition is revoked: nothing is produced or committed, all is read again", function()
    steps(joined { max_batch_size = 10, max_batch_time = "1h" })
    fixture.test:feed("a", "b", "c")
    fixture.test:revoke(0)
    assert.equal(0, fixture.test:committed() or 0)
    assert.equal(3, fixture.test:totals().dropped)
    fixture.test:finish()
    assert.produces(fixture.test, { "a,b,c" })
    assert.equal(3, fixture.test:committed())
  end)

  it("reduce takes what is revoked out of a batch, and keeps the other partitions' messages", function()
    steps(joined { max_batch_size = 4, max_batch_time = "1h" })
    fixture.test:feed({ value = "a", partition = 1 })
    fixture.test:feed({ value = "b", partition = 0 })
    fixture.test:revoke(0) -- b comes again
    fixture.test:feed({ value = "c", partition = 1 })
    assert.produces(fixture.test, { "a,b,c" })
    assert.same({ 1, 2 }, { fixture.test:committed(0), fixture.test:committed(1) })
  end)

  it("reduce runs a batch again when part of it is revoked while its worker is at it", function()
    local begun, go_on = os.tmpname(), os.tmpname()
    fixture.settings = { files = { write = "/tmp" } }
    for _, path in ipairs { begun, go_on } do os.remove(path) end
    local function is_there(path)
      local file = io.open(path)
      return file and file:close()
    end
    steps(joined { function(acc, m)
      if m.value == "slow" then io.open(begun, "w"):close() end
      while m.value == "slow" and not is_there(go_on) do C.tide_clock_us() end
      return join(acc, m)
    end, max_batch_size = 2, max_batch_time = "1h" })
    fixture.test:feed({ value = "x", partition = 1 })
    fixture.test:push({ value = "slow", partition = 0 })
    repeat fixture.test.engine:run(0.001) until is_there(begun)
    C.tide_memory_revoke(fixture.test.source, 0, false)
    repeat until fixture.test.engine:run(0.001).kind == "assigned"
    assert.equal(1, fixture.test:totals().dropped)
    io.open(go_on, "w"):close()
    fixture.test.fed = fixture.test.fed + 1 -- what was dropped is read again
    fixture.test:finish()
    assert.produces(fixture.test, { "x", "slow" })
    assert.same({ 1, 1 }, { fixture.test:committed(0), fixture.test:committed(1) })
    for _, path in ipairs { begun, go_on } do os.remove(path) end
  end)

  it("reduce stays right over a thousand batches with bad messages", function()
    steps(joined { function(acc, m)
      if tonumber(m.value) % 97 == 0 then error "bad" end
      return join(acc, m)
    end, max_batch_size = 10, max_batch_time = "1h" })
    for first = 1, 9001, 1000 do
      local values = {}
      for i = first, first + 999 do values[#values + 1] = tostring(i) end
      fixture.test:feed(unpack(values))
    end
    fixture.test:finish()
    local seen, last = 0, 0
    for _, value in ipairs(fixture.test:values()) do
      for number in value:gmatch "%d+" do
        assert.is_true(tonumber(number) > last)
        last, seen = tonumber(number), seen + 1
      end
    end
    assert.equal(10000 - 103, seen)
    assert.equal(103, fixture.test:totals().dead_lettered)
    assert.equal(10000, fixture.test:committed())
  end)
end)

describe("buffer", function()
  it("buffer is forwarded when it is ready, and at the end of a batch", function()
    local test = testing.steps { tide.buffer {
      new = function() return {} end, append = join, ready = function(acc) return #acc == 3 end,
      result = function(acc) return table.concat(acc) end, max_batch_size = 8, max_batch_time = "1h",
    } }
    test:feed("a", "b", "c", "d", "e", "f", "g", "h")
    assert.produces(test, { "abc", "def", "gh" })
    assert.equal(8, test:committed())
    assert.equal(8, test:totals().produced_from)
    test:close()
  end)

  it("buffer rejects only the message for which append returns tide.reject, with what is forwarded"
    .. " before it kept", function()
    local test = testing.steps { tide.buffer {
      new = function() return {} end, ready = function(acc) return #acc == 2 end,
      append = function(acc, m)
        if m.value == "bad" then return tide.reject "no b" end
        if m.value == "many" then return tide.many { "x" } end
        return join(acc, m)
      end,
      result = function(acc) return table.concat(acc) end, max_batch_size = 8, max_batch_time = "1h",
    } }
    test:feed("a", "b", "bad", "c", "many", "d", "e", "bad")
    assert.produces(test, { "ab", "cd", "e" })
    assert.rejects(test, { "rejected: no b", "bad_return: .*reduce_spec.lua:%d+ returned tide.many; ", "no b" })
    assert.equal(8, test:committed())
    test:close()
  end)

  it("buffer takes no answer from ready, and a result that is a message is gone", function()
    local kept
    local test = testing.steps { tide.buffer {
      new = function() return "" end, append = function(acc, m)
        kept = m
        return acc .. m.value
      end,
      ready = function(acc) return acc:sub(-1) == "x" and tide.drop or acc:sub(-1) == "m" end,
      result = function(acc) return acc:find "m" and kept or acc end, max_batch_size = 4, max_batch_time = "1h",
    } }
    test:feed("x", "m", "a", "b")
    assert.produces(test, { "ab" })
    assert.rejects(test, { "ready returned tide.drop; it answers only", "returned a message that is gone, not" })
    test:close()
  end)

  it("buffer goes on in a fresh block when its results fill one", function()
    local test = testing.steps { tide.buffer {
      new = function() return {} end, append = join, ready = function(acc) return #acc == 2 end,
      result = function(acc) return acc[1] .. ("x"):rep(3000) .. acc[2] end, max_batch_size = 10,
      max_batch_time = "1h", max_output_block_size = 8192,
    } }
    test:feed("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    local values = test:values()
    assert.equal(5, #values)
    for i, value in ipairs(values) do assert.equal(("acegi"):sub(i, i), value:sub(1, 1)) end
    assert.equal(10, test:committed())
    test:close()
  end)
end)
