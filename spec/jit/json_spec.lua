-- SPDX-License-Identifier: MIT
-- The JSON view compiles into the worker's loop: no aborts, and compiled or not, the results are the same.
local jit_util = require("jit.util")
local vmdef = require("jit.vmdef")
local block = require("spec.support.block")
local json = require("tidemill.run.json").public
local number = require("tidemill.run.number")

-- busted gives specs globals through several tables, which is no part of a transform's loop
local tostring, type = tostring, type

local COUNT = 2000

local function events()
  local values = {}
  for i = 1, COUNT do
    values[i] = ('{"id":%d,"level":"%s","value":%d.%d,"tags":{"host":"web-%d"},"items":[1,{"id":%d}],"ok":%s}'):format(
      i, i % 10 == 0 and "debug" or "info", i, i % 10, i % 7, i, tostring(i % 2 == 0))
  end
  return values
end

-- No failures: the trace is begun again elsewhere, at a loop of the transform for one.
local postponed = { ["return to lower frame"] = true, ["inner loop in root trace"] = true,
  ["leaving loop in root trace"] = true }

-- Runs `fn` over the events `times` times: the aborts of traces that began in the loop, and how many were compiled.
local function traced(fn, times)
  local input, loop = block.new(events()), block.loop(fn)
  local aborts, traces, began = {}, 0, ""
  local function where(proto, pc)
    return jit_util.funcinfo(proto, pc).loc or "?"
  end
  local function on_trace(what, _, proto, pc, other, extra)
    if what == "start" then
      began = where(proto, pc)
    elseif what == "stop" then
      traces = traces + 1
    elseif what == "abort" then
      local reason = type(other) == "number" and vmdef.traceerr[other] or tostring(other)
      reason = reason:gsub("%%[sd]", tostring(extra))
      if began:match "^%(loop%)" and not postponed[(reason:gsub("^NYI: ", ""))] then
        aborts[#aborts + 1] = began .. " " .. where(proto, pc) .. " " .. reason
      end
    end
  end
  jit.flush()
  jit.opt.start("maxmcode=8192", "sizemcode=256", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")
  jit.attach(on_trace, "trace")
  for _ = 1, times do input:run(loop) end
  jit.attach(on_trace)
  return aborts, traces, input:values()
end

-- The results when nothing is compiled.
local function interpreted(fn)
  jit.flush()
  jit.off()
  local values = block.new(events()):run(block.loop(fn)):values()
  jit.on()
  return values
end

local cases = {
  ["the job of the benchmark"] = function(message)
    local event = message.json
    if event.level == "debug" then return nil end
    event.v, event.value = event.value * 2, nil
    event.seen = true
    return message
  end,
  ["reading only"] = function(message)
    local event = message.json
    if event.tags.host == "web-3" or event.items[2].id % 5 == 0 then return nil end
    return message
  end,
  ["strings, booleans and nested edits"] = function(message)
    local event = message.json
    event.tags.host = event.tags.host .. ".example"
    event.ok = not event.ok
    event.items[1] = nil
    event.items[3] = event.id
    return message
  end,
  ["walking"] = function(message)
    local event, sum = message.json, 0
    for i = 1, #event.items do
      if type(event.items[i]) == "number" then sum = sum + event.items[i] end
    end
    for key in json.each(event) do sum = sum + #key end
    event.sum = sum
    return message
  end,
  ["reading the value after an edit"] = function(message)
    message.json.x = 1
    return message.value
  end,
}

describe("the loop with a JSON view", function()
  for name, fn in pairs(cases) do
    it("the loop with a JSON view compiles without an abort: " .. name, function()
      local plain = interpreted(fn) -- first: a C function that was never called ends the trace that calls it
      local aborts, traces, values = traced(fn, 20)
      assert.same({}, aborts)
      assert.is_true(traces >= 1)
      for i = 1, COUNT do assert.equal(plain[i], values[i]) end
    end)
  end

  it("the loop with a JSON view compiles a number as a key and as text, int64 too", function()
    number.install()
    local function fn(message)
      local event = message.json
      message.key = event.id
      event.name = json.text(event.value) .. "-" .. json.text(event.id)
      local large = 9007199254740993LL + event.id
      event.large = tostring(large)
      event.joined = "user-" .. large
      return message
    end
    local plain = interpreted(fn)
    local aborts, traces, values = traced(fn, 20)
    assert.same({}, aborts)
    assert.is_true(traces >= 1)
    assert.truthy(plain[7]:find('"name":"7.7-7","large":"9007199254741000","joined":"user-9007199254741000"', 1, true))
    for i = 1, COUNT do assert.equal(plain[i], values[i]) end
  end)

  it("the loop with a JSON view goes on compiled around assigned tables, which are C functions", function()
    local aborts, traces, values = traced(function(message)
      local event = message.json
      event.list = { event.id, event.tags }
      return message
    end, 20)
    assert.same({}, aborts)
    assert.is_true(traces >= 1)
    assert.truthy(values[7]:find('"list":[7,{"host":"web-0"}]', 1, true))
  end)

  it("the loop with plain tables goes on compiled around tide.json.table and encode, which are C functions", function()
    local function fn(message)
      local event = json.table(message.value)
      if event.level == "debug" then return nil end
      event.v, event.value = event.value * 2, nil
      return json.encode(event)
    end
    local plain = interpreted(fn)
    local aborts, traces, values = traced(fn, 20)
    assert.same({}, aborts)
    assert.is_true(traces >= 1)
    for i = 1, COUNT do assert.equal(plain[i], values[i]) end
  end)

  it("the loop with a JSON view copies nothing of a value that was only read", function()
    local _, _, values = traced(cases["reading only"], 2)
    assert.equal("=", values[1])
    assert.is_nil(values[3])
  end)
end)
