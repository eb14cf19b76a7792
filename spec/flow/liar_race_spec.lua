-- SPDX-License-Identifier: MIT
-- A worker that changes its blocks while the engine reads them, at random: whatever comes of its own messages, those of
-- its neighbours are whole and the engine goes on. TIDE_SEED repeats what it writes, not when.
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/results.h")
local flow = require "spec.support.flow"
local seeds = require "spec.support.seed"
local tide = require "tidemill"
local testing = require "tidemill.testing"
local liar = require "spec.support.liar"
local pipeline_file = require "spec.support.pipeline_file"
require "spec.support.child" -- declares getpid

pcall(ffi.cdef, "void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset);")

local SIZE, BATCHES = 300, 60 -- more records than are parsed at once (TIDE_PARSED_MESSAGES)
local COUNT = SIZE * BATCHES
local ODD = { 0, 1, 2, 7, 8, 39, 40, 41, 48, 64, 127, 128, 255, 256, 4096, 65535, 2 ^ 31 - 1, 2 ^ 31, 2 ^ 32 - 8,
  2 ^ 32 - 1 }
local TASK = "strategies.run_task_with_multiprocessing."

local HONEST, LIVES, GATE, MOST_LIVES = COUNT, COUNT + 1, COUNT + 2, 8

-- Words that all processes share: which process ran a message last, LIAR = one that lies; which process never lies; how
-- many have lied.
local shared = ffi.cast("int32_t *", ffi.C.mmap(nil, 4 * (COUNT + 3), 3, 0x21, -1, 0))
local LIAR = -1

