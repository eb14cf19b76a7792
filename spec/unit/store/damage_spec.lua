-- SPDX-License-Identifier: MIT
-- A store whose file was damaged anywhere is refused, or holds all that it held: never anything else, and no crash.
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local files = require "spec.house.files"
local seed = require "spec.support.seed"
local C = library.C

local DAMAGES, KEYS, PAGE = tonumber(os.getenv "TIDE_DAMAGES") or 300, 400, 4096

describe("a damaged store", function()
  local folder, path
  local anchor = {} -- texts that structs point to

  -- In memory: each commit is synced, which takes a disk most of the time of this spec.
  before_each(function()
    local name = os.tmpname()
    os.remove(name)
    folder = "/dev/shm/" .. name:match "[^/]+$"
    path = folder .. "/data.mdb"
    seed.draw()
  end)

  after_each(function() os.execute("rm -rf " .. folder) end)

  local function write(text)
    local file = assert(io.open(path, "wb"))
    file:write(text)
    file:close()
  end

  local function key(name, partition)
    anchor[name] = name
    return ffi.new("struct tide_store_key", { 1, partition, name, #name })
  end

  -- Puts and deletes some values, some of them long, some with a timer, and a position.
  local function change(store, round)
    assert.equal(0, C.tide_store_begin(store))
    for _ = 1, KEYS / 4 do
      local name = ("key %03d"):format(math.random(KEYS)):rep(math.random(3))
      local text = ("%d %s"):format(round, ("v"):rep(math.random() < 0.02 and 9000 or math.random(100)))
      local kind = C.TIDE_STATE_STRING
      if math.random() < 0.3 then
        kind = kind + C.TIDE_STATE_TIMED
        text = ffi.string(ffi.new("int64_t[1]", math.random(1e6)), 8) .. text
      end
      local value = ffi.new("struct tide_store_value", { 0, kind, #text, text })
      local status = math.random() < 0.2 and C.tide_store_delete(store, key(name, 0))
        or C.tide_store_put(store, key(name, math.random(0, 2)), value)
      assert(status == 0, library.error())
    end
    local position = ffi.new("struct tide_store_position", { round, 7, 8 })
    assert.equal(0, C.tide_store_put_position(store, "input", 1, position))
    assert.equal(0, C.tide_store_commit(store), library.error())
  end

  local function open()
    local store = C.tide_store_open(folder, "p", 0)
    if store == nil then return nil end
    C.tide_store_has_timers(store, 1)
    return store
  end

  -- All that a store holds, as a text.
  local function dump(store)
    local list, value = {}, ffi.new "struct tide_store_value"
    local walk = ffi.new("struct tide_store_walk", { state = 1 })
    while C.tide_store_next(store, walk, value) == 1 do
      local name, found = ffi.string(walk.bytes, walk.key.length), ffi.new "struct tide_store_value"
      local text = ffi.string(value.bytes, value.length)
      list[#list + 1] = ("%d %s %d %s"):format(walk.key.partition, name, value.kind, text)
      assert(C.tide_store_get(store, key(name, walk.key.partition), found) == 1, library.error())
      assert(text == ffi.string(found.bytes, found.length))
    end
    for partition = 0, 2 do
      local timer = ffi.new "struct tide_store_timer"
      while C.tide_store_next_timer(store, 1, partition, timer) == 1 do
        local name = ffi.string(timer.key, timer.key_length)
        anchor[name] = name
        timer.key = anchor[name]
        list[#list + 1] = ("timer %d %d %s"):format(partition, tonumber(timer.at), name)
      end
    end
    local position = ffi.new "struct tide_store_position"
    local found = C.tide_store_get_position(store, "input", 1, position)
    list[#list + 1] = ("position %d %d"):format(found, tonumber(position.offset))
    return table.concat(list, "\n")
  end

  local function overwrite(text, at, bytes)
    return text:sub(1, at) .. bytes .. text:sub(at + #bytes + 1)
  end

  local function random_bytes(count)
    local list = {}
    for i = 1, count do list[i] = string.char(math.random(0, 255)) end
    return table.concat(list)
  end

  local function a_page(text) return math.random(0, #text / PAGE - 1) * PAGE end

  local DAMAGE = {
    function(text) return overwrite(text, math.random(0, #text - 1), random_bytes(1)) end,
    function(text) -- the numbers at the beginning of a page
      return overwrite(text, a_page(text) + math.random(0, 200), random_bytes(math.random(2)))
    end,
    function(text) return overwrite(text, math.random(0, 2 * PAGE - 1), random_bytes(1)) end,
    function(text) return overwrite(text, math.random(0, #text - 300), random_bytes(math.random(300))) end,
    function(text) return overwrite(text, a_page(text), ("\0"):rep(PAGE)) end,
    function(text)
      local from = a_page(text)
      return overwrite(text, a_page(text), text:sub(from + 1, from + PAGE))
    end,
    function(text) return text:sub(1, math.random(0, #text - 1)) end,
  }

  it("is refused, or holds all of one of its last two transactions, and can be gone on with", function()
    local store = assert(open(), library.error())
    assert.equal(0, C.tide_store_state(store, "counts", "key", ffi.new "uint32_t[1]"))
    local before
    for round = 1, 12 do
      before = dump(store)
      change(store, round)
    end
    local right = dump(store)
    C.tide_store_close(store)
    local text, refused, whole = files.read(path), 0, 0
    for number = 1, DAMAGES do
      local damaged = DAMAGE[number % #DAMAGE + 1](text)
      write(damaged)
      store = open()
      if not store then
        refused = refused + 1
        assert.equal(C.TIDE_EDATA, C.tide_failure(), library.error())
        assert.is_truthy(library.error():find("is damaged (", 1, true), library.error())
      else
        whole = whole + 1
        local held = dump(store)
        assert.is_true(held == right or held == before or #damaged == 0, "damage " .. number)
        change(store, 100)
        held = dump(store)
        C.tide_store_close(store)
        store = assert(open(), library.error())
        assert.equal(held, dump(store))
        C.tide_store_close(store)
      end
    end
    print(("%d damages: %d refused, %d without harm"):format(DAMAGES, refused, whole))
    assert.is_true(refused > DAMAGES / 3 and whole > DAMAGES / 20)
  end)

  -- LMDB leaves pages at the end of its file unwritten that a transaction took and gave back.
  it("is none where its file ends before pages that were never written", function()
    local store = assert(open(), library.error())
    assert.equal(0, C.tide_store_state(store, "counts", "key", ffi.new "uint32_t[1]"))
    for round = 1, 4 do change(store, round) end
    assert.equal(0, C.tide_store_begin(store))
    local long = ("v"):rep(200000)
    local value = ffi.new("struct tide_store_value", { 0, C.TIDE_STATE_STRING, #long, long })
    assert.equal(0, C.tide_store_put(store, key("long", 0), value), library.error())
    assert.equal(0, C.tide_store_delete(store, key("long", 0)), library.error())
    assert.equal(0, C.tide_store_commit(store), library.error())
    local held = dump(store)
    C.tide_store_close(store)
    local text = files.read(path)
    local function last_page(at) return tonumber(ffi.cast("const uint64_t *", text:sub(at + 137, at + 144))[0]) end
    assert.is_true(#text / PAGE <= math.max(last_page(0), last_page(PAGE)))
    store = assert(open(), library.error())
    assert.equal(held, dump(store))
    C.tide_store_close(store)
  end)

  -- What is below the root of such a store is divided among threads (store_check.c).
  it("is refused where it is large, too", function()
    local COUNT, LENGTH = 30000, 500
    local store = assert(open(), library.error())
    assert.equal(0, C.tide_store_state(store, "counts", "key", ffi.new "uint32_t[1]"))
    assert.equal(0, C.tide_store_begin(store))
    for i = 1, COUNT do
      local name = ("key %05d"):format(i)
      local text = name .. ("v"):rep(LENGTH - #name)
      local value = ffi.new("struct tide_store_value", { 0, C.TIDE_STATE_STRING, LENGTH, text })
      local place = ffi.new("struct tide_store_key", { 1, 0, name, #name })
      assert.equal(0, C.tide_store_put(store, place, value))
    end
    assert.equal(0, C.tide_store_commit(store), library.error())
    C.tide_store_close(store)

    -- LMDB leaves copies where no entry is. A value that the file has once is that of an entry.
    local text, places, values = files.read(path), {}, {}
    assert.is_true(#text / PAGE > 4096)
    for name, at in text:gmatch "(key %d%d%d%d%d)()vvv" do places[name] = places[name] and "several" or at end
    for _, at in pairs(places) do values[#values + 1] = at ~= "several" and at or nil end
    table.sort(values) -- so that TIDE_SEED repeats a run
    local file = assert(io.open(path, "r+b"))
    file:setvbuf "no"
    local function put(place, byte)
      file:seek("set", place - 1)
      file:write(byte)
    end
    local function count(opened)
      local walk, held = ffi.new("struct tide_store_walk", { state = 1 }), 0
      while C.tide_store_next(opened, walk, ffi.new "struct tide_store_value") == 1 do held = held + 1 end
      C.tide_store_close(opened)
      return held
    end
    for _ = 1, 20 do
      local place = values[math.random(#values)] + math.random(0, 99)
      put(place, "w")
      assert.is_nil((open()))
      assert.is_truthy(library.error():find("(the checksum of a value is wrong)", 1, true), library.error())
      put(place, "v")
    end
    file:close()
    assert.equal(COUNT, count(assert(open(), library.error())))
  end)
end)
