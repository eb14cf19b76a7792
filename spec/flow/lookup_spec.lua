-- SPDX-License-Identifier: MIT
-- Lookup tables in running pipelines: shared by workers, reloaded under load, under each level of trust, and what a
-- bad file does at the start and later.
local cjson = require "cjson"
local ffi = require "ffi"
local gate = require "spec.support.gate"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

pcall(ffi.cdef, "int kill(int pid, int signal);")

-- Two steps and two functions of each message read the table; between the reads some time passes.
local WHOLE = [[
local tide = require "tidemill"
local users = tide.lookup { "users.csv", by = { "kind", "id" } }
local function of(id) return (users("k", id) or { version = "none" }).version end
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message)
    local seen = { of "1" }
    for i = 1, 300 do if i % 100 == 0 then seen[#seen + 1] = of "2" end end
    seen[#seen + 1] = tostring(#users)
    return table.concat(seen, " ")
  end, processes = 2, max_batch_size = 50 },
  tide.file_sink { path = "-" } }]]

local function table_of(version, rows)
  local lines = { "id,kind,version" }
  for i = 1, rows or 100 do lines[i + 1] = i .. ",k," .. version end
  return table.concat(lines, "\n") .. "\n"
end

local function write(path, bytes)
  local file = assert(io.open(path .. ".new", "wb"))
  file:write(bytes)
  file:close()
  assert(os.rename(path .. ".new", path))
end

