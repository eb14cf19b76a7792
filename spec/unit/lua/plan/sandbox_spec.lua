-- SPDX-License-Identifier: MIT
-- What stays open to functions, as plan/sandbox.lua makes it of a pipeline file and of where things lie.
local ffi = require "ffi"
local loader = require "tidemill.plan.pipeline_file"
local paths = require "tidemill.plan.paths"
local pipeline_file = require "spec.support.pipeline_file"
local plan = require "tidemill.plan.plan"
local sandbox = require "tidemill.plan.sandbox"

local function quietly(command)
  assert(os.execute(command) == 0, command)
end

-- A pipeline in a folder of its own: the fields of its sandbox by name, the folder, and the plan. `FOLDER` in the
-- settings stands for the folder.
local function granted(settings, files, options)
  local path, folder = pipeline_file.write("", files)
  local file = assert(io.open(path, "w"))
  file:write(([[local tide = require "tidemill"
return tide.pipeline "x" { tide.kafka_source { brokers = "b:1", topic = "t", group = "g" },
  tide.run_task_with_multiprocessing { "t.lua" }, tide.produce { topic = "o" }, %s }]]):format(
    (settings:gsub("FOLDER", folder))))
  file:close()
  local planned, texts = plan.load(path, options)
  if not planned then return nil, folder, texts end
  return planned.tables.sandbox, paths.real(folder), planned
end

local function has(list, wanted)
  for _, path in ipairs(list) do
    if path == wanted then return true end
  end
  return false
end

-- True when a path is open, by itself or by a folder above it.
local function opens(list, wanted)
  for _, path in ipairs(list) do
    if paths.is_in(path, wanted) then return true end
  end
  return false
end

local FILES = { ["t.lua"] = "return print" }

