-- SPDX-License-Identifier: MIT
-- tide.window: tumbling and hopping windows and sessions, held against a model that goes through the messages one by
-- one.
local ffi = require "ffi"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.faults"
local seed = require "spec.support.seed"
local testing = require "tidemill.testing"
local tide = require "tidemill"

pcall(ffi.cdef, "int getpid(void); int kill(int pid, int signal);")

local function count(n) return (n or 0) + 1 end
local function plus(a, b) return a + b end

describe("tide.window", function()
  after_each(function()
    testing.close()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function show(value, w) return ("%s %d-%d %s"):format(w.key, w.from, w.to, tostring(value)) end

  local function window(options, more)
    local step = { add = count, result = show, processes = 2 }
    for name, value in pairs(options) do step[name] = value or nil end
    return testing.steps({ tide.window(step) }, more)
  end

  local function at(time, key, more)
    local message = { key = key or "k", value = tostring(time), timestamp = time }
    for name, value in pairs(more or {}) do message[name] = value end
    return message
  end

  local function sorted(list)
    table.sort(list)
    return list
  end

  it("closes a window when the watermark has passed its end, once for each key", function()
    local test = window { size = "100ms", grace = "20ms", result = false }
    test:feed(at(105, "a"), at(101, "b"), at(199, "a"), at(210, "a"), at(219, "c"))
    assert.same({}, test:values())
    test:feed(at(220, "c"))
    local results = test:results()
    table.sort(results, function(one, other) return one.key < other.key end)
    assert.same({ "a", "b" }, { results[1].key, results[2].key })
    assert.same({ key = "a", from = 100, to = 200, value = 2 }, require("cjson").decode(results[1].value))
    assert.equal(199, results[1].timestamp)
    assert.same({}, results[1].headers)
    test:feed(at(1000, "z"))
    assert.equal(4, #test:values()) -- a and c from 200 on
  end)

  it("closes windows when a test moves the watermark, of one partition or of all", function()
    local test = window { size = "1min", grace = "10s", time = "json:ts" }
    for partition = 0, 2 do
      test:feed { key = "p" .. partition, value = '{"ts":"2026-01-31T12:00:30Z"}', partition = partition }
    end
    test:watermark("2026-01-31T12:00:59Z")
    assert.same({}, test:values())
    test:watermark("2026-01-31T12:01:00Z", 1)
    assert.same({ "p1 1769860800000-1769860860000 1" }, test:values())
    test:watermark(1769860860000)
    assert.equal(3, #test:values())
    assert.same({ 3, 3, 0 }, { test:totals().read, test:totals().produced, test:filtered() - 3 })
    assert.equal(0, test:totals().in_flight)
    for _, wrong in ipairs { "noon", 0, {}, "1min" } do
      local _, text = pcall(test.watermark, test, wrong)
      assert.matches("test:watermark takes milliseconds since 1970, or a moment", text)
    end
    assert.matches("takes a partition from 0 to 3", select(2, pcall(test.watermark, test, 5, 9)))
  end)

  it("has windows that overlap, each every so long", function()
    local test = window { size = "100ms", every = "50ms",
      add = function(all, m) return (all or "") .. m.value .. "," end }
    test:feed(at(110), at(160), at(500))
    assert.same({ "k 100-200 110,160,", "k 150-250 160,", "k 50-150 110," }, sorted(test:values()))
  end)

  it("has sessions, which end when nothing came for so long", function()
    local test = window { gap = "30ms", grace = "100ms", merge = plus }
    test:feed(at(10), at(30), at(120), at(100), at(200))
    test:feed(at(245, "other"))
    assert.same({ "k 10-60 2" }, test:values())
    test:feed(at(500, "other"))
    assert.same({ "k 10-60 2", "k 100-150 2", "k 200-230 1", "other 245-275 1" }, sorted(test:values()))
  end)

  it("makes one of sessions as long as both are open", function()
    local test = window { gap = "30ms", grace = "100ms", merge = plus }
    test:feed(at(10), at(60), at(35), at(500))
    assert.same({ "k 10-90 3" }, test:values())
  end)

  it("counts a message that comes too late, and drops it or sends it to a topic as it came", function()
    local test = window({ size = "100ms", grace = "10ms", late = "late" }, { topics = { "late" } })
    test:feed(at(100), at(209), at(199, "a"))
    test:feed(at(210), at(150, "late one", { headers = { h = "x" } }), at(205, "in time"))
    local late = {}
    for _, result in ipairs(test:results()) do
      if result.topic == "late" then late[#late + 1] = result end
    end
    assert.equal(1, #late)
    assert.same({ "150", "late one", 150 }, { late[1].value, late[1].key, late[1].timestamp })
    assert.same({ { "h", "x" } }, { { late[1].headers[1][1], late[1].headers[1][2] } })
    test = window { size = "100ms" }
    test:feed(at(100), at(300), at(150), at(150))
    assert.same({ "k 100-200 1" }, test:values())
    assert.equal(2, test:metrics()["script.window.late"])
  end)

  it("gives a result after each message where it is asked to", function()
    local test = window { size = "100ms", emit = "update", processes = 1 }
    test:feed(at(100), at(110), at(350))
    assert.same({ "k 100-200 1", "k 100-200 2", "k 300-400 1" }, test:values())
  end)

  it("rejects a message whose time is too far ahead, or has none, and closes nothing for it", function()
    local test = window { size = "100ms", max_ahead = "1min", time = "json:ts" }
    test:feed({ key = "k", value = '{"ts":100}' }, { key = "k", value = '{"ts":"9999-01-01T00:00:00Z"}' },
      { key = "k", value = '{"at":100}' })
    assert.rejects(test, { "has no time", "further ahead of the clock" })
    assert.same({}, test:values())
  end)

  it("rejects what its functions fail for, and what is no result", function()
    local test = window { size = "100ms", add = function(n, m)
      if m.value == "bad" then error "no number" end
      return count(n)
    end }
    test:feed(at(100), at(101, "k", { value = "bad" }), at(102), at(300, "z"))
    assert.same({ "k 100-200 2" }, test:values())
    assert.rejects(test, { "window_spec.lua:%d+: no number" })
    test = window { size = "100ms", result = function(n) return n end }
    test:feed(at(100), at(300, "z"))
    assert.rejects(test, { "window_spec.lua:%d+: the result of a window is a string, a table" })
    test = window { size = "100ms", add = function() end }
    test:feed(at(100))
    assert.rejects(test, { "window_spec.lua:%d+: add returned nil; it returns the new value of the window" })
  end)

  it("goes with an init, files of results, and functions behind it", function()
    local test = testing.steps { tide.window { size = "100ms", init = function() return { n = 10 } end, processes = 1,
      add = function(value)
        value.n = value.n + 1
        return value
      end,
      result = function(value) return { json = value, headers = { h = "1" }, topic = nil } end },
      tide.filter { function(m) return m.json.n ~= 12 end } }
    test:feed(at(100), at(300, "b"), at(301, "b"), at(900, "c"))
    assert.same({ '{"n":11}' }, test:values())
  end)

  it("names what is wrong with its options", function()
    local function has(words, options, late)
      local path = pipeline_file.write(([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, tide.window { add = print, %s },
  tide.file_sink { path = "-" }, state_dir = "s" }]]):format(options))
      local _, texts = require("tidemill.plan.plan").load(path, {})
      local text = table.concat(texts or {}, "\n")
      assert.is_truthy(text:find(words, 1, true), text .. tostring(late))
    end
    has('option "size": missing', "")
    has('option "gap": makes sessions', 'gap = 1, size = 2')
    has('option "every": is longer than size', 'size = 1, every = 2')
    has('option "every": each message would be in more than 1000 windows', 'size = "1d", every = "1s"')
    has('option "size": takes whole milliseconds', 'size = "1.5ms"')
    has('option "grace" = "-1s": too small, the least is 0s', 'size = 1, grace = "-1s"')
    has('option "init" = {...}: would be the same one each time', 'size = 1, init = {}')
    has('option "merge": missing', 'gap = 1, grace = 1')
    has('option "time" = "ts": must be "timestamp"', 'size = 1, time = "ts"')
    has('option "late" = "t": the topic is none of produce', 'size = 1, late = "t"')
    has('option "state": takes one name', 'size = 1, state = { "a", "b" }')
  end)

  -- ---- against a model ----

  -- What comes out of these messages, in the order of each partition: { text = how often }.
  local function model(messages, kind)
    local watermarks, open, results, late = {}, {}, {}, 0
    local function close(partition, until_ms)
      for key, list in pairs(open[partition]) do
        for i = #list, 1, -1 do
          if list[i][2] <= until_ms then
            local one = table.remove(list, i)
            local text = ("%s %d-%d %d"):format(key, one[1], one[2], one[3])
            results[text] = (results[text] or 0) + 1
          end
        end
      end
    end
    local function put(list, from, to)
      for _, one in ipairs(list) do
        if one[1] == from and one[2] == to then
          one[3] = one[3] + 1
          return
        end
      end
      list[#list + 1] = { from, to, 1 }
    end
    for _, m in ipairs(messages) do
      local before, t = watermarks[m.partition] or -math.huge, m.timestamp
      open[m.partition] = open[m.partition] or {}
      local list = open[m.partition][m.key] or {}
      open[m.partition][m.key] = list
      local taken = false
      if kind.gap then
        local from, to, n = t, t + kind.gap, 1
        for i = #list, 1, -1 do
          if list[i][1] < t + kind.gap and t < list[i][2] then
            local one = table.remove(list, i)
            from, to, n, taken = math.min(from, one[1]), math.max(to, one[2]), n + one[3], true
          end
        end
        taken = taken or to > before
        if taken then list[#list + 1] = { from, to, n } end
      else
        for from = math.floor(t / kind.every) * kind.every, t - kind.size + 1, -kind.every do
          if from + kind.size > before then
            put(list, from, from + kind.size)
            taken = true
          end
        end
      end
      late = late + (taken and 0 or 1)
      watermarks[m.partition] = math.max(before, t - kind.grace)
      close(m.partition, watermarks[m.partition])
    end
    return results, late
  end

  local function random_messages(n)
    local messages = {}
    for i = 1, n do
      messages[i] = { key = "k" .. math.random(20), value = "", partition = math.random(0, 1),
        timestamp = 1000 + i + math.random(-60, 60) * (math.random(5) == 1 and 4 or 1) }
    end
    return messages
  end

  local KINDS = {
    { size = 50, every = 50, grace = 30 }, { size = 40, every = 7, grace = 0 }, { gap = 25, grace = 60 },
    { gap = 200, grace = 0 },
  }

  local function ms(number) return number and number .. "ms" end

  it("has what a model has, whatever batches there are and whichever workers die", function()
    local drawn = seed.draw()
    for _, kind in ipairs(KINDS) do
      local messages = random_messages(3000)
      local test = window { size = ms(kind.size), every = ms(kind.every),
        gap = ms(kind.gap), grace = ms(kind.grace), merge = plus, crash_retries = 100, processes = 3,
        add = function(n)
          if math.random(1000) == 1 then ffi.C.kill(ffi.C.getpid(), 9) end
          return count(n)
        end }
      local i = 1
      while i <= #messages do
        local n = math.random(200)
        test:feed(unpack(messages, i, math.min(#messages, i + n - 1)))
        i = i + n
      end
      local found = {}
      for _, value in ipairs(test:values()) do found[value] = (found[value] or 0) + 1 end
      assert.same((model(messages, kind)), found, "seed " .. drawn)
      assert.same({}, test:rejects())
      test:close()
    end
  end)

  it("has it after kill -9 at each moment of a commit", function()
    local drawn = seed.draw()
    local messages, lines = random_messages(3000), {}
    for i, m in ipairs(messages) do
      m.partition = 0
      lines[i] = ('{"k":"%s","t":%d}\n'):format(m.key, m.timestamp)
    end
    local _, folder = pipeline_file.write([[
local tide = require "tidemill"
return tide.pipeline "windows" {
  tide.file_source { path = "in" },
  tide.window { gap = "25ms", grace = "60ms", by = "json:k", time = "json:t", processes = 2, max_batch_size = 20,
    add = function(n) return (n or 0) + 1 end, merge = function(a, b) return a + b end,
    result = function(n, w) return ("%s %d-%d %d"):format(w.key, w.from, w.to, n) end },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_messages = 50 } },
  state_dir = "state" }
]], { ["in"] = table.concat(lines) })
    local place = program.folder
    if place:sub(1, 1) ~= "/" then place = io.popen "pwd":read "*l" .. "/" .. place end
    local function run(faults)
      return (process.run { "/bin/sh", "-c", ('cd "%s" && TIDE_FAULTS="%s" exec "%s/tidemill" run p.lua'):format(folder,
        faults, place) })
    end
    local kills = 0 -- how many commits there are in a run depends on the machine
    for _, fault in ipairs { "store.begin=3:kill9", "store.put=30:kill9", "store.commit=2:kill9",
      "store.committed=1:kill9" } do kills = kills + (run(fault) == 137 and 1 or 0) end
    assert.is_true(kills >= 2, kills)
    assert.equal(0, run "")
    local found, expected = {}, {}
    for line in io.lines(folder .. "/out") do found[line] = true end
    for text in pairs((model(messages, { gap = 25, grace = 60 }))) do expected[text] = true end
    assert.same(expected, found, "seed " .. drawn)
  end)
end)