describe("tide.lookup", function()
  local test, folder

  after_each(function()
    testing.close()
    process.stop_all()
    gate.remove_all()
    pipeline_file.remove_all()
  end)

  local function open(text, files)
    local path
    path, folder = pipeline_file.write(text, files)
    test = testing.pipeline(folder .. "/" .. path:match "[^/]*$", { partitions = 4 })
  end

  -- A quick worker has worked before its number is known.
  local function kill_worker()
    ffi.C.kill(wait.until_true(function()
      test.engine:run(0)
      return test.engine:worker_pid(0, 0)
    end), 9)
  end

  local function known() return test.engine:lookups()[1] end

  -- Feeds until the table was read, or not, more often than now.
  local function feed_until(field, count)
    wait.until_true(function()
      for i = 1, 100 do test:push { value = tostring(i), partition = i % 4 } end
      test:feed "x"
      return known()[field] >= count
    end, "another reading of the table")
  end

  it("is swapped between two messages while a pipeline runs: each sees one version, all the new one at last", function()
    open(WHOLE, { ["users.csv"] = table_of("v1", 101) })
    local users, versions = folder .. "/users.csv", 5
    for version = 2, versions do
      write(users, table_of("v" .. version, 100 + version))
      feed_until("reads", version)
      if version == 3 then kill_worker() end
    end
    test:feed("a", "b", "c", "d")
    local seen, values = {}, test:values()
    for _, value in ipairs(values) do seen[value] = true end
    for value in pairs(seen) do
      local version = value:match "^v(%d) "
      assert.equal(("v%d v%d v%d v%d %d"):format(version, version, version, version, 100 + version), value)
    end
    assert.truthy(values[#values]:find "^v5")
    assert.equal(test:totals().read, #values)
    assert.same({ 105, versions, 0 }, { known().rows, known().reads, known().errors })
    local function counter(metric) return test.engine:counter(0, "TIDE_M_" .. metric) end
    assert.equal(versions, counter("LOOKUP_READ").count)
    assert.same({ 105, known().bytes }, { counter("LOOKUP_ROWS").last, counter("LOOKUP_BYTES").last })
    assert.is_true(counter("LOOKUP_TIME").sum > 0)
  end)

  it("stays as it was for a worker that is in one batch for long, while others have the next version", function()
    local one = gate.new()
    open(([[
local tide = require "tidemill"
local users = tide.lookup "users.csv"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message)
    local before = users["1"].version
    if message.value == "slow" then
      io.open("%s.reached", "w"):close()
      repeat local open = io.open("%s") until open
    end
    return ("%%s %%s %%s"):format(message.value, before, users["1"].version)
  end, processes = 2, max_batch_size = 1, order = "none" },
  tide.file_sink { path = "-" }, message_timeout = "1h", trust = "full" }]]):format(one.path, one.path),
      { ["users.csv"] = "id,version\n1,v1\n" })
    local users = folder .. "/users.csv"
    local function run_until(what, condition)
      wait.until_true(function()
        test.engine:run(0.01)
        return condition()
      end, what)
    end
    local function last() return test:values()[#test:values()] end
    test:push { value = "slow" }
    run_until("the worker in its function", function() return one:is_reached() end)
    write(users, "id,version\n1,v2\n")
    run_until("the second version", function() return known().reads == 2 end)
    test:push { value = "other" }
    run_until("the other worker", function() return last() == "other v2 v2" end)
    os.remove(users)
    run_until("a look at the files", function() return known().errors == 1 end)
    write(users, "id,version\n1,v3\n")
    test:push { value = "other" }
    run_until("the other worker", function() return #test:values() == 2 end)
    assert.same({ "other v2 v2", 2 }, { last(), known().reads })
    one:open()
    run_until("the third version", function() return known().reads == 3 end)
    assert.equal("slow v1 v1", last())
    test:feed "other"
    assert.equal("other v3 v3", last())
    for i = 0, 1 do assert.equal(0, test.engine:worker(0, i).lost) end
  end)

  it("keeps what was read before when the file is bad or gone, and says why", function()
    open(WHOLE, { ["users.csv"] = table_of "v1" })
    local users = folder .. "/users.csv"
    write(users, "id,kind,version\n1,k,bad\n2,k\n")
    feed_until("errors", 1)
    assert.matches("users.csv:3: 2 fields, but 3 columns$", known().problem)
    os.remove(users)
    feed_until("errors", 2)
    assert.matches("users.csv: No such file or directory$", known().problem)
    assert.same({ 100, 1 }, { known().rows, known().reads })
    assert.equal(2, test.engine:counter(0, "TIDE_M_LOOKUP_ERROR").count)
    write(users, table_of("v2", 7))
    feed_until("reads", 2)
    assert.is_nil(known().problem)
    test:feed "x"
    local values = test:values()
    assert.equal("v2 v2 v2 v2 7", values[#values])
    for _, value in ipairs(values) do assert.is_nil(value:find("bad", 1, true)) end
  end)

  it("is there in each hook, in batches, reduce and after a worker was killed", function()
    open([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 }, tide.file_sink { path = "-" } }]], {
      ["users.csv"] = "id,n\na,1\nb,2\n",
      ["t.lua"] = [[
local tide = require "tidemill"
local users = tide.lookup "users.csv"
local more
local seen = "top " .. users.a.n
return {
  init = function() more = tide.lookup { "users.csv", by = "n" } seen = seen .. " init " .. users.b.n end,
  start = function() seen = seen .. " start " .. more["1"].id end,
  batch = function(messages)
    local results = {}
    for i, message in ipairs(messages) do results[i] = seen .. " batch " .. #more .. users[message.value].n end
    return results
  end,
}]] })
    test:feed "b"
    kill_worker()
    test:feed "a"
    assert.produces(test, { "top 1 init 2 start a batch 22", "top 1 init 2 start a batch 21" })
    assert.equal(2, #test.engine:lookups())
  end)

  it("cannot be written by a worker: it has no descriptor, and its mapping cannot be made writable", function()
    open([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 2 }, tide.file_sink { path = "-" } }]], {
      ["users.csv"] = "id,n\na,1\n",
      ["t.lua"] = [[
local tide = require "tidemill"
local ffi = require "ffi"
ffi.cdef "int mprotect(void *, size_t, int); long readlink(const char *, char *, size_t);"
local users = tide.lookup "users.csv"
return function(message)
  local read_only, own, opened, descriptors = 0, 0, 0, 0
  for line in io.lines "/proc/self/maps" do
    local from, to, rights = line:match "^(%x+)%-(%x+) (%S+) .*tidemill%-lookup"
    if rights == "rw-s" then own = own + tonumber(to, 16) - tonumber(from, 16) end
    if rights == "r--s" then
      read_only = read_only + 1
      if ffi.C.mprotect(ffi.cast("void *", tonumber(from, 16)), 4096, 3) == 0 then opened = opened + 1 end
    end
  end
  for fd = 0, 99 do
    local text = ffi.new "char[256]"
    local size = ffi.C.readlink("/proc/self/fd/" .. fd, text, 256)
    if size > 0 and ffi.string(text, size):find "lookup" then descriptors = descriptors + 1 end
  end
  return ("%s %d %d %d %s"):format(read_only > 0, own, opened, descriptors, users.a.n)
end]] })
    test:feed "x"
    assert.produces(test, { "true 0 0 0 1" })
  end)

  it("works for a function of a spec", function()
    folder = select(2, pipeline_file.write("", { ["users.csv"] = "id,n\na,1\n" }))
    local users = require("tidemill").lookup(folder .. "/users.csv")
    test = testing.transform(function(message) return users[message.value].n end,
      { settings = { files = { read = { folder } } } })
    test:feed("a", "b")
    assert.produces(test, { "1" })
    assert.equal(1, #test:rejects())
    users = nil -- luacheck: ignore
    collectgarbage() -- the next test has it no more
  end)

  -- ---- the program ----

  local RUN = [[
local tide = require "tidemill"
local users = tide.lookup "%s"
return tide.pipeline "x" { tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { function(message)
    local user = users[message.value]
    return user and user.name or "none"
  end, processes = 1 }, tide.file_sink { path = "-" }, trust = "%s", %s }]]

  local function run(users, trust, settings, files, argv)
    files.input = "u1\nu2\n"
    local path, at = pipeline_file.write(RUN:format(users, trust, settings or ""), files)
    return process.run({ PROGRAM, argv or "run", path, not argv and "--input" or nil, not argv and "input" or nil },
      { cwd = at })
  end

  for _, trust in ipairs { "full", "standard", "hardened" } do
    it("works under trust " .. trust, function()
      local code, out, err = run("users.csv", trust, nil, { ["users.csv"] = "id,name\nu1,Ada\n" })
      assert.same({ 0, "Ada\nnone\n" }, { code, out }, err)
      assert.matches("lookup table: [^\n]*users.csv: 1 rows, [%d.]+ MiB, read in [%d.]+ s", err)
    end)
  end

  it("reads a file elsewhere where files.read says so, and names the setting where it does not", function()
    local elsewhere = select(2, pipeline_file.write("", { ["users.csv"] = "id,name\nu1,Ada\n" }))
    local users = elsewhere .. "/users.csv"
    local code, out, err = run(users, "standard", ('files = { read = { "%s" } }'):format(elsewhere), {})
    assert.same({ 0, "Ada\nnone\n" }, { code, out }, err)
    code, out, err = run(users, "standard", nil, {})
    if code == 0 then return pending "this kernel has no Landlock" end
    assert.same({ 78, "" }, { code, out }, err)
    assert.truthy(err:find("users.csv: Permission denied; transforms read files in the folder of the pipeline and in "
      .. "files = { read = { ... } }", 1, true), err)
  end)

  it("ends the start with 78, file and line when the file is bad; check says it too", function()
    for _, command in ipairs { false, "check" } do
      local code, _, err = run("users.csv", "standard", nil, { ["users.csv"] = "id,name\nu1,Ada\nu2\n" },
        command or nil)
      assert.equal(78, code)
      assert.truthy(err:find("users.csv:3: 1 field, but 2 columns", 1, true), err)
    end
  end)

  it("ends the start with 78 where files, or address space, are limited too much for it", function()
    local limits = { ["-f 4000000"] = "the size of files is limited (ulimit -f, LimitFSIZE=)" }
    if require("spec.support.program").build ~= "build/asan" then -- whose shadow memory needs more
      limits["-v 4000000"] = "no address space for a lookup table; is it limited (ulimit -v)?"
    end
    for limit, text in pairs(limits) do
      local path, at = pipeline_file.write(RUN:format("users.csv", "standard", ""), { ["users.csv"] = "id\nu1\n" })
      local command = ("ulimit %s && exec %s check %s"):format(limit, PROGRAM, path)
      local code, _, err = process.run({ "sh", "-c", command }, { cwd = at })
      assert.equal(78, code, err)
      assert.truthy(err:find(text, 1, true), err)
    end
  end)

  it("with wrong options is a fault of the pipeline file, beside others", function()
    local path, at = pipeline_file.write([[
local tide = require "tidemill"
local users = tide.lookup { "users.jsonl" }
return tide.pipeline "x" { tide.file_source { path = 5 }, tide.file_sink { path = "-" } }]], {})
    local code, _, err = process.run({ PROGRAM, "check", path }, { cwd = at })
    assert.equal(78, code)
    assert.matches(':2: tide.lookup: says which member is the key: tide.lookup { "users.jsonl", by = "id" }', err)
    assert.matches(":3: ", err)
  end)

  it("is named by GET /status, with its rows and its problem", function()
    open(WHOLE, { ["users.csv"] = table_of "v1" })
    test:feed "x"
    local snapshot = require("tidemill.metrics.snapshot").new(test.engine, test.plan,
      { pid = 1, started = 0, ready = true })
    local shown = cjson.decode(cjson.encode(snapshot.lookups))[1]
    assert.matches("users.csv$", shown.name)
    assert.same({ 100, 1, 0 }, { shown.rows, shown.reads, shown.errors })
  end)
end)
