-- SPDX-License-Identifier: MIT
-- The shared memory of tables: what a worker sees while the engine changes rows, and when memory is used again. Writer
-- and reader are one process here; in the last spec they are two.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
local seed = require "spec.support.seed"

pcall(ffi.cdef, "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int code);")

local MIB = 2 ^ 20

describe("a table", function()
  local tables, row

  local function open(bytes)
    tables = ffi.gc(C.tide_tables_new(2), C.tide_tables_free)
    row = ffi.new "struct tide_table_row"
    assert.equal(0, C.tide_tables_add(tables, "users", bytes or 8 * MIB))
    C.tide_tables_enter(tables, 0)
  end

  after_each(function()
    if tables then C.tide_tables_free(ffi.gc(tables, nil)) end
    tables = nil
  end)

  local function put(key, value) return C.tide_table_put(tables, 0, key, #key, value, value and #value or 0) end

  local function get(key)
    if not C.tide_table_find(tables, 0, key, #key, row) then return nil end
    return ffi.string(row.value, row.size)
  end

  local function view()
    local c = ffi.new "struct tide_table_view"
    C.tide_table_view(tables, 0, c)
    return c
  end

  local function publish()
    C.tide_tables_publish(tables)
    C.tide_tables_turn(tables)
  end

  it("a table shows what was published, and nothing before", function()
    open()
    assert.is_nil(get "a")
    put("a", "1")
    put("", "empty key")
    put("empty", "")
    assert.is_nil(get "a")
    assert.equal(0, C.tide_table_rows(tables, 0))
    publish()
    assert.same({ "1", "empty key", "", 3 }, { get "a", get "", get "empty", C.tide_table_rows(tables, 0) })
    put("a", nil)
    assert.equal("1", get "a")
    publish()
    assert.is_nil(get "a")
    assert.equal(2, C.tide_table_rows(tables, 0))
  end)

  it("a table stays as it is for a message, whatever happens meanwhile; the next one sees it all", function()
    open()
    for i = 1, 50 do put("k" .. i, "old") end
    publish()
    C.tide_tables_begin(tables)
    for round = 1, 20 do
      for i = 1, 50 do put("k" .. i, i % 2 == 0 and "new" .. round or nil) end
      for i = 1, 200 do put("more" .. round .. "-" .. i, "x") end
      publish()
    end
    for i = 1, 50 do assert.equal("old", get("k" .. i)) end
    assert.is_nil(get "more1-1")
    C.tide_tables_refresh(tables)
    for i = 1, 50 do assert.equal(i % 2 == 0 and "new20" or nil, get("k" .. i)) end
    assert.equal("x", get "more20-200")
    C.tide_tables_end(tables)
  end)

  it("a table's memory is used again once no job can read it, and not before", function()
    open()
    local function rewrite()
      for round = 1, 30 do
        for i = 1, 100 do assert.equal(0, put("k" .. i, ("%d"):format(round):rep(2000):sub(1, 2000 + round % 3))) end
        publish()
      end
    end
    rewrite()
    local after_once = tonumber(view().memory)
    rewrite()
    assert.is_true(tonumber(view().memory) <= after_once + 65536, tostring(view().memory))
    C.tide_tables_begin(tables)
    rewrite()
    assert.is_true(tonumber(view().memory) > after_once + 4 * MIB, tostring(view().memory))
    C.tide_tables_end(tables)
  end)

  it("a table that is full of rows which a job may read says so, and goes on when the job has ended", function()
    open(MIB)
    local value = ("x"):rep(10000)
    for i = 1, 50 do assert.equal(0, put("k" .. i, value)) end
    publish()
    C.tide_tables_begin(tables)
    local status, count = 0, 0
    while status == 0 do
      status = put("k" .. count % 50 + 1, value .. count)
      publish()
      count = count + 1
    end
    assert.equal(C.TIDE_BUSY, status)
    C.tide_tables_worker_ended(tables, 0) -- as when the worker dies in its job
    publish()
    assert.equal(0, put("k1", value .. "again"))
    publish()
    C.tide_tables_end(tables)
    assert.equal(value .. "again", get "k1")
  end)

  it("a table that is full of rows is an error that names the limit, and stays as it was", function()
    open(MIB)
    local status, count = 0, 0
    while status == 0 do
      count = count + 1
      status = put("k" .. count, ("x"):rep(10000))
      publish()
    end
    assert.equal(C.TIDE_ECONFIG, status)
    assert.equal(('table "users": its %d rows fill the memory of max_bytes = 1 MiB; raise max_bytes'):format(count - 1),
      ffi.string(C.tide_error()))
    assert.equal(("x"):rep(10000), get("k" .. count - 1))
    assert.equal(0, put("k1", nil))
  end)

  it("a table says at once that a key is too long, and that its memory cannot be had", function()
    open()
    assert.equal(C.TIDE_EDATA, put(("k"):rep(MIB + 1), "x"))
    assert.equal(0, put(("k"):rep(MIB), "x"))
    assert.equal(C.TIDE_ECONFIG, C.tide_tables_add(tables, "huge", 2 ^ 62))
    assert.truthy(ffi.string(C.tide_error()):find('table "huge": no address space', 1, true))
  end)

  it("a table has what a plain model has after any changes, seen by readers of different ages", function()
    seed.draw()
    local random = math.random
    open(32 * MIB)
    local model, seen = {}, {}
    local keys = 2000
    for step = 1, 30000 do
      local key = "key-" .. random(keys)
      local value = random(4) > 1 and (key .. ":" .. step):rep(random(5)) or nil
      assert.equal(0, put(key, value))
      model[key] = value
      if random(50) == 1 then publish() end
      if random(400) == 1 then
        C.tide_tables_end(tables)
        publish()
        C.tide_tables_begin(tables)
        seen = {}
        for name, text in pairs(model) do seen[name] = text end
      end
      if step % 20 == 0 and next(seen) then
        local asked = "key-" .. random(keys)
        assert.equal(seen[asked], get(asked))
      end
    end
    C.tide_tables_end(tables)
    publish()
    local rows = 0
    for i = 1, keys do
      assert.equal(model["key-" .. i], get("key-" .. i))
      rows = rows + (model["key-" .. i] and 1 or 0)
    end
    assert.equal(rows, tonumber(C.tide_table_rows(tables, 0)))
  end)

  -- Each value says its key, and all values of a round are published at once: a reader that finds two rounds in one
  -- message, or bytes of another row, has read what it must not.
  it("a table is read soundly by another process while it is written", function()
    open(16 * MIB)
    local KEYS, ROUNDS = 64, 1500
    local function value_of(key, round) return ("%d:%d:"):format(round, key):rep(1 + (round + key) % 40) end
    for key = 1, KEYS do put("k" .. key, value_of(key, 0)) end
    publish()
    local pids = {}
    for worker = 0, 1 do
      local pid = ffi.C.fork()
      if pid == 0 then
        C.tide_tables_enter(tables, worker)
        local jobs, last = 0, -1
        while last < ROUNDS do
          C.tide_tables_begin(tables)
          for message = 1, 3 do
            local round
            for key = 1, KEYS do
              local value = get("k" .. key)
              local number = value and tonumber(value:match "^%d+")
              if key % 7 == 0 and not value then number = round end -- deleted in odd rounds
              if not number or round and number ~= round or value and value ~= value_of(key, number) then
                io.stderr:write(("key %d, round %s: %s\n"):format(key, tostring(round), tostring(value):sub(1, 200)))
                ffi.C._exit(1)
              end
              round = number
            end
            if round < last then ffi.C._exit(2) end
            last = round
            if message < 3 then C.tide_tables_refresh(tables) end
          end
          C.tide_tables_end(tables)
          jobs = jobs + 1
        end
        ffi.C._exit(0)
      end
      pids[#pids + 1] = pid
    end
    for round = 1, ROUNDS do
      for key = 1, KEYS do
        local deleted = key % 7 == 0 and round % 2 == 1
        local value = not deleted and value_of(key, round) or nil
        while put("k" .. key, value) == C.TIDE_BUSY do C.tide_tables_turn(tables) end
      end
      publish()
    end
    for _, pid in ipairs(pids) do
      local status = ffi.new "int[1]"
      assert.equal(pid, ffi.C.waitpid(pid, status, 0))
      assert.equal(0, status[0])
    end
  end)
end)