describe("a sandbox", function()
  after_each(pipeline_file.remove_all)

  it("a sandbox opens by default the pipeline's folder, Lua's path and the system's libraries for reading", function()
    local fields, folder, planned = granted("", FILES)
    assert.equal("standard", planned.trust)
    assert.is_true(has(fields.read, folder))
    assert.is_true(opens(fields.read, paths.real "/usr/lib"))
    assert.is_true(opens(fields.read, "/dev/urandom"))
    assert.is_true(opens(fields.read, paths.real(package.searchpath("tidemill.run.json", package.path))))
    assert.is_false(fields.network)
    for _, path in ipairs { "/etc/passwd", "/etc/shadow", "/etc/ssl/private", "/root", "/proc/1", "/var/log" } do
      assert.is_false(opens(fields.read, path), path)
    end
    for _, path in ipairs(fields.write) do assert.matches("^/dev/", path) end
    assert.is_true(has(fields.env, "TZ"))
    assert.is_false(has(fields.env, "PATH"))
  end)

  it("a sandbox is a struct in C with the same lists", function()
    local fields, _, planned = granted('network = true, env = { "A", "B" }', FILES)
    local c = planned.c.sandbox
    collectgarbage()
    assert.equal(1, c.trust)
    assert.is_true(c.network)
    for _, name in ipairs { "read", "write", "env" } do
      assert.equal(#fields[name], c[name .. "_count"])
      for i, text in ipairs(fields[name]) do assert.equal(text, ffi.string(c[name][i - 1])) end
    end
    assert.equal("A", ffi.string(c.env[0]))
  end)

  it("a sandbox has the hosts of a list, and no other network", function()
    local fields, _, planned = granted('network = { "db.example.com:5432", "[::1]:6379" }', FILES)
    assert.is_false(fields.network)
    assert.same({ "db.example.com:5432", "[::1]:6379" }, fields.hosts)
    local c = planned.c.sandbox
    assert.is_false(c.network)
    assert.same({ 2, "[::1]:6379" }, { c.host_count, ffi.string(c.hosts[1]) })
    assert.is_true(opens(fields.read, paths.real "/etc/ssl/certs" or "/dev/null"))
    assert.same({ "localhost:80" }, granted('network = "localhost:80"', FILES).hosts)
    assert.same({}, granted("network = true", FILES).hosts)
    assert.same({}, granted('network = { "a:1" }, trust = "full"', FILES).hosts)
  end)

  it("a sandbox of trust full opens nothing by name, as nothing is closed", function()
    local fields, _, planned = granted('trust = "full"', FILES)
    assert.equal(0, fields.trust)
    assert.same({ {}, {}, {} }, { fields.read, fields.write, fields.env })
    assert.is_nil(planned.withheld)
  end)

  it("a sandbox has the level of the flag in place of the file's", function()
    local fields, _, planned = granted('trust = "full"', FILES, { trust = "hardened" })
    assert.same({ 2, "hardened" }, { fields.trust, planned.trust })
  end)

  it("a sandbox opens the folder of a transform that lies elsewhere, and what its path is a link to", function()
    local elsewhere = pipeline_file.folder()
    local third = pipeline_file.folder()
    quietly(("echo 'return print' > %s/far.lua && ln -s %s/far.lua %s/link.lua"):format(third, third, elsewhere))
    local path = pipeline_file.write(([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, tide.run_task { "%s/link.lua" } }]]):format(elsewhere))
    local fields = assert(plan.load(path)).tables.sandbox
    assert.is_true(has(fields.read, paths.real(elsewhere)))
    assert.is_true(has(fields.read, paths.real(third .. "/far.lua")))
    assert.is_false(has(fields.read, paths.real(third)))
  end)

  it("a sandbox opens the folders of package.path and package.cpath as the pipeline file has set them", function()
    local more = pipeline_file.folder()
    local path = pipeline_file.write(([[package.path = "%s/lua/?.lua;" .. package.path
package.cpath = "%s/so/?.so;" .. package.cpath
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, tide.run_task { print } }]]):format(more, more))
    quietly(("mkdir %s/lua %s/so %s/other"):format(more, more, more))
    local fields = assert(plan.load(path)).tables.sandbox
    more = paths.real(more)
    assert.same({ true, true, false }, { opens(fields.read, more .. "/lua"), opens(fields.read, more .. "/so"),
      opens(fields.read, more .. "/other") })
  end)

  it("a sandbox opens what files names, and what may be written for reading too", function()
    local data = paths.real(pipeline_file.folder())
    quietly(("mkdir %s/in %s/out"):format(data, data))
    local fields = granted(('files = { read = "%s/in", write = { "%s/out" } }'):format(data, data), FILES)
    assert.is_true(has(fields.read, data .. "/in"))
    assert.is_true(has(fields.read, data .. "/out"))
    assert.is_true(has(fields.write, data .. "/out"))
    assert.is_false(has(fields.write, data .. "/in"))
  end)

  it("a sandbox opens how names are looked up, and certificates, where the network is", function()
    local fields = granted("network = true", FILES)
    assert.is_true(opens(fields.read, paths.real "/etc/hosts" or "/dev/null"))
    assert.is_true(opens(fields.read, paths.real "/etc/ssl/certs" or "/dev/null"))
    assert.is_false(opens((granted("", FILES)).read, "/etc/hosts"))
  end)

  it("a sandbox leaves out a secret in a folder that is open, whatever it is called, and opens its neighbours",
    function()
    local key = 'tide.secret_file "FOLDER/keys/password"'
    local path, folder = pipeline_file.write("", { ["t.lua"] = "return print", ["data.csv"] = "x" })
    quietly(("mkdir %s/keys %s/lib && echo s > %s/keys/password && echo p > %s/keys/public && echo k > %s/client.key")
      :format(folder, folder, folder, folder, folder))
    local file = assert(io.open(path, "w"))
    local text = ([[local tide = require "tidemill"
return tide.pipeline "x" { tide.kafka_source { brokers = "b:1", topic = "t", group = "g",
  rdkafka = { ["sasl.password"] = %s, ["ssl.key.location"] = "FOLDER/client.key" } },
  tide.run_task_with_multiprocessing { "t.lua" } }]]):format(key)
    file:write((text:gsub("FOLDER", folder)))
    file:close()
    local read = assert(plan.load(path)).tables.sandbox.read
    folder = paths.real(folder)
    for _, name in ipairs { "/keys/password", "/client.key" } do assert.is_false(opens(read, folder .. name), name) end
    for _, name in ipairs { "/keys/public", "/t.lua", "/p.lua", "/data.csv", "/lib" } do
      assert.is_true(opens(read, folder .. name), name)
    end
  end)

  it("a sandbox does not open a home folder's hidden files, nor the folders beside it", function()
    local above = paths.real(pipeline_file.folder())
    quietly(("mkdir -p %s/me/.ssh %s/me/lib %s/you && touch %s/me/x.lua %s/me/.netrc %s/p.lua"):format(above, above,
      above, above, above, above))
    local home, getenv = above .. "/me", os.getenv
    os.getenv = function(name) return name == "HOME" and home or getenv(name) end -- luacheck: ignore
    local function read(folder)
      local pipeline = { folder = folder, steps = {} }
      return sandbox.complete(pipeline, { trust = "standard", files = {}, env = {} }).read
    end
    local mine, shared = read(home), read(above)
    os.getenv = getenv -- luacheck: ignore
    assert.same({ true, true, false, false }, { opens(mine, home .. "/x.lua"), opens(mine, home .. "/lib"),
      opens(mine, home .. "/.ssh"), opens(mine, home .. "/.netrc") })
    assert.same({ true, false, false }, { opens(shared, above .. "/p.lua"), opens(shared, home .. "/x.lua"),
      opens(shared, above .. "/you") })
  end)

  it("a sandbox is refused with paths that are not there, secrets, and what is no variable", function()
    local function faults(settings)
      local _, folder, texts = granted(settings, { ["t.lua"] = "return print", secret = "s" })
      for i, text in ipairs(texts or {}) do
        texts[i] = text:gsub(folder:gsub("%p", "%%%0"), "FOLDER"):gsub("^FOLDER/p.lua:2: ", "")
      end
      return texts
    end
    assert.same({ 'option "files.read": "/no/such" is not there' }, faults 'files = { read = "/no/such" }')
    assert.same({ 'option "files.write": "/no/such" is not there; name a file that is, or the folder that it will be '
      .. "in" }, faults 'files = { write = { "/no/such" } }')
    local secret = 'dlq = tide.dlq { path = "d", }, '
    local source = 'join_timeout = 1, broker_timeout = (tide.secret_file "FOLDER/secret" and 1), '
    assert.same({ 'option "files.read": "FOLDER/secret" is a secret of this pipeline, which functions never see' },
      faults(secret .. source .. 'files = { read = "FOLDER/secret" }'))
    assert.same({ 'option "files.write": "FOLDER" holds "FOLDER/secret", a secret of this pipeline; name another '
      .. "folder" }, faults(source .. 'files = { write = "FOLDER" }'))
    assert.same({ 'option "env": "A=B" is not the name of a variable' }, faults 'env = "A=B"')
  end)

  it("a sandbox takes settings of the right kind only", function()
    local function faults(settings)
      local _, texts = loader.load((pipeline_file.write('local tide = require "tidemill"\n'
        .. pipeline_file.around(nil, nil, settings))))
      for i, text in ipairs(texts or {}) do texts[i] = text:gsub("^.-p%.lua:%d+: ", "") end
      return texts
    end
    assert.same({ 'option "trust" = "none": unknown; it is "full" or "standard" or "hardened"' },
      faults 'trust = "none"')
    local hint = 'must be "HOST:PORT", as "db.example.com:5432"'
    for given, text in pairs {
      ['"yes"'] = '"yes": value 1 = "yes": ' .. hint, ['{ "a:1", ":80" }'] = '{...}: value 2 = ":80": ' .. hint,
      ['{ "*.example.com:443" }'] = '{...}: value 1 = "*.example.com:443": ' .. hint,
      ['{ "a:0" }'] = '{...}: value 1 = "a:0": ' .. hint, ['{ "a:65536" }'] = '{...}: value 1 = "a:65536": ' .. hint,
      ['{ "::1:80" }'] = '{...}: value 1 = "::1:80": ' .. hint, ["{}"] = "{...}: is empty",
      ["5"] = '5: must be true, false or a list of "HOST:PORT", not a number',
      ["{ 5 }"] = "{...}: value 1 must be a text, not a number",
    } do
      assert.same({ 'option "network" = ' .. text }, faults("network = " .. given))
    end
    assert.same({ 'option "files" = "x": must be a table { read = ..., write = ... }, not a string' },
      faults 'files = "x"')
    assert.same({ 'option "files.exec": unknown; it takes read, write' }, faults 'files = { exec = "x" }')
    assert.same({ 'option "env" = 5: must be a text or a list of texts, not a number' }, faults "env = 5")
    assert.is_nil(faults 'trust = "hardened", network = true, files = { read = "a" }, env = { "A" }')
  end)

  it("a sandbox withholds the variables that are set and not named", function()
    local _, _, planned = granted('env = "HOME"', FILES)
    assert.same({ true, nil }, { planned.withheld.PATH, planned.withheld.HOME })
  end)
end)
