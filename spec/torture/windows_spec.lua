-- SPDX-License-Identifier: MIT
-- The part "windows" of `make torture`: its judgement (scripts/torture/windows.lua, checker.lua) finds each kind of
-- fault, and nothing in a good run. The short form on a real Kafka is spec/kafka/windows_spec.lua.
local cjson = require "cjson"
local process = require "spec.support.process"
local program = require "spec.support.program"
local behaviour = require "scripts.torture.behaviour"
local torture_case = require "spec.support.torture_case"
local windows = require "scripts.torture.windows"

local COUNT, PARTITIONS = 5000, 3

describe("the judgement of windows under torture", function()
  local case, truth

  local function dead_letter(id, input)
    return torture_case.dead_letter(input, (next(behaviour.REASONS[behaviour.of(id)])))
  end

  local function result(window)
    return { key = window.key, partition = window.partition, offset = 0, timestamp = 0, headers = {},
      from = window.from, value = cjson.encode { key = window.key, from = window.from,
        to = window.from + behaviour.WINDOW_MS, value = { n = window.n, sum = window.sum } } }
  end

  -- What a good run leaves.
  before_each(function()
    case = torture_case.new(COUNT, PARTITIONS)
    truth = windows.truth(case.input)
    case.windows = truth
    for id, input in ipairs(case.input) do
      if truth.late[id] then
        table.insert(case.second, input)
      elseif behaviour.REASONS[behaviour.of(id)] then
        table.insert(case.dead_letters, dead_letter(id, input))
      end
    end
    for _, window in pairs(truth.closed) do table.insert(case.output, result(window)) end
    table.sort(case.output, function(a, b) return a.from < b.from end)
  end)

  local function finds(wanted) return torture_case.finds(case, wanted) end

  it("finds nothing in a good run, which has closed and open windows, and late messages", function()
    assert.same({}, finds({}):failures())
    assert.is_true(#case.output > 500 and #case.second > 50 and next(truth.open) ~= nil)
  end)

  -- Others close before a later message of their key, if there were no timers.
  it("is of many windows that only a timer closes", function()
    local newest, watermark, count = {}, {}, 0
    for id, input in ipairs(case.input) do
      watermark[input.key] = (newest[input.partition] or 0) - behaviour.GRACE_MS
      newest[input.partition] = math.max(newest[input.partition] or 0, behaviour.time(id))
    end
    for _, window in pairs(truth.closed) do
      if window.from + behaviour.WINDOW_MS > watermark[window.key] then count = count + 1 end
    end
    assert.is_true(count > 50, count)
  end)

  -- Three messages of a key in two minutes, then one that is rejected, and one that is late.
  it("takes a message as late by the times of those before it, and leaves out what is rejected", function()
    local function time(id) return id == 83 and 200000 or id * 30000 end
    local real = behaviour.time
    behaviour.time = time -- luacheck: ignore
    local input = {}
    for i, id in ipairs { 1, 2, 3, 83, 1 } do
      input[i] = { key = "a", value = id .. ":text", partition = 0, offset = i }
    end
    local small = windows.truth(input)
    behaviour.time = real -- luacheck: ignore
    assert.same({ [1] = true }, small.late)
    assert.same({ [0] = 200000 }, small.newest)
    assert.same({}, small.open)
    assert.equal(1, small.closed["a 0"].n)
    assert.equal(2, small.closed["a 60000"].n)
  end)

  it("sees a window that has not closed", function()
    table.remove(case.output)
    finds { lost = 1 }
  end)

  it("sees a window that closes twice, which it may in at_least_once with the same value", function()
    table.insert(case.output, case.output[9])
    assert.same({ "duplicated" }, finds({ duplicated = 1 }):failures())
    case.mode, case.disturbances = "at_least_once", 1
    assert.same({}, finds({ duplicated = 1 }):failures())
  end)

  it("sees a window that comes in parts", function()
    local whole = case.output[9]
    local parts = cjson.decode(whole.value)
    parts.value.n = parts.value.n - 1
    whole.value = cjson.encode(parts)
    finds { wrong_count = 1 }
    parts.value.n, parts.value.sum = 1, 7
    table.insert(case.output, 10, { key = whole.key, partition = whole.partition, offset = 0, timestamp = 0,
      headers = {}, value = cjson.encode(parts) })
    finds { wrong_count = 2, duplicated = 1 }
  end)

  it("sees a window that closes before the one before it of its key, or in another partition", function()
    -- The earliest window of a key that has a later one: which window is the first of all differs between runs.
    local of_key, at, second = {}, nil, nil
    for i = #case.output, 1, -1 do
      local key = case.output[i].key
      if of_key[key] then at, second = i, of_key[key] end
      of_key[key] = i
    end
    local first = case.output[at]
    case.output[at], case.output[second] = case.output[second], first
    finds { wrong_order = 1 }
    first.partition = 7
    finds { wrong_order = 1, misplaced = 1 }
  end)

  it("sees a window that is still open, and one of nothing", function()
    local open
    for name, window in pairs(truth.all) do open = not truth.closed[name] and window or open end
    table.insert(case.output, result(open))
    table.insert(case.output, result { key = "x", from = 0, partition = 0, n = 1, sum = 1 })
    table.insert(case.output, { key = "x", value = "text", partition = 0, headers = {} })
    finds { unknown = 3 }
  end)

  it("sees a late message that is lost, comes twice, is changed, or was not late", function()
    local late = table.remove(case.second)
    finds { lost = 1 }
    table.insert(case.second, late)
    table.insert(case.second, late)
    finds { duplicated = 1 }
    case.second[#case.second] = case.input[1]
    finds { wrong_outcome = 1 }
    table.remove(case.second)
    case.second[#case.second] = setmetatable({ key = "x" }, { __index = late })
    finds { wrong_payload = 1 }
  end)

  it("sees a dead letter of a late message, of one that is in a window, and of a timer", function()
    local id = next(truth.late)
    local one = dead_letter(83, case.input[id])
    table.insert(case.dead_letters, one)
    finds { wrong_outcome = 1 }
    one.value = nil
    finds { unknown = 1 }
    local other = case.input[1]
    one.value, one.key, one.headers = other.value, other.key, dead_letter(97, other).headers
    finds { misattributed = 1 }
  end)

  local function check_pipeline(lanes)
    local words = { program.path, "check", "scripts/torture/pipeline.lua", "--set", "keyed=windows", "--set",
      "lanes=" .. lanes }
    for _, name in ipairs { "brokers", "input", "group", "output", "second", "dead_letters", "state_dir" } do
      words[#words + 1] = "--set"
      words[#words + 1] = name .. "=" .. name
    end
    local code, out, err = process.run(words, { env = { TORTURE_JOURNAL = "/dev/null", TORTURE_RUN = "a" } })
    assert.equal(0, code, out .. err)
  end

  it("takes nothing as late behind lanes", function()
    local behind = windows.truth(case.input, true)
    assert.same({}, behind.late)
    assert.is_true(next(behind.closed) ~= nil and next(behind.open) ~= nil)
  end)

  it("is of pipelines that can run", function()
    for _, lanes in ipairs { "", "yes" } do check_pipeline(lanes) end
  end)

  -- The value of a key, as the engine keeps it.
  local function open_windows(key)
    local list = {}
    for name, window in pairs(truth.all) do
      if window.key == key and not truth.closed[name] then
        list[#list + 1] = { window.from, window.from + behaviour.WINDOW_MS, { n = window.n, sum = window.sum } }
      end
    end
    table.sort(list, function(a, b) return a[1] < b[1] end)
    return list
  end

  it("takes open windows and newest times from a changelog, and the former from a folder", function()
    local records, lines, key = {}, {}, next(truth.open)
    for one in pairs(truth.open) do
      local list = open_windows(one)
      table.insert(records, { key = one, partition = 0, value = "json 0 5 99\n" .. cjson.encode(list) })
      table.insert(lines, cjson.encode { state = "window", key = one, value = list })
    end
    table.insert(records, { key = "closed", partition = 0, value = 'json 0 5 99\n[[0,60000,{"n":1,"sum":1}]]' })
    table.insert(records, { key = "closed", partition = 0 })
    table.insert(records, { key = "\0by", partition = 0, value = "string 0 0\nkey" })
    for partition, newest in pairs(truth.newest) do
      table.insert(records, { key = "\0watermark", partition = partition,
        value = ("number 0 5\n%.0f"):format(newest) })
    end
    assert.same({}, windows.judge_changelog(truth, "window", records))
    assert.same({}, windows.judge_export(truth, "state of x", table.concat(lines, "\n")))
    records[#records].value = "number 0 5\n7"
    truth.open[key] = "another"
    local wrong = windows.judge_changelog(truth, "window", records)
    assert.equal(2, #wrong)
    assert.is_truthy(wrong[1]:find("changelog of window: .* of " .. key .. ", not another"))
    assert.is_truthy(wrong[2]:find("changelog of window, newest time of partitions: 7 of %d, not %d+"))
    assert.equal(1, #windows.judge_export(truth, "state of x", table.concat(lines, "\n")))
  end)
end)