-- Changes words of memory from `first` on; some of them twice, so that the engine may see both.
local function spoil(first, words, times)
  local at = ffi.cast("uint32_t *", first)
  for _ = 1, times do
    local place = math.random(0, words - 1)
    local before = at[place]
    at[place] = ODD[math.random(#ODD)]
    if math.random(3) == 1 then at[place] = before end
  end
end

-- Blocks of the same worker that it has filled before; some of them wait to be forwarded.
local function spoil_earlier(own)
  for _, range in ipairs(liar.mappings()) do
    if range.writable then
      for block = range.first, range.first + 20 * (65536 + 4096), 65536 + 4096 do
        if block ~= own and block + 65536 < range.last then spoil(block, 4096, 20) end
      end
    end
  end
end

-- What a message with headers of its own becomes.
local function result_of(m)
  return { value = m.value .. "!", key = "k" .. m.value, headers = { { "a", m.value }, { "b", ("h"):rep(20) } } }
end

describe("a worker that lies while the engine reads", function()
  local test, seed

  setup(function()
    seed = seeds.draw()
  end)
  after_each(function()
    if test then test:close() end
    test = nil
  end)

  -- One worker is honest; the others call `lie(output, count)` at each message that they run, but for the later ones.
  local function start(lie)
    local is_liar, count = nil, 0
    shared[HONEST], shared[LIVES] = 0, 0
    local function first_of_all()
      local own = ffi.C.getpid()
      if shared[HONEST] == 0 then shared[HONEST] = own end
      -- Not before there is one that lies, who would have nothing left to do on a busy machine.
      while shared[HONEST] == own and shared[LIVES] == 0 do liar.pause(1) end
      is_liar = shared[HONEST] ~= own and shared[LIVES] < MOST_LIVES
      if is_liar then shared[LIVES] = shared[LIVES] + 1 end
      math.randomseed(seed + shared[LIVES])
    end
    test = testing.steps { tide.run_task_with_multiprocessing { function(m)
      if count == 0 then first_of_all() end
      count = count + 1
      shared[tonumber(m.value)] = is_liar and LIAR or ffi.C.getpid()
      if is_liar then lie(liar.found("job").output, count) end
      return result_of(m)
    end, processes = 2, prefetch_batches = 1, max_batch_size = SIZE, eager = false, max_batch_time = 3600,
      output_block_size = "64KiB", max_output_block_size = "64KiB" } }
  end

  local function feed()
    local values = {}
    for i = 1, COUNT do values[i] = tostring(i - 1) end
    for at = 1, COUNT, 3000 do test:feed(unpack(values, at, math.min(at + 2999, COUNT))) end
  end

  -- Each message that another process ran last is there once, with all that belongs to it.
  local function check_neighbours()
    local by_value, honest = {}, 0
    for _, result in ipairs(test:results()) do
      if result.value then by_value[result.value] = (by_value[result.value] or 0) + 1 end
    end
    for i = 0, COUNT - 1 do
      if shared[i] ~= LIAR then
        honest = honest + 1
        assert.equal(1, by_value[i .. "!"], ("TIDE_SEED=%d: message %d"):format(seed, i))
      end
    end
    local totals = test:totals()
    assert.equal(COUNT, totals.read)
    assert.equal(COUNT, totals.produced_from + totals.filtered + totals.dead_lettered + totals.dropped)
    return honest
  end

  it("a worker that lies while the engine reads spoils no neighbour: words at random in all of its blocks", function()
    start(function(output, count)
      spoil(output, 4096, 3)
      if count % 50 == 0 then spoil_earlier(tonumber(ffi.cast("uintptr_t", output))) end
    end)
    feed()
    assert.is_true(check_neighbours() > 0)
    assert.is_true(test:metrics()[TASK .. "worker.lost{cause=protocol}"] > 0)
  end)

  it("a worker that lies while the engine reads spoils no neighbour: it spares what says how far it is", function()
    start(function(output, count)
      local results = ffi.cast("char *", output) + 64
      if count % 10 == 0 then spoil(results, 4096, 10) end
      if count % 50 == 0 then spoil_earlier(tonumber(ffi.cast("uintptr_t", output))) end
    end)
    feed()
    assert.is_true(check_neighbours() > 0)
  end)

  -- User code that runs in the zygote after it has loaded: a finalizer, in the collection before it begins to serve.
  local LYING = [[
    local ffi = require "ffi"
    local C = require("tidemill.run.ffi").C
    local liar = require "spec.support.liar"
    local function lie()
      for _, fields in ipairs {
        { kind = C.TIDE_ZYGOTE_EXITED, worker = 0, generation = 1, pid = 1 },
        { kind = C.TIDE_ZYGOTE_SPAWNED, worker = 0, generation = 7, pid = 1 },
        { kind = C.TIDE_ZYGOTE_EXITED, worker = 4000, generation = 1, pid = 1 },
        { kind = C.TIDE_ZYGOTE_LOADED },
        { kind = 99 },
      } do
        local event = ffi.new("struct tide_zygote_event", fields)
        liar.send_first(event, ffi.sizeof(event))
      end
      liar.send_first(ffi.new "char[30000]", 30000)
    end
    return {
      init = function() ffi.gc(ffi.new "char[8]", lie) end,
      process = function(m) return m.value .. "!" end,
    }
  ]]

  it("a zygote that lies is not believed, and the engine goes on: consumer.zygote.violation", function()
    local folder = pipeline_file.folder()
    local file = assert(io.open(folder .. "/t.lua", "w"))
    file:write(LYING)
    file:close()
    test = testing.transform(folder .. "/t.lua")
    test:feed("a", "b"):finish()
    assert.same({ "a!", "b!" }, test:values())
    assert.equal(6, test:metrics()["consumer.zygote.violation"])
    assert.equal(0, test:metrics()[TASK .. "worker.lost{cause=protocol}"])
    pipeline_file.remove_all()
  end)

  -- The sink takes nothing, so the engine stands between two portions of a batch: its structs and headers change then.
  it("a worker that lies while the engine reads is found in the middle of a batch, whose rest is run again", function()
    shared[GATE] = 0
    local run = flow.new { steps = { { function(m)
      if m.value == "spoils" and shared[GATE] < 3 then
        while shared[GATE] < 2 do liar.pause(1) end
        for _, range in ipairs(liar.mappings()) do
          if range.writable and range.last - range.first > 65536 then
            ffi.fill(ffi.cast("char *", range.first) + 64, 60000, 0x41)
          end
        end
        shared[GATE] = 3
      end
      return result_of(m)
    end, max_batch_size = SIZE, eager = false, auto = false, max_batch_time = 3600, output_block_size = 65536,
      max_output_block_size = 65536 } } }
    test = run
    run.close = run.free
    C.tide_memory_block(run.sink, true)
    local values = {}
    for i = 1, 2 * SIZE do values[i] = i == SIZE + 1 and "spoils" or tostring(i) end
    for _, value in ipairs(values) do run:push { value = value } end
    run:start()
    run:turn_until(function() return run:metric(1, "BATCH_BACKPRESSURE").count > 0 end)
    shared[GATE] = 2
    run:turn_until(function() return shared[GATE] == 3 end)
    C.tide_memory_block(run.sink, false)
    assert.equal("done", run:finish().kind)
    assert.equal(1, run:metric(1, "WORKER_VIOLATION_RESULTS").count)
    local results = run:results()
    assert.equal(2 * SIZE, #results)
    -- The values of what was parsed before are the liar's own matter, its headers are the engine's by then.
    for i, result in ipairs(results) do
      assert.equal(values[i], result.headers[1][2])
      if i >= C.TIDE_PARSED_MESSAGES then assert.equal(values[i] .. "!", result.value) end
    end
  end)
end)
