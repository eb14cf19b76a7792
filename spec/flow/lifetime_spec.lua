-- SPDX-License-Identifier: MIT
-- The processes of a run from outside: how they end, whoever is told to, or killed, and when. Always: soon none is
-- left, and nothing that they had.
local faults = require "spec.support.faults"
local ffi = require "ffi"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local shared_files = require "spec.support.shared_files"
local wait = require "spec.support.wait"

local PROGRAM = faults.folder .. "/tidemill"
local INT, TERM, KILL = 2, 15, 9

local function pipeline(transform, settings, files)
  return pipeline_file.write(([[
local tide = require "tidemill"
return tide.pipeline "x" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g", start = "earliest" },
  tide.run_task_with_multiprocessing { %s, processes = 2, max_batch_time = "50ms", max_batch_size = 64 },
  tide.produce { topic = "out" }, tide.commit_offsets {}, %s }
]]):format(transform, settings or ""), files)
end

describe("the processes of a run", function()
  local run, pipe, path, folder, before

  -- options: text = lines of input (a pipe that stays open without), faults.
  local function start(transform, options)
    options = options or {}
    path, folder = pipeline(transform, options.settings, options.files)
    local input = folder .. "/input"
    if options.text then
      local file = assert(io.open(input, "w"))
      file:write(options.text)
      file:close()
    else
      assert(os.execute("mkfifo " .. input) == 0)
      pipe = assert(io.open(input, "r+"))
    end
    run = process.start({ PROGRAM, "run", path, "--input", input, "--dead-letters", folder .. "/letters" },
      { env = { TIDE_FAULTS = options.faults or "" } })
    return run
  end

  local function feed(text)
    pipe:write(text)
    pipe:flush()
  end

  -- All processes of its group, which was made for it: the engine, its zygote, the workers, the forker. Numbers of
  -- processes begin again at the lowest, so they tell no order. Also whether the last one is the forker, which is known
  -- by its name: it gives itself that some time after its start.
  local function group()
    local found = {}
    local stats = assert(io.popen("cat /proc/[0-9]*/stat 2>/dev/null"))
    for line in stats:lines() do
      local pid, name, state, parent, of = line:match("^(%d+) %((.*)%) (%a) (%d+) (%d+)")
      if pid and state ~= "Z" and tonumber(of) == run:pid() then
        local rank = tonumber(pid) == run:pid() and 1 or name == "tidemill-forker" and 4
          or tonumber(parent) == run:pid() and 2 or 3
        found[#found + 1] = { pid = tonumber(pid), rank = rank }
      end
    end
    stats:close()
    table.sort(found, function(a, b) return a.rank * 1e9 + a.pid < b.rank * 1e9 + b.pid end)
    local has_forker = #found > 0 and found[#found].rank == 4
    for i, one in ipairs(found) do found[i] = one.pid end
    return found, has_forker
  end

  -- Engine, zygote, so many workers and the forker.
  local function until_workers(count)
    return wait.until_true(function()
      local pids, has_forker = group()
      return #pids == 3 + count and has_forker and pids
    end, ("engine, zygote, %d workers and the forker"):format(count))
  end

  local function ends_with(code, seconds)
    local got = run:wait(seconds)
    assert(got == code, ("ended with %s in place of %d: %s"):format(tostring(got), code, run:stderr()))
    wait.until_true(function() return #group() == 0 end, function()
      return "the end of processes " .. table.concat(group(), ", ")
    end)
    assert.equal(before, shared_files.list())
  end

  local function says(text)
    wait.until_true(function() return run:stderr():find(text, 1, true) end, function()
      return ("%q on stderr: %s"):format(text, run:stderr())
    end)
  end

  before_each(function() before = shared_files.list() end)
  after_each(function()
    if pipe then pipe:close() end
    pipe = nil
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local endless = {
    ["a file"] = { "\nwhile true do end", "/t.lua: not complete after 1.0 s" },
    ["`init`"] = { "return { process = print,\ninit = function() while true do end end }",
      "init: .*/t.lua:2: not complete after 1.0 s" },
    ["`start`"] = { "return { process = print,\nstart = function() local x repeat x = 1 until x ~= 1 end }",
      "start: .*/t.lua:2: not complete after 1.0 s; an endless loop%? If it needs more, raise start_timeout" },
  }
  for name, case in pairs(endless) do
    it("the processes of a run end with 78 for an endless loop in"
      .. " " .. name .. ", which is named with its file", function()
      start('"t.lua"', { settings = 'start_timeout = "1s"', files = { ["t.lua"] = case[1] } })
      ends_with(78)
      assert.matches(case[2], run:stderr())
    end)
  end

  local hoards = {
    ["at the top of a file, in Lua"] = { [[local list = {}
      while true do list[#list + 1] = ("x"):rep(2 ^ 20) .. #list end]],
      "/t.lua: wanted more memory to be loaded than load_memory %(64 MiB%)" },
    ["at the top of a file, in C"] = { [[local ffi = require "ffi"
      ffi.cdef "void *malloc(size_t size); void *memset(void *to, int byte, size_t size);"
      while true do ffi.C.memset(ffi.C.malloc(2 ^ 20), 1, 2 ^ 20) end]],
      "/t.lua: wanted more memory to be loaded than load_memory %(64 MiB%)" },
    ["in `init`, in a pcall"] = { [[return { process = print, init = function()
      local list = {}
      while true do pcall(function() list[#list + 1] = ("x"):rep(2 ^ 20) .. #list end) end
    end }]], "init: .*/t.lua:1: wanted more memory to be loaded than load_memory %(64 MiB%)" },
  }
  for name, case in pairs(hoards) do
    it("the processes of a run end with 78 for memory without end " .. name .. ": load_memory", function()
      start('"t.lua"', { settings = 'load_memory = "64MiB"', files = { ["t.lua"] = case[1] } })
      ends_with(78)
      assert.matches(case[2], run:stderr())
    end)
  end

  it("the processes of a run have load_memory while they load, and worker_memory after that", function()
    local transform = [[local kept = ("x"):rep(30 * 2 ^ 20)
      return function(m) return #(("x"):rep(100 * 2 ^ 20) .. kept) .. "" end]]
    start('"t.lua"', { settings = 'load_memory = "128MiB"', files = { ["t.lua"] = transform }, text = "1\n" })
    ends_with(0)
    assert.equal(130 * 2 ^ 20 .. "\n", run:stdout())
  end)

  it("the processes of a run end while `close` hooks hang, and whose these are is told", function()
    start('"t.lua"', { text = "1\n", files = { ["t.lua"] = [[local ffi = require "ffi"
      ffi.cdef "int pause(void);"
      return { process = function(m) return m end, close = function() ffi.C.pause() end }]] } })
    ends_with(0)
    for worker = 0, 1 do
      assert.matches(("close: worker %d %%(pid %%d+%%) has not ended in time"):format(worker), run:stderr())
    end
  end)

  it("the processes of a run end with 78 when the one that loads the transforms is killed, which is told", function()
    start('"t.lua"', { files = { ["t.lua"] = 'io.stderr:write("loading\\n")\nwhile true do end' } })
    says "loading"
    process.kill(until_workers(0)[2])
    ends_with(78)
    assert.matches("/t.lua: the process that loads the transforms was killed by signal 9 %(Killed%)", run:stderr())
  end)

  for name, number in pairs { TERM = TERM, INT = INT } do
    it("the processes of a run end at"
      .. " SIG" .. name .. " while the transforms are loaded: exit 128 and its number, nothing begun", function()
      start('"t.lua"', { files = { ["t.lua"] = 'io.stderr:write("loading\\n")\nwhile true do end' } })
      says "loading"
      assert.equal(0, ffi.C.kill(-run:pid(), number))
      ends_with(128 + number)
      assert.is_truthy(run:stderr():find("stopped by a signal while the transforms were loaded", 1, true))
    end)

    it("the processes of a run end at SIG" .. name .. " while `start` hooks run: exit 0", function()
      start('"t.lua"', { settings = 'join_timeout = "200ms"', files = { ["t.lua"] = [[return {
        start = function() io.stderr:write("starting\n") while true do end end,
        process = function(m) return m end }]] } })
      says "starting"
      feed "1\n"
      assert.equal(0, ffi.C.kill(-run:pid(), number))
      ends_with(0)
    end)

    it("the processes of a run drain at"
      .. " SIG" .. name .. " to the whole group: exit 0, and what was read comes out", function()
      start("function(message) local x = 0; for i = 1, 1e6 do x = x + i % 7 end; return message end")
      until_workers(2)
      feed(("x\n"):rep(300))
      wait.until_true(function() return #run:stdout() > 0 end, "output")
      assert.equal(0, ffi.C.kill(-run:pid(), number))
      ends_with(0)
      assert.equal(0, #run:stdout() % 2)
      assert.is_truthy(run:stderr():find("in flight 0", 1, true), run:stderr())
    end)

    it("the processes of a run end at once at a second SIG" .. name .. " to the whole group", function()
      start "function(message) while true do end end"
      until_workers(2)
      feed "stuck\n"
      wait.until_true(function() return run:stderr():find("read 1,", 1, true) end, "the message to be read")
      ffi.C.kill(-run:pid(), number)
      says "finishing what was read"
      ffi.C.kill(-run:pid(), number)
      ends_with(128 + number) -- 0 once join_timeout has passed
    end)
  end

  for index, name in pairs { "the engine", "the zygote", "a worker", [5] = "the forker" } do
    for state, busy in pairs { ["idle"] = false, ["with a hung worker"] = true } do
      it(("the processes of a run leave nothing when %s is killed, %s"):format(name, state), function()
        start(busy and "function(message) while true do end end" or "function(message) return message end")
        local pids = until_workers(2)
        if busy then
          feed "stuck\n"
          wait.until_true(function() return run:stderr():find("read 1,", 1, true) end, "the message to be read")
        end
        process.kill(pids[index])
        if index == 1 then return ends_with(128 + KILL) end
        if index == 2 then return ends_with(75) end
        wait.until_true(function()
          local now = group()
          return #now == (index == 5 and 4 or 5) and now[3] ~= pids[index] and now[4] ~= pids[index]
        end, "a new worker, or the forker's end")
        process.kill(run:pid())
        ends_with(128 + KILL)
      end)
    end
  end

  -- The point, and what the run then ends with: 137 where it is the engine that dies, 75 for the zygote, and 0 for
  -- a worker, which is replaced.
  for point, code in pairs {
    ["pool.give"] = 137, ["pool.lost"] = 137, ["z.load"] = 78, ["z.fork"] = 75, ["z.reap"] = 75, ["w.fork"] = 0,
    ["w.idle"] = 0, ["w.after_recv"] = 0, ["w.before_call"] = 0, ["w.after_write"] = 0, ["w.after_publish"] = 0,
    ["w.before_done"] = 0,
  } do
    it("the processes of a run leave nothing after a kill -9 at " .. point, function()
      local lines = {}
      for i = 1, 500 do lines[i] = i .. "\n" end
      local text = table.concat(lines)
      -- For those that are about a loss, a worker dies first.
      local first = (point == "pool.lost" or point == "z.reap") and ",w.after_write=3:segv" or ""
      start("function(message) return message end", { text = text, faults = point .. "=1:kill9" .. first })
      ends_with(code)
      if code == 0 then assert.equal(text, run:stdout()) end
    end)
  end

  it("the processes of a run go on when no process can be had for a new worker for a while", function()
    local text = ("1\n"):rep(200)
    start("function(message) return message end", { text = text, faults = "w.after_write=5:kill9,z.fork=3:errno:11" })
    ends_with(0)
    assert.equal(text, run:stdout())
    assert.is_truthy(run:stderr():find(": Resource temporarily unavailable", 1, true), run:stderr())
  end)
end)
