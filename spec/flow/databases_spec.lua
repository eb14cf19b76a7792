-- SPDX-License-Identifier: MIT
-- The recipes that ask a database for a whole batch, with a real one of each kind: what it has is added, and while it
-- is away the messages wait for it.
local files = require "spec.house.files"
local installed = require "spec.support.installed"
local pipeline_file = require "spec.support.pipeline_file"
local port = require "spec.support.port"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path
local INPUT = '{"id":1}\n{"id":3}\n{"id":2}\n'
local WANTED = '{"id":1,"name":"Ada"}\n{"id":3}\n{"id":2,"name":"Grace"}\n'

-- A sanitizer that this process runs under is not for the databases.
local PLAIN = { LD_PRELOAD = false }

local function shell(text)
  local code, out, err = process.run({ "bash", "-c", text }, { env = PLAIN })
  assert.equal(0, code, out .. err)
end

-- A server { env =, start = function() } with two users; start() may be called once more after its process is stopped.
local kinds = {}

-- Its log of commands has them: it answers nobody before it has read that, and listens before.
function kinds.redis(folder)
  local number = port.keep()
  local log = assert(io.open(folder .. "/appendonly.aof", "w"))
  for _, word in ipairs { "*5", "$4", "MSET", "$6", "user:1", "$3", "Ada", "$6", "user:2", "$5", "Grace" } do
    log:write(word, "\r\n")
  end
  log:close()
  return { env = { REDIS = "127.0.0.1:" .. number }, start = function()
    return process.start({ installed.redis(), "--port", tostring(number), "--bind", "127.0.0.1", "--save", "",
      "--dir", folder, "--appendonly", "yes" }, { env = PLAIN })
  end }
end

-- It refuses to be run by root: in a user namespace without a map nobody is root, and files keep their owner.
function kinds.postgres(folder)
  local bin, number = installed.postgres(), port.keep()
  local as = select(2, process.run { "id", "-u" }) == "0\n" and "unshare --user " or ""
  shell(("cd %s && %s%s/initdb -D data -U tidemill --auth=trust --no-sync --locale=C -E UTF8"):format(folder, as, bin))
  shell(("cd %s && echo \"create table users (id bigint primary key, name text); insert into users values (1, 'Ada'), "
    .. "(2, 'Grace')\" | tr '\\n' ' ' | %s%s/postgres --single -D data postgres"):format(folder, as, bin))
  return { env = { POSTGRES = "127.0.0.1:" .. number, PGUSER = "tidemill", PGDATABASE = "postgres" }, start = function()
    local command = ("cd %s && exec %s%s/postgres -D data -p %d -h 127.0.0.1 -k '' -F"):format(folder, as, bin, number)
    return process.start({ "bash", "-c", command }, { env = PLAIN })
  end }
end

describe("databases", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local scripts = { redis = "scripts/redis_lookup.lua", postgres = "scripts/postgres_lookup.lua" }
  for name, script in pairs(scripts) do
    it(script .. " adds what the database has, and waits for it while it is away", function()
      local _, folder = pipeline_file.write("", { ["in"] = INPUT })
      local database = kinds[name](pipeline_file.folder())
      local run = process.start({ PROGRAM, "run", script, "--input", folder .. "/in",
        "--output", folder .. "/out" }, { env = database.env })
      wait.until_true(function() return run:stderr():find "is tried again" end, 30, "a message waits for the database")
      database.start()
      assert.equal(0, run:wait(60), run:stderr())
      assert.equal(WANTED, files.read(folder .. "/out"), run:stderr())
      assert.is_nil(run:stderr():find("warn.*keeps something"), run:stderr())
    end)
  end
end)
