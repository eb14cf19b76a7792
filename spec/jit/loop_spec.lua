-- SPDX-License-Identifier: MIT
-- The loop over a block compiles together with the user's function: traces are asserted, not hoped for.
local ffi = require("ffi")
local jit_util = require("jit.util")
local C = require("tidemill.run.ffi").C
local fuse = require("tidemill.run.fuse")
local result = require("tidemill.run.result")
local vmdef = require("jit.vmdef")
local function_steps = require("tidemill.run.function_steps")

local COUNT = 4000

-- An input block with COUNT records, as chain/batch.c lays them out.
local function input_block()
  local size = ffi.sizeof "struct tide_record"
  local block = ffi.new("char[?]", COUNT * (size + 128))
  local at = 0
  for i = 0, COUNT - 1 do
    local value, key = ('{"id":%d,"level":"%s","v":%d}'):format(i, i % 10 == 0 and "debug" or "info", i * 2), "key" .. i
    local record = ffi.cast("struct tide_record *", block + at)
    record.size = bit.band(size + #value + #key + 7, bit.bnot(7))
    record.offset, record.timestamp, record.partition = i, 1000 + i, 0
    record.value_length, record.key_length = #value, #key
    record.target_topic, record.target_partition = C.TIDE_TOPIC_NONE, C.TIDE_PARTITION_ANY
    ffi.copy(block + at + size, value, #value)
    ffi.copy(block + at + size + #value, key, #key)
    at = at + record.size
  end
  return block
end

-- A trace from the entry of the loop's function (hot by chance: counters are shared by hash) ends at the loop, which
-- compiles by itself: no abort that counts.
-- Runs the loop over the block `times` times; returns the aborts inside the loop or `fn`, the loops compiled, and
-- the bytes of results.
local function traced(fn, times)
  local input, most = input_block(), COUNT * 512
  local memory = ffi.new("char[?]", 64 + most)
  local output = ffi.cast("struct tide_output *", memory)
  local loop = fuse.loop { fn, where = { "spec" } }
  local aborts, loops, began = {}, 0, ""
  local function where(fn_or_proto, pc)
    local info = jit_util.funcinfo(fn_or_proto, pc)
    return info.loc or "?"
  end
  local function on_trace(what, _, fn_or_proto, pc, other, extra)
    if what == "start" then
      began = where(fn_or_proto, pc)
    elseif what == "abort" then
      local reason = type(other) == "number" and vmdef.traceerr[other] or tostring(other)
      reason = reason:gsub("%%[sd]", tostring(extra))
      -- A trace that began in the loop; the return behind its end is no part of it.
      local entry = began == jit_util.funcinfo(loop).loc and reason:match "inner loop in root trace"
      if began:match "^%(loop%)" and not entry and not reason:match "return to lower frame" then
        aborts[#aborts + 1] = began .. " " .. where(fn_or_proto, pc) .. " " .. reason
      end
    elseif what == "stop" then
      loops = loops + 1
    end
  end
  jit.flush()
  jit.opt.start("maxmcode=8192", "maxtrace=4000", "maxrecord=16000", "maxirconst=4000")
  jit.attach(on_trace, "trace")
  for _ = 1, times do
    result.open(output, most, most)
    assert(loop(ffi.cast("const struct tide_record *", input), 0, COUNT))
  end
  jit.attach(on_trace)
  return aborts, loops, tonumber(output.progress / 0x100000000ULL), memory
end

describe("the fused loop", function()
  it("the fused loop compiles identity without an abort", function()
    local aborts, loops, bytes = traced(function(m) return m end, 20)
    assert.same({}, aborts)
    assert.is_true(loops >= 1)
    assert.equal(COUNT * ffi.sizeof "struct tide_result", bytes)
  end)

  it("the fused loop compiles reading and writing value and key", function()
    local aborts, loops, bytes = traced(function(m)
      if m.key == "key7" then return nil end
      m.value = m.value .. "!"
      return m
    end, 20)
    assert.same({}, aborts)
    assert.is_true(loops >= 1)
    assert.is_true(bytes > COUNT * ffi.sizeof "struct tide_result")
  end)

  it("the fused loop compiles a new value as a string", function()
    local aborts, loops = traced(function(m) return m.value end, 20)
    assert.same({}, aborts)
    assert.is_true(loops >= 1)
  end)

  it("the fused loop compiles around lua-cjson (C functions are stitched)", function()
    local cjson = require("cjson")
    local aborts, loops = traced(function(m)
      local event = cjson.decode(m.value)
      if event.level == "debug" then return nil end
      event.v = event.v * 2
      return cjson.encode(event)
    end, 20)
    assert.same({}, aborts)
    assert.is_true(loops >= 1)
  end)

  local function step(kind, fn)
    local function load_entry() return { process = fn, where = "spec" } end
    return function_steps.load({ kind = kind, of = fn }, load_entry, error).process
  end

  it("the fused loop compiles filter", function()
    local aborts, loops = traced(step("filter", function(m) return m.key ~= "key7" end), 20)
    assert.same({}, aborts)
    assert.is_true(loops >= 1)
  end)

  it("the fused loop compiles unfold: two results of each message", function()
    local aborts, loops, bytes = traced(step("unfold", function(m) return { m, m.value } end), 20)
    -- The loop over the results compiles by itself; the one around it cannot contain it.
    for _, abort in ipairs(aborts) do assert.matches("inner loop in root trace", abort) end
    assert.is_true(loops >= 1)
    assert.is_true(bytes > 2 * COUNT * ffi.sizeof "struct tide_result")
  end)

  it("the fused loop does what it compiled: the results are those of the interpreter", function()
    local function fn(m)
      if m.offset % 3 == 0 then return nil end
      return m.value .. m.timestamp
    end
    local _, _, bytes, memory = traced(fn, 5)
    local compiled = ffi.string(memory + 64, bytes)
    jit.off(true, true)
    jit.off()
    local _, _, again, plain = traced(fn, 1)
    jit.on()
    assert.equal(bytes, again)
    assert.is_true(compiled == ffi.string(plain + 64, again))
  end)
end)
