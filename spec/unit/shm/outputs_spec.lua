-- SPDX-License-Identifier: MIT
-- Output blocks (shm/outputs.h): whose they are, which one is taken, and which have pages.
local ffi = require "ffi"
local child = require "spec.support.child"
local C = require("spec.support.headers").declare("shm/block.h", "shm/outputs.h")

local KIB, PAGE, SIGSEGV = 1024, 4096, 11
local outputs

local function new(slots, blocks, max)
  outputs = ffi.gc(C.tide_outputs_new(10, slots, blocks, max or 64 * KIB), C.tide_outputs_free)
end

-- Takes a block of slot 10 + index, and fills it with so many bytes.
local function take(index, bytes)
  local block = C.tide_outputs_take(outputs, 10 + index)
  ffi.fill(block.output, 64 + (bytes or 0), 1)
  C.tide_outputs_filled(outputs, block, bytes or 0)
  return block
end

local function give_back(block, size)
  C.tide_outputs_give_back(outputs, block, size or 64 * KIB)
end

local function memory(index)
  return tonumber(C.tide_block_memory(C.tide_outputs_memory(outputs, index)))
end

local function all_memory()
  local sum, index = 0, 0
  while C.tide_outputs_memory(outputs, index) ~= nil do
    sum = sum + memory(index)
    index = index + 1
  end
  return sum
end

describe("output blocks", function()
  after_each(function()
    child.stop_all()
    outputs = nil
    collectgarbage()
  end)

  it("output blocks lie in the memory of their slot, which says whose it is", function()
    new(2, 3)
    for index = 0, 1 do
      local whole = C.tide_outputs_memory(outputs, index)
      assert.equal(10 + index, whole.worker)
      for _ = 1, index == 0 and 2 or 1 do
        local at = ffi.cast("char *", take(index).output)
        assert.is_true(at >= whole.data and at + 64 + 64 * KIB <= whole.data + whole.max)
      end
    end
    assert.is_true(C.tide_outputs_memory(outputs, 2) == nil)
  end)

  it("output blocks have pages up to a bound, and beyond it only as long as they are taken", function()
    new(2, 3)
    C.tide_outputs_bound(outputs, 2)
    local taken = { take(0, 32 * KIB), take(0, 32 * KIB), take(1, 32 * KIB) }
    local three = all_memory()
    for _, block in ipairs(taken) do give_back(block) end
    assert.equal(three * 2 / 3, all_memory())
    for _ = 1, 3 do give_back(take(1, 32 * KIB)) give_back(take(0, 32 * KIB)) end
    assert.equal(three * 2 / 3, all_memory())
  end)

  it("output blocks that are taken at once do not overlap, the readable bytes behind them included", function()
    new(1, 20, 5000)
    local starts = {}
    for i = 1, 20 do starts[i] = tonumber(ffi.cast("uintptr_t", take(0).output)) end
    table.sort(starts)
    for i = 2, 20 do assert.is_true(starts[i] - starts[i - 1] >= 64 + 5000 + C.TIDE_BLOCK_TAIL) end
  end)

  it("output blocks are taken again last in, first out, so that no more pages are touched than are needed", function()
    new(1, 8)
    for _ = 1, 50 do
      local one, two = take(0, 30000), take(0, 30000)
      give_back(one)
      give_back(two)
      assert.is_true(take(0) == two)
      give_back(two)
    end
    assert.is_true(memory(0) <= 2 * 9 * PAGE)
  end)

  it("output blocks have no more pages, over all slots, than the batches of the step could fill", function()
    new(4, 3)
    math.randomseed(1)
    for _ = 1, 200 do
      local taken = {}
      local index = math.random(0, 3)
      for i = 1, math.random(1, 3) do taken[i] = take(index, 64 * KIB - 64) end
      for _, block in ipairs(taken) do give_back(block) end
      assert.is_true(all_memory() <= 3 * (64 * KIB + PAGE), "all slots have " .. all_memory())
    end
  end)

  it("output blocks keep the pages of the size that they are given back with", function()
    new(1, 2, 1024 * KIB)
    give_back(take(0, 1000 * KIB), 100 * KIB)
    assert.is_true(memory(0) <= 100 * KIB + 2 * PAGE and memory(0) >= 100 * KIB)
    C.tide_outputs_trim(outputs, 10 * KIB)
    assert.is_true(memory(0) <= 10 * KIB + 2 * PAGE)
  end)

  it("output blocks that a worker touched without being given them are seen, and given back when it is gone", function()
    new(2, 6, 4096 * KIB)
    local block = take(0, 4000 * KIB)
    assert.is_false(C.tide_outputs_exceeded(outputs, 10))
    local whole = C.tide_outputs_memory(outputs, 0)
    ffi.fill(whole.data, whole.max, 7)
    assert.is_true(C.tide_outputs_exceeded(outputs, 10))
    assert.is_false(C.tide_outputs_exceeded(outputs, 11))
    C.tide_outputs_recover(outputs, 10)
    assert.is_false(C.tide_outputs_exceeded(outputs, 10))
    assert.is_true(memory(0) <= 4096 * KIB + 2 * PAGE)
    assert.equal(7, ffi.cast("char *", block.output)[100]) -- what is taken stays
  end)

  it("output blocks that a worker left are out of reach of the next one, until they are given back", function()
    new(1, 3)
    local left, free = take(0, 20 * KIB), take(0, 20 * KIB)
    give_back(free)
    C.tide_outputs_recover(outputs, 10)
    local function spoil(byte)
      assert.equal(0, (child.run(function()
        ffi.fill(left.output, 64 + 64 * KIB, byte)
        ffi.fill(free.output, 64 + 64 * KIB, byte)
        os.exit(0)
      end)))
    end
    spoil(7)
    local bytes, others = ffi.cast("uint8_t *", left.output), ffi.cast("uint8_t *", free.output)
    assert.same({ 1, 1, 0, 7 }, { bytes[0], bytes[20 * KIB], bytes[30 * KIB], others[0] })
    C.tide_outputs_recover(outputs, 10) -- the next one is gone, too
    assert.equal(1, bytes[0])
    give_back(left)
    left = take(0)
    spoil(8)
    assert.equal(8, ffi.cast("uint8_t *", left.output)[20 * KIB])
  end)

  it("output blocks are not there in a worker that they are not of", function()
    new(2, 2)
    local mine, other = take(0), take(1)
    local code, signal = child.run(function()
      C.tide_block_reserve(C.tide_outputs_memory(outputs, 1))
      mine.output.progress = 5
      other.output.progress = 6
    end)
    assert.is_nil(code)
    assert.equal(SIGSEGV, signal)
    assert.equal(5, tonumber(mine.output.progress))
    assert.is_true(other.output.progress ~= 6)
  end)

  it("output blocks that would be too large are a failure", function()
    assert.is_true(C.tide_outputs_new(0, 2, 2, 2 ^ 61) == nil)
    C.tide_outputs_free(nil)
  end)
end)
