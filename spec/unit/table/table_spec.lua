-- SPDX-License-Identifier: MIT
-- The shared memory of tables: what a worker sees while the engine changes rows, and when memory is used again. Writer
-- and reader are one process here; in the last spec they are two.
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C
local seed = require "spec.support.seed"
local wait = require "spec.support.wait"

pcall(ffi.cdef, "int fork(void); int waitpid(int pid, int *status, int options); void _exit(int code);")
pcall(ffi.cdef, [[
int socketpair(int domain, int type, int protocol, int *fds);
ssize_t send(int fd, const void *bytes, size_t size, int flags);
ssize_t recv(int fd, void *bytes, size_t size, int flags);
]])

local MIB = 2 ^ 20

describe("a table", function()
  local tables, row, turn, began

  local function open(bytes)
    tables, turn, began = ffi.gc(C.tide_tables_new(), C.tide_tables_free), 1, nil
    row = ffi.new "struct tide_table_row"
    assert.equal(0, C.tide_tables_add(tables, "users", bytes or 8 * MIB))
  end

  -- A job begins in this turn, and ends: as the engine knows of it.
  local function begin_job()
    C.tide_tables_refresh(tables)
    began = turn
  end

  local function end_job()
    C.tide_tables_end(tables)
    began = nil
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

  -- What was put is published, and the next turn begins.
  local function publish()
    C.tide_tables_publish(tables)
    turn = turn + 1
    C.tide_tables_turn(tables, turn)
    C.tide_tables_collect(tables, began or 2 ^ 62)
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
    begin_job()
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
    end_job()
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
    begin_job()
    rewrite()
    assert.is_true(tonumber(view().memory) > after_once + 4 * MIB, tostring(view().memory))
    end_job()
  end)

  it("a table that is full of rows which a job may read says so, and goes on when the job has ended", function()
    open(MIB)
    local value = ("x"):rep(10000)
    for i = 1, 50 do assert.equal(0, put("k" .. i, value)) end
    publish()
    begin_job()
    local status, count = 0, 0
    while status == 0 do
      status = put("k" .. count % 50 + 1, value .. count)
      publish()
      count = count + 1
    end
    assert.equal(C.TIDE_BUSY, status)
    end_job()
    publish()
    assert.equal(0, put("k1", value .. "again"))
    publish()
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
        end_job()
        publish()
        begin_job()
        seen = {}
        for name, text in pairs(model) do seen[name] = text end
      end
      if step % 20 == 0 and next(seen) then
        local asked = "key-" .. random(keys)
        assert.equal(seen[asked], get(asked))
      end
    end
    end_job()
    publish()
    local rows = 0
    for i = 1, keys do
      assert.equal(model["key-" .. i], get("key-" .. i))
      rows = rows + (model["key-" .. i] and 1 or 0)
    end
    assert.equal(rows, tonumber(C.tide_table_rows(tables, 0)))
  end)

  local KEYS, ROUNDS = 64, 1500

  local function value_of(key, round) return ("%d:%d:"):format(round, key):rep(1 + (round + key) % 40) end

  -- In a worker: the round that all rows are of.
  local function read_round()
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
    return round
  end

  -- A worker, with a socket as between engine and workers: jobs of three messages, and a report of each.
  local function fork_worker()
    local ends, job, last = ffi.new "int[2]", ffi.new "char[1]", -1
    assert.equal(0, ffi.C.socketpair(1, 5, 0, ends)) -- SOCK_SEQPACKET
    local pid = ffi.C.fork()
    if pid > 0 then return { pid = pid, socket = ends[0], jobs = 0 } end
    while last < ROUNDS do
      ffi.C.recv(ends[1], job, 1, 0)
      for _ = 1, 3 do
        C.tide_tables_refresh(tables)
        local round = read_round()
        if round < last then ffi.C._exit(2) end
        last = round
      end
      C.tide_tables_end(tables)
      ffi.C.send(ends[1], job, 1, 0)
    end
    ffi.C._exit(0)
  end

  -- A turn: who has reported is given the next job, in this round. Returns the round of the job that is oldest now.
  local function look_at(workers, round)
    local oldest = round
    publish()
    began = 2 ^ 62
    for _, worker in ipairs(workers) do
      local reported = worker.began and ffi.C.recv(worker.socket, ffi.new "char[1]", 1, 0x40) == 1 -- MSG_DONTWAIT
      if reported or not worker.began then
        ffi.C.send(worker.socket, "j", 1, 0x4000) -- MSG_NOSIGNAL
        worker.began, worker.round, worker.jobs = turn, round, worker.jobs + 1
      end
      began, oldest = math.min(began, worker.began), math.min(oldest, worker.round)
    end
    return oldest
  end

  -- Each value says its key, and all values of a round are published at once: a reader that finds two rounds in one
  -- message, or bytes of another row, has read what it must not.
  it("a table is read soundly by another process while it is written", function()
    open(16 * MIB)
    for key = 1, KEYS do put("k" .. key, value_of(key, 0)) end
    publish()
    local workers = { fork_worker(), fork_worker() }
    for round = 1, ROUNDS do
      -- A worker that gets no core keeps the rows of its job. If the writer went on without regard to it, the table
      -- could be full of them, and the writer done before the worker has had its jobs.
      wait.until_true(function() return round - look_at(workers, round) < 300 end, "a worker's report")
      for key = 1, KEYS do
        local deleted = key % 7 == 0 and round % 2 == 1
        assert.equal(0, put("k" .. key, not deleted and value_of(key, round) or nil))
      end
    end
    for _, worker in ipairs(workers) do
      local status = ffi.new "int[1]"
      while ffi.C.waitpid(worker.pid, status, 1) == 0 do look_at(workers, ROUNDS) end -- WNOHANG
      assert.equal(0, status[0])
      assert.is_true(worker.jobs > 3)
    end
  end)
end)
