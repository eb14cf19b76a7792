-- SPDX-License-Identifier: MIT
-- The recipes that ask a database for a whole batch, with a real one of each kind: what it has is added, and while it
-- is away the messages wait for it.
local files = require "spec.house.files"
local installed = require "spec.support.installed"
local listeners = require "spec.support.listeners"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path
local INPUT = '{"id":1}\n{"id":3}\n{"id":2}\n'
local WANTED = '{"id":1,"name":"Ada"}\n{"id":3}\n{"id":2,"name":"Grace"}\n'

local function port()
  local number, close = listeners.any()
  close()
  return number
end

-- A sanitizer that this process runs under is not for the databases.
local PLAIN = { LD_PRELOAD = false }

local function shell(text)
  local code, out, err = process.run({ "bash", "-c", text }, { env = PLAIN })
  assert.equal(0, code, out .. err)
end

-- A server { env =, start = function() } with two users; start() may be called once more after its process is stopped.
local kinds = {}

function kinds.redis(folder)
  local number = port()
  return { env = { REDIS = "127.0.0.1:" .. number }, start = function()
    local server = process.start({ installed.redis(), "--port", tostring(number), "--bind", "127.0.0.1", "--save", "",
      "--dir", folder }, { env = PLAIN })
    wait.until_true(function() return server:stdout():find "Ready to accept connections" end, 30, "Redis is ready")
    shell(("exec 3<>/dev/tcp/127.0.0.1/%d; printf 'MSET user:1 Ada user:2 Grace\\r\\n' >&3; head -c 3 <&3")
      :format(number))
    return server
  end }
end

-- It refuses to be run by root: in a user namespace without a map nobody is root, and files keep their owner.
function kinds.postgres(folder)
  local bin, number = installed.postgres(), port()
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
