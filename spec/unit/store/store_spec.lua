-- SPDX-License-Identifier: MIT
-- engine/store: values, positions and their transactions.
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local pipeline_file = require "spec.support.pipeline_file"
local C = library.C

describe("the store", function()
  local store, folder
  local anchor = {} -- texts that structs point to

  local function open(dir, pipeline, map)
    local opened = C.tide_store_open(dir, pipeline or "p", map or 0)
    return opened ~= nil and opened or nil
  end

  before_each(function()
    folder = pipeline_file.folder() .. "/state"
    store = assert(open(folder))
  end)

  after_each(function()
    C.tide_store_close(store)
    store = nil
    pipeline_file.remove_all()
  end)

  local function key(bytes, partition, state)
    anchor[#anchor + 1] = bytes
    return ffi.new("struct tide_store_key", { state or 1, partition or 0, bytes, #bytes })
  end

  local function put(name, value, expires, partition)
    local new = ffi.new("struct tide_store_value", { expires or 0, C.TIDE_STATE_STRING, #value, value })
    return C.tide_store_put(store, key(name, partition), new)
  end

  local function get(name, partition, state)
    local value = ffi.new "struct tide_store_value"
    local found = C.tide_store_get(store, key(name, partition, state), value)
    assert.is_true(found >= 0, library.error())
    return found == 1 and ffi.string(value.bytes, value.length) or nil
  end

  local function put_timed(name, at, expires)
    local bytes = ffi.string(ffi.new("int64_t[1]", at), 8) .. "v"
    anchor[#anchor + 1] = bytes
    local kind = C.TIDE_STATE_STRING + C.TIDE_STATE_TIMED
    return C.tide_store_put(store, key(name), ffi.new("struct tide_store_value", { expires or 0, kind, #bytes, bytes }))
  end

  -- The timers of partition 0, as { "time key", ... }.
  local function timers()
    local list, timer = {}, ffi.new "struct tide_store_timer"
    while true do
      local found = C.tide_store_next_timer(store, 1, 0, timer)
      assert.is_true(found >= 0, library.error())
      if found == 0 then return list end
      local name = ffi.string(timer.key, timer.key_length)
      anchor[#anchor + 1] = name
      list[#list + 1], timer.key = tonumber(timer.at) .. " " .. name, name
    end
  end

  local function reopen()
    C.tide_store_close(store)
    store = assert(open(folder), library.error())
  end

  it("goes through the values of a state, by partition and key, from any place on", function()
    local store_of = require "tidemill.run.store"
    assert.equal(0, C.tide_store_begin(store))
    for _, entry in ipairs { { "b", 0 }, { "", 0 }, { "a", 7 }, { ("k"):rep(C.TIDE_STORE_KEY), 0 }, { "", 3 },
      { "z", -1 } } do
      assert.equal(0, put(entry[1], entry[1]:sub(1, 1), 0, entry[2]))
    end
    assert.equal(0, C.tide_store_put(store, key("other", 0, 2), ffi.new("struct tide_store_value", { 0, 1, 1, "o" })))
    assert.equal(0, C.tide_store_commit(store))
    for name, by in pairs { s = "key", ["a.b-c"] = "json:x, by y" } do
      assert.equal(0, C.tide_store_state(store, name, by, ffi.new "uint32_t[1]"))
    end
    C.tide_store_close(store)
    local look = assert(store_of.look(folder, "p"))
    local function seen(partition)
      local list = {}
      assert(look:each({ number = 1 }, partition, function(of, name, value)
        list[#list + 1] = of .. name:sub(1, 2) .. "=" .. ffi.string(value.bytes, value.length)
      end))
      return list
    end
    assert.same({ "0=", "0b=b", "0kk=k", "3=", "7a=a", "-1z=z" }, seen())
    assert.same({ { "3=" }, {}, { "7a=a" } }, { seen(3), seen(4), seen(7) })
    assert.same({ 0, 3, 7, -1 }, look:partitions { number = 1 })
    assert.same({ {}, { 0 } }, { look:partitions { number = 3 }, look:partitions { number = 2 } })
    local names = {}
    for _, state in ipairs(look:states()) do names[state.name] = state.by end
    assert.same({ s = "key", ["a.b-c"] = "json:x, by y" }, names)
    assert.is_nil((store_of.look(folder, "other")))
    assert.equal("z", ffi.string(look:get({ number = 1 }, -1, "z").bytes, 1))
    assert.is_false(look:get({ number = 1 }, -1, "y"))
    assert.is_nil(open(folder)) -- who reads keeps engines away
    look:free()
    assert.is_true(store_of.empty(folder, "p"))
    store = assert(open(folder, "another")) -- nothing is left of it, nor whose it was
    assert.is_nil(get "b")
  end)

  it("drops a state with its timers and its place in its changelog, however large it is, and nothing else", function()
    local store_of = require "tidemill.run.store"
    local states, number = {}, ffi.new "uint32_t[1]"
    for _, name in ipairs { "gone", "kept" } do
      assert.equal(0, C.tide_store_state(store, name, "key", number))
      states[name] = { name = name, number = number[0] }
      C.tide_store_has_timers(store, number[0])
    end
    local timed = ffi.string(ffi.new("int64_t[1]", 5), 8) .. "v"
    local plain = ffi.new("struct tide_store_value", { 0, C.TIDE_STATE_STRING, 1, "v" })
    local kind = C.TIDE_STATE_STRING + C.TIDE_STATE_TIMED
    local with_timer = ffi.new("struct tide_store_value", { 0, kind, #timed, timed })
    assert.equal(0, C.tide_store_begin(store))
    for name, state in pairs(states) do
      for i = 1, name == "gone" and 60000 or 3 do
        local bytes = "k" .. i
        local at = ffi.new("struct tide_store_key", state.number, i % 3 - 1, bytes, #bytes)
        assert.equal(0, C.tide_store_put(store, at, i % 1000 == 1 and with_timer or plain))
      end
      for _, partition in ipairs { 0, 7 } do
        assert.equal(0, C.tide_store_put_position(store, "p." .. name .. ".changelog", partition,
          ffi.new("struct tide_store_position", { 9 })))
      end
    end
    assert.equal(0, C.tide_store_put_position(store, "t", 0, ffi.new("struct tide_store_position", { 4 })))
    assert.equal(0, C.tide_store_commit(store))
    assert.is_nil((store_of.drop(folder, "p", states.gone, "p.gone.changelog"))) -- an engine has it
    C.tide_store_close(store)
    assert.is_nil((store_of.drop(folder, "other", states.gone)))
    assert.is_true(store_of.drop(folder, "p", states.gone, "p.gone.changelog"))
    assert.is_true(store_of.drop(folder, "p", states.gone)) -- there is nothing left of it
    local look = assert(store_of.look(folder, "p"))
    assert.same({ {}, { 0, 1, -1 } }, { look:partitions(states.gone), look:partitions(states.kept) })
    assert.equal(1, #look:states())
    assert.same({ -1, -1, 9, 9, 4 }, { look:position("p.gone.changelog", 0), look:position("p.gone.changelog", 7),
      look:position("p.kept.changelog", 0), look:position("p.kept.changelog", 7), look:position("t", 0) })
    look:free()
    store = assert(open(folder))
    local timer = ffi.new "struct tide_store_timer"
    assert.same({ 0, 1 }, { C.tide_store_next_timer(store, states.gone.number, 0, timer),
      C.tide_store_next_timer(store, states.kept.number, 0, timer) })
  end)

  it("says that another topic needs another name of the pipeline, and another pipeline another folder", function()
    local dir = folder .. "-k"
    local first = assert(open(dir, "p, with the changelog of t"))
    C.tide_store_close(first)
    local function refused(owner)
      assert.is_nil(open(dir, owner))
      return library.error():match "name another.*$"
    end
    assert.equal("name another folder, and the pipeline otherwise: its changelogs are those of the other topic",
      refused "p, with the changelog of u")
    assert.equal("name another folder", refused "p")
    assert.equal("name another folder", refused "pp, with the changelog of t")
  end)

  it("lists the timers of values in the order of their times, and those alone that their values have", function()
    local long = ("x"):rep(C.TIDE_STORE_KEY)
    C.tide_store_has_timers(store, 1)
    C.tide_store_begin(store)
    for name, at in pairs { a = 300, b = 2 ^ 40, [long] = 1, d = 300, gone = 7, moved = 8, [""] = 5, over = 6 } do
      assert.equal(0, put_timed(name, at, name == "over" and 100 or 0))
    end
    put("plain", "v")
    assert.equal(0, C.tide_store_commit(store))
    C.tide_store_begin(store)
    assert.equal(0, C.tide_store_delete(store, key "gone"))
    assert.equal(0, put_timed("moved", 9))
    assert.equal(0, put("d", "without"))
    assert.equal(0, C.tide_store_sweep(store, 100, 100))
    assert.equal(0, C.tide_store_commit(store))
    local expected = { "1 " .. long, "5 ", "9 moved", "300 a", "1099511627776 b" }
    assert.same(expected, timers())
    local function count() return tonumber(C.tide_store_timers(store, 1)) end
    assert.equal(5, count())
    C.tide_store_begin(store)
    assert.equal(0, put_timed("other", 3))
    assert.equal(6, count())
    C.tide_store_rollback(store)
    assert.equal(5, count())
    reopen()
    assert.same(expected, timers())
    assert.equal(0, C.tide_store_has_timers(store, 1)) -- they are counted
    assert.equal(5, count())
  end)

  it("gives back what a transaction has put, also after it was closed, and by state, partition and key", function()
    local long = ("x"):rep(C.TIDE_STORE_KEY)
    assert.equal(0, C.tide_store_begin(store))
    assert.equal(0, put("a", "1"))
    assert.equal(0, put("a", "2", 0, -1))
    assert.equal(0, put(long, ("v"):rep(C.TIDE_STORE_VALUE)))
    assert.equal(0, put("", ""))
    assert.equal(0, C.tide_store_commit(store))
    for _ = 1, 2 do
      assert.same({ "1", "2", "" }, { get "a", get("a", -1), get "" })
      assert.equal(C.TIDE_STORE_VALUE, #get(long))
      assert.is_nil(get("a", 1))
      assert.is_nil(get("a", 0, 2))
      reopen()
    end
    C.tide_store_begin(store)
    assert.equal(0, C.tide_store_delete(store, key "a"))
    assert.equal(0, C.tide_store_delete(store, key "none"))
    C.tide_store_commit(store)
    assert.same({ [2] = "2" }, { get "a", get("a", -1) })
  end)

  it("knows whether a copy may be torn: the machine has ended since it was opened, and it was not closed", function()
    C.tide_store_close(store)
    local function open_copy()
      store = C.tide_store_open_copy(folder, "p")
      assert(store ~= nil, library.error())
    end
    local function mark(text)
      local file = io.open(folder .. "/unsynced", text and "w" or "r")
      if file and text then file:write(text) end
      if file then file:close() end
      return file ~= nil
    end
    open_copy()
    C.tide_store_begin(store)
    put("a", "1")
    assert.equal(0, C.tide_store_commit(store))
    assert.is_true(mark())
    C.tide_store_close(store)
    assert.is_false(mark())
    open_copy()
    assert.equal("1", get "a")
    for _, text in ipairs { "another start\n", "" } do
      C.tide_store_begin(store)
      put("a", "1")
      C.tide_store_commit(store)
      C.tide_store_close(store)
      mark(text)
      local status = ffi.new "int[1]"
      assert.is_true(C.tide_store_look(folder, "p", status) == nil)
      assert.equal(C.TIDE_ENOINPUT, status[0])
      open_copy()
      assert.is_nil(get "a")
    end
    C.tide_store_close(store)
    mark(io.open("/proc/sys/kernel/random/boot_id"):read "*a") -- as after kill -9
    open_copy()
  end)

  it("sorts changes in the order in which it goes through them, those of one key by their numbers", function()
    require("spec.support.seed").draw()
    local list = ffi.new("struct tide_store_order[?]", 400)
    for i = 0, 399 do
      local bytes = {}
      for j = 1, math.random(0, 3) do bytes[j] = string.char(math.random(0, 1) * 255, math.random(97, 98)) end
      list[i].key, list[i].index = key(table.concat(bytes), math.random(-1, 2), math.random(2)), i
    end
    C.tide_store_sort(list, 400)
    C.tide_store_begin(store)
    for i = 0, 399 do
      local new = ffi.new("struct tide_store_value", { list[i].index + 1, C.TIDE_STATE_STRING, 0, "" })
      assert.equal(0, C.tide_store_put(store, list[i].key, new))
    end
    assert.equal(0, C.tide_store_commit(store))
    local value, at = ffi.new "struct tide_store_value", 0
    for state = 1, 2 do
      local walk = ffi.new("struct tide_store_walk", { state = state })
      while C.tide_store_next(store, walk, value) == 1 do
        while at + 1 < 400 and C.tide_store_is_same(list[at], list[at + 1]) do
          assert.is_true(list[at].index < list[at + 1].index)
          at = at + 1
        end
        assert.equal(list[at].index + 1, tonumber(value.expires_ms))
        assert.equal(ffi.string(list[at].key.bytes, list[at].key.length), ffi.string(walk.key.bytes, walk.key.length))
        at = at + 1
      end
    end
    assert.equal(400, at)
  end)

  it("keeps nothing of a transaction that was not committed", function()
    C.tide_store_begin(store)
    put("a", "1")
    C.tide_store_commit(store)
    C.tide_store_begin(store)
    put("a", "2")
    put("b", "2")
    reopen()
    assert.same({ "1" }, { get "a", get "b" })
  end)

  it("keeps positions by input and partition", function()
    local position = ffi.new("struct tide_store_position", { 42, 7, 8 })
    local read = ffi.new "struct tide_store_position"
    C.tide_store_begin(store)
    C.tide_store_put_position(store, ("/path"):rep(500), 3, position)
    C.tide_store_commit(store)
    reopen()
    assert.equal(1, C.tide_store_get_position(store, ("/path"):rep(500), 3, read))
    assert.same({ 42, 7, 8 }, { tonumber(read.offset), tonumber(read.mark), tonumber(read.bytes) })
    assert.equal(0, C.tide_store_get_position(store, ("/path"):rep(500), 4, read))
    assert.equal(0, C.tide_store_get_position(store, "/path", 3, read))
  end)

  it("grows its map: the transaction begins again, and loses nothing", function()
    C.tide_store_close(store)
    store = assert(open(folder, "p", 262144))
    local busy = 0
    local status
    repeat
      status = C.tide_store_begin(store)
      for i = 1, 500 do status = status == 0 and put("k" .. i, ("v"):rep(2000)) or status end
      if status == 0 then status = C.tide_store_commit(store) end
      if status == C.TIDE_BUSY then busy = busy + 1 end
    until status ~= C.TIDE_BUSY
    assert.equal(0, status, library.error())
    assert.is_true(busy >= 2)
    for i = 1, 500 do assert.equal(2000, #get("k" .. i)) end
  end)

  it("sweeps values that have expired, going round", function()
    C.tide_store_begin(store)
    for i = 1, 100 do put(("k%03d"):format(i), "v", i % 2 == 0 and 1000 or i % 3 == 0 and 2000 or 0) end
    C.tide_store_commit(store)
    local function sweep(now)
      C.tide_store_begin(store)
      assert.equal(0, C.tide_store_sweep(store, now, 30))
      C.tide_store_commit(store)
      local left = 0
      for i = 1, 100 do left = left + (get(("k%03d"):format(i)) and 1 or 0) end
      return left
    end
    assert.is_true(sweep(1000) > 50)
    for _ = 1, 5 do sweep(1000) end
    assert.equal(50, sweep(1000))
    for _ = 1, 5 do sweep(2000) end
    assert.equal(33, sweep(2000))
  end)

  it("is refused to a second engine, and to another pipeline", function()
    assert.is_nil(open(folder))
    assert.equal(("state_dir %s: another engine has it"):format(folder), library.error())
    C.tide_store_close(store)
    store = open(folder, "q")
    assert.is_nil(store)
    assert.equal(C.TIDE_ECONFIG, C.tide_failure())
    assert.is_nil(open("/proc/none"))
    assert.is_truthy(library.error():find("state_dir /proc/none: cannot make it", 1, true))
  end)

  it("without a folder is gone when it is closed", function()
    C.tide_store_close(store)
    store = assert(open(nil))
    C.tide_store_begin(store)
    put("a", "1")
    C.tide_store_commit(store)
    assert.equal("1", get "a")
    C.tide_store_close(store)
    store = assert(open(nil))
    assert.is_nil(get "a")
  end)
end)
