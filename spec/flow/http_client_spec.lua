-- SPDX-License-Identifier: MIT
-- tide.http and tide.registry in a pipeline: what `network` opens and what it leaves closed, at which moment, and that
-- trust = "hardened" refuses both by name.
local socket = require "socket"
local certificates = require "spec.support.certificates"
local child = require "spec.support.child"
local http_stub = require "spec.support.http_stub"
local pipeline_file = require "spec.support.pipeline_file"
local ports = require "spec.support.port"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path
local SCHEMA = '{"type":"record","name":"R","fields":[{"name":"x","type":"int"}]}'

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 }, tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "letters" }, %s }]]

-- Runs a transform; PORT in it is the port. before: words of the command line. Returns the code, output, log, and the
-- dead letters.
local function run(settings, transform, port, input, before)
  local path, folder = pipeline_file.write(PIPELINE:format((settings:gsub("PORT", tostring(port)))), {
    ["t.lua"] = "local tide = require 'tidemill'\n" .. transform:gsub("PORT", tostring(port)),
    ["in"] = input or "x\n" })
  local command = { unpack(before or {}) }
  for _, word in ipairs { PROGRAM, "run", path, "--log-level", "warn" } do command[#command + 1] = word end
  local code, out, err = process.run(command, { cwd = folder })
  local file = io.open(folder .. "/letters", "rb")
  local letters = file and file:read "*a" or ""
  if file then file:close() end
  return code, out, err, letters
end

local ASK = [[
return { batch = function(messages)
  local list = {}
  for i, message in ipairs(messages) do list[i] = "http://localhost:PORT/" .. message.value end
  for i, answer in ipairs(tide.http.all(list, { concurrency = 2 })) do
    list[i] = answer.body or answer.error
  end
  return list
end }]]

describe("connections of transforms", function()
  after_each(function()
    process.stop_all()
    child.stop_all()
    pipeline_file.remove_all()
  end)

  local function echo()
    return http_stub.start(function(_, path) return 200, "heard " .. path end)
  end

  it("tide.http reaches the hosts of network, a whole batch at once", function()
    local port = echo()
    for _, network in ipairs { '{ "localhost:PORT" }', "true" } do
      local code, out, err = run("network = " .. network, ASK, port, "a\nb\nc\n")
      assert.same({ 0, "heard /a\nheard /b\nheard /c\n" }, { code, out }, err)
    end
  end)

  it("tide.http tells of what network does not open, for each request", function()
    local port = echo()
    local code, out, err = run('network = { "127.0.0.1:PORT" }', ASK, port)
    assert.same({ 0, "localhost: no such host, or none that `network` lists\n" }, { code, out }, err)
    code, out, err = run('network = { "localhost:1" }', ASK, port)
    assert.equal(0, code, err)
    assert.matches("Failed to connect to localhost.*: it is forbidden; the pipeline opens it by network = "
      .. '"localhost:' .. port .. '"', out)
    code, out, err = run("network = false", (ASK:gsub("localhost", "127.0.0.1")), port)
    assert.equal(0, code, err)
    assert.matches("Couldn't connect to server: it is forbidden; the pipeline opens it by network", out)
  end)

  it("tide.registry is asked in start, and by messages; what may come later is tried again", function()
    local port = http_stub.start(http_stub.registry())
    local code, out, err, letters = run('network = { "localhost:PORT" }, retry_timeout = 0.2', [[
local registry = tide.registry { url = "http://localhost:PORT" }
return { start = function() assert(registry:register("r", ']] .. SCHEMA .. [[')) end,
  process = function(message)
    local id = message.value:sub(1, 1)
    local value, problem, later = registry:decode("\0\0\0" .. (id == "5" and "\1\244" or "\0" .. string.char(id))
      .. "\14")
    if not value then return later and tide.retry(problem) or tide.reject(problem) end
    return { json = value }
  end }]], port, "1\n1\n2\n5\n")
    assert.same({ 0, '{"x":7}\n{"x":7}\n' }, { code, out }, err)
    assert.matches("404: Schema 2 not found", letters)
    assert.matches("schemas/ids/500: 500: no answer of a registry", letters)
  end)

  -- A server of https with a certificate of `folder`'s own authority, ca.pem. Returns its port.
  local function https(folder)
    certificates.authority(folder, "ca")
    certificates.signed(folder, "ca", "own")
    local port = ports.keep()
    process.start({ "openssl", "s_server", "-accept", "127.0.0.1:" .. port, "-cert", folder .. "/own.pem", "-key",
      folder .. "/own.key", "-www" }, { env = { LD_PRELOAD = false } })
    wait.until_true(function()
      local one = socket.connect("127.0.0.1", port)
      return one and one:close() ~= nil
    end, 30, "the server")
    return port
  end

  -- What requests with the authority and without it come to.
  local BOTH = [[
return function()
  local known = tide.http.request { url = "https://127.0.0.1:PORT/", ca = "FOLDER/ca.pem" }
  local _, problem = tide.http.request { url = "https://127.0.0.1:PORT/" }
  return tostring(known and known.status) .. " " .. tostring(problem)
end]]

  it("tide.http takes the certificate of a host whose authority it knows, and of no other", function()
    local folder = pipeline_file.folder()
    local code, out, err = run(('network = "127.0.0.1:PORT", files = { read = "%s" }'):format(folder),
      (BOTH:gsub("FOLDER", folder)), https(folder))
    assert.equal(0, code, err)
    assert.matches("^200 SSL certificate problem", out)
    assert.not_matches("ca-certificates", out, 1, true)
  end)

  -- In a namespace of its own, where the folders of certificates are empty.
  it("tide.http says which package is missing when the system has no certificates of authorities", function()
    local folder = pipeline_file.folder()
    local code, out, err = run(('network = "127.0.0.1:PORT", files = { read = "%s" }'):format(folder),
      (BOTH:gsub("FOLDER", folder)), https(folder), nil, { "unshare", "-rm", "sh", "-c",
        'for f in /etc/ssl /etc/pki; do [ ! -d $f ] || mount -t tmpfs none $f; done; exec "$0" "$@"' })
    assert.equal(0, code, err)
    assert.matches("^200 ", out)
    assert.matches("this system has no certificates of authorities; install the Debian package ca-certificates, or "
      .. "name a file with `ca`", out, 1, true)
  end)

  it("trust hardened refuses tide.http and tide.registry by name", function()
    for name, call in pairs { http = 'tide.http.request "http://localhost/"',
      registry = 'tide.registry { url = "http://x" }' } do
      local code, _, err = run('trust = "hardened"', "local x = " .. call .. "\nreturn function(m) return m end", 1)
      assert.equal(78, code, err)
      assert.matches(('t.lua:2: tide.%s is refused under trust = "hardened"'):format(name), err)
    end
  end)

  it("a field with the name of a module opens no library", function()
    local code, out, err = run('trust = "hardened"', [[
return function(message)
  local event = { http = "GET", registry = 1 }
  return event.http .. event.registry
end]], 1)
    assert.same({ 0, "GET1\n" }, { code, out }, err)
  end)
end)
