-- SPDX-License-Identifier: MIT
-- Hostile functions beside tables of a topic (tide.table) and lookup tables (tide.lookup): they attack what all workers
-- share of them. Their messages may become dead letters; a step behind them, with a worker of its own, finds the rows
-- that there are, before and after the rows change.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local testing = require "tidemill.testing"
local wait = require "spec.support.wait"

local WHOLE = [[
local tide = require "tidemill"
local users = tide.table "users" { topic = "users", max_bytes = "1MiB" }
local cities = tide.lookup "cities.csv"
return tide.pipeline "x" { tide.kafka_source { brokers = "b", topic = "orders", group = "g" },
  tide.run_task_with_multiprocessing { "attack.lua", processes = 1, max_batch_size = 1 },
  tide.run_task_with_multiprocessing { "read.lua", processes = 1 },
  tide.produce { topic = "out" }, worker_memory = "64MiB", message_timeout = "%s", trust = "standard" }]]

-- The mappings of shared memory that can only be read, or written, whose name is that of blocks or lookup tables.
local HEAD = [[
local tide = require "tidemill"
local ffi = require "ffi"
local kernel = require "kernel"
local users, cities = tide.table "users", tide.lookup "cities.csv"
local function mappings(wanted)
  local list = {}
  for line in io.lines "/proc/self/maps" do
    local from, to, rights, name = line:match "^(%x+)%-(%x+) (%S+) %S+ %S+ %S+%s*(.*)"
    if rights == wanted and name:find "tidemill" then
      local first = tonumber(from, 16)
      list[#list + 1] = { at = ffi.cast("char *", first), size = tonumber(to, 16) - first, line = line }
    end
  end
  return list
end
local function read_only(what)
  local list = {}
  for _, one in ipairs(mappings "r--s") do
    if not what or one.line:find(what, 1, true) then list[#list + 1] = one end
  end
  assert(#list > 0, "no mapping")
  return list
end
local attack = function(message)
  ATTACK
end
return function(message)
  if message.value ~= "attack" then return message end
  local gained = attack(message)
  return gained and "escaped: " .. tostring(gained) or message
end
]]

local READ = [[
local tide = require "tidemill"
local users, cities = tide.table "users", tide.lookup "cities.csv"
return function(message)
  if message.value:find "^escaped" or message.value == "attack" then return message end
  local user, city = users[message.value], cities[message.value]
  return ("%s %s %s %d"):format(message.value, user and user.name, city and city.name, #users)
end]]

local attacks = {
  ["writing to the rows of each table"] = "for _, one in ipairs(read_only()) do ffi.fill(one.at, one.size, 255) end",
  ["making the memory of tables writable"] = [[
    for _, one in ipairs(read_only()) do
      if kernel.C.mprotect(one.at, 4096, 3) == 0 then return "it can be written" end
    end]],
  ["mapping the memory of tables once more"] = [[
    for _, one in ipairs(read_only()) do
      local from, to = one.line:match "^(%x+)%-(%x+)"
      for _, place in ipairs { "/proc/self/map_files/" .. from .. "-" .. to, "/proc/thread-self/map_files/" .. from } do
        local fd = kernel.C.open(place, 2)
        if fd >= 0 then return "it is open" end
      end
      local copy = kernel.C.mremap(one.at, 0, 4096, 1)
      if ffi.cast("intptr_t", copy) ~= -1 and kernel.C.mprotect(copy, 4096, 3) == 0 then
        return "a second mapping can be written"
      end
    end]],
  ["opening the memory of the process to write"] = [[
    if io.open("/proc/self/mem", "r+") then return "the memory is open" end]],
  ["making holes into tables"] = [[
    for _, one in ipairs(read_only()) do kernel.C.madvise(one.at, one.size, 9) end]], -- MADV_REMOVE
  ["taking tables away from itself"] = [[
    for _, one in ipairs(read_only()) do kernel.C.mmap(one.at, one.size, 0, 0x32, -1, 0) end
    return users.a and cities.a and nil]],
  ["being in a job without end"] = "while true do local _ = users.a and cities.a end",
  ["writing to all that it can"] = "for _, one in ipairs(mappings 'rw-s') do ffi.fill(one.at, one.size, 1) end",
  ["being in its first job for ever, for what its modules can say of that"] = [[
    for _, name in ipairs { "tables", "lookups" } do
      local module = package.loaded["tidemill.run." .. name]
      if module then module.begin, module.done = function() end, function() end end
    end]],
  ["asking for keys of all kinds"] = [[
    for _, key in ipairs { "", ("k"):rep(2 ^ 20 + 1), ("\0"):rep(1000), 2 ^ 53, -1, "a\0" } do
      pcall(function() return users[key] end)
      pcall(function() return cities[key] end)
    end]],
  ["writing to the handles"] = [[
    pcall(function() users.a = { name = "forged" } end)
    pcall(rawset, users, "a", { name = "forged" })
    local user = users.a
    user.name = "forged"
    pcall(function() cities.a.name = "forged" end)]],
  ["changing the modules that read tables"] = [[
    for _, name in ipairs { "tidemill.run.tables", "tidemill.run.lookups", "tidemill.run.lookup_rows" } do
      for key in pairs(package.loaded[name] or {}) do package.loaded[name][key] = function() return "forged" end end
    end]],
}

-- What hangs ends by message_timeout. Elsewhere that is so long that a busy machine ends none of the others by it.
local HANGS = "being in a job without end"

-- What could keep rows and versions that were replaced from being given up.
local CLINGS = { [HANGS] = true, ["writing to all that it can"] = true,
  ["being in its first job for ever, for what its modules can say of that"] = true,
  ["changing the modules that read tables"] = true }

describe("a hostile function beside tables", function()
  local test, folder

  after_each(function()
    testing.close()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local function write(name, text)
    local file = assert(io.open(folder .. "/" .. name .. ".new", "wb"))
    file:write(text)
    file:close()
    assert(os.rename(folder .. "/" .. name .. ".new", folder .. "/" .. name))
  end

  local function last()
    local values = test:values()
    return values[#values]
  end

  for what, body in pairs(attacks) do
    it("a hostile function changes no row for others by " .. what, function()
      local kernel = io.open "spec/escape/kernel.lua"
      local path
      path, folder = pipeline_file.write(WHOLE:format(what == HANGS and "500ms" or "30s"), {
        ["kernel.lua"] = kernel:read "*a",
        ["attack.lua"] = (HEAD:gsub("ATTACK", function() return body end)), ["read.lua"] = READ,
        ["cities.csv"] = "id,name\na,Bonn\n" })
      kernel:close()
      test = testing.pipeline(folder .. "/" .. path:match "[^/]*$", { tables = { users = { a = { name = "Ann" } } } })
      test:feed("a", "attack", "a")
      assert.equal("a Ann Bonn 1", test:values()[1])
      assert.equal("a Ann Bonn 1", last())
      for i = 1, 50 do test:put("users", "a", { name = "Bob " .. i }) end
      test:feed("a", "attack", "a")
      assert.equal("a Bob 50 Bonn 1", last())
      for i = 1, CLINGS[what] and 30 or 0 do -- more than there is memory for at once
        test:put("users", "a", { name = "Bob 50", of = i, long = ("x"):rep(60000) })
        test:feed "a"
      end
      for i = 1, CLINGS[what] and 2 or 0 do -- more versions than there is room for at once
        write("cities.csv", ("id,name\na,Ulm %d\n"):format(i))
        wait.until_true(function()
          test:feed "a"
          return last() == ("a Bob 50 Ulm %d 1"):format(i)
        end, function() return "the row of the next version: " .. last() end)
      end
      assert.is_nil(table.concat(test:values(), "\n"):find("escaped", 1, true), table.concat(test:values(), "\n"))
      for _, value in ipairs(test:values()) do assert.is_nil(value:find("forged", 1, true)) end
    end)
  end
end)
