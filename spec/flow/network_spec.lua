-- SPDX-License-Identifier: MIT
-- `network` as a list of hosts, by the whole program and LuaSocket: what is listed can be reached as if there were no
-- list. That nothing else can be is in spec/escape/network_spec.lua.
local ffi = require "ffi"
local socket = require "socket"
local child = require "spec.support.child"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local ports = require "spec.support.port"
local wait = require "spec.support.wait"
local C = require("spec.support.headers").declare("proc/sandbox_inside.h")

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 }, tide.file_sink { path = "-" },
  dlq = tide.dlq { path = "letters" }, network = { %s } }]]

local HEAD = [[
local socket, PORT = require "socket", %d
local function ask(host, text)
  local one = socket.tcp()
  one:settimeout(10)
  local connected, problem = one:connect(host, PORT)
  if not connected then return problem end
  one:send(text .. "\n")
  local answer = one:receive "*l"
  one:close()
  return answer
end
]]

-- A TCP and a UDP socket at one port: that of the first may be another's for the second.
local function sockets()
  for _ = 1, 100 do
    local tcp, udp = assert(socket.bind("127.0.0.1", 0)), assert(socket.udp())
    local _, port = tcp:getsockname()
    if udp:setsockname("127.0.0.1", port) then return tcp, udp, port end
    tcp:close()
    udp:close()
  end
  error "no port is free for both"
end

-- Answers a line, or a datagram, with "heard " before it, in a process of its own. Returns the port.
local function serve()
  local tcp, udp, port = sockets()
  child.start(function()
    while true do
      for _, ready in ipairs((socket.select { tcp, udp })) do
        if ready == udp then
          local text, host, from = udp:receivefrom()
          udp:sendto("heard " .. text, host, from)
        else
          local one = tcp:accept()
          local line = one:receive "*l"
          if line then one:send("heard " .. line .. "\n") end
          one:close()
        end
      end
    end
  end)
  tcp:close()
  udp:close()
  return port
end

local function written(hosts, port, transform, input)
  return pipeline_file.write(PIPELINE:format(hosts:gsub("PORT", tostring(port))), {
    ["t.lua"] = HEAD:format(port) .. transform, ["in"] = input or "x\n" })
end

-- Runs a transform under a list of hosts, in which PORT is the server's. Returns the code, output and log.
local function run(hosts, port, transform, input)
  local path, folder = written(hosts, port, transform, input)
  return process.run({ PROGRAM, "run", path, "--log-level", "warn" }, { cwd = folder })
end

-- Asserts what the transform has returned.
local function check(expected, ...)
  local code, out, err = run(...)
  assert.same({ 0, expected .. "\n" }, { code, out }, err)
end

describe("a list of hosts", function()
  local port

  before_each(function() port = serve() end)
  after_each(function()
    process.stop_all()
    child.stop_all()
    pipeline_file.remove_all()
  end)

  it("a list of hosts lets a transform reach a host by its name and by its address, at every moment", function()
    check("heard load, heard init, heard start, heard x", '"localhost:PORT"', port, [[
local said = { ask("localhost", "load") }
return { init = function() said[2] = ask("127.0.0.1", "init") end,
  start = function() said[3] = ask("localhost", "start") end,
  process = function(message) return table.concat(said, ", ") .. ", " .. ask("127.0.0.1", message.value) end }]])
  end)

  it("a list of hosts holds for the port, the address and the name", function()
    check("permission denied, permission denied, heard x, true, 127.0.0.1, nil",
      '"127.0.0.1:PORT", "localhost:9"', port, [[
return function(message)
  local other = socket.tcp():connect("127.0.0.1", PORT + 1)
  local _, problem = socket.tcp():connect("127.0.0.1", PORT + 1)
  return table.concat({ problem, ask("127.0.0.2", "x"), ask("localhost", "x"),
    tostring(ask("no.such.host", "x"):find "known" ~= nil), socket.dns.toip "localhost",
    tostring((socket.dns.toip "no.such.host")) .. (other and "!" or "") }, ", ")
end]])
  end)

  it("a list of hosts lets a transform send datagrams to a host that it is connected to, and to no other", function()
    check("heard one, Operation not permitted, permission denied", '"127.0.0.1:PORT"', port, [[
return function(message)
  local one = socket.udp()
  one:settimeout(10)
  assert(one:setpeername("127.0.0.1", PORT))
  one:send "one"
  local heard = one:receive()
  local two = socket.udp4()
  local _, refused = two:sendto("two", "127.0.0.1", PORT)
  local _, denied = two:setpeername("127.0.0.1", PORT + 1)
  return table.concat({ heard, refused, denied }, ", ")
end]])
  end)

  it("a list of hosts leaves a connection that is not waited for as it is elsewhere", function()
    check("timeout, true, already connected, heard x", '"127.0.0.1:PORT"', port, [[
return function(message)
  local one = socket.tcp4()
  one:settimeout(0)
  local _, first = one:connect("127.0.0.1", PORT)
  local _, writable = socket.select({}, { one }, 10)
  local _, second = one:connect("127.0.0.1", PORT)
  one:settimeout(10)
  one:send "x\n"
  return table.concat({ tostring(first), tostring(writable[one] ~= nil), tostring(second), one:receive "*l" }, ", ")
end]])
  end)

  it("a list of hosts leaves a socket that waits as it was: its number, its options, and that it waits", function()
    check("0, 3, true, 0", '"127.0.0.1:PORT"', port, [[
local ffi = require "ffi"
ffi.cdef "int socket(int, int, int); int connect(int, const void *, unsigned); int fcntl(int, int, ...);"
ffi.cdef "int setsockopt(int, int, int, const void *, unsigned); int getsockopt(int, int, int, void *, unsigned *);"
return function(message)
  local fd = ffi.C.socket(2, 0x80001, 0)
  local value, size = ffi.new("int[1]", 3), ffi.new("unsigned[1]", 4)
  assert(ffi.C.setsockopt(fd, 6, 6, value, 4) == 0) -- TCP_KEEPCNT
  local address = ffi.new("uint8_t[16]", 2, 0, math.floor(PORT / 256), PORT % 256, 127, 0, 0, 1)
  local result = ffi.C.connect(fd, address, 16)
  value[0] = 0
  ffi.C.getsockopt(fd, 6, 6, value, size)
  return ("%d, %d, %s, %d"):format(result, value[0], tostring(ffi.C.fcntl(fd, 1) == 1),
    require "bit".band(ffi.C.fcntl(fd, 3), 0x800))
end]])
  end)

  it("a list of hosts says of a host that does not listen what the kernel says", function()
    local closed = ports.keep() -- nobody else can listen there
    check("connection refused", '"127.0.0.1:PORT"', closed, "return function() return (ask('127.0.0.1', 'x')) end")
  end)

  it("a list of hosts holds for the worker that takes another's place", function()
    local path, folder = written('"127.0.0.1:PORT"', port, [[
return function(message)
  if message.value == "leave" then require("ffi").cast("int *", 0)[0] = 1 end
  return ask("127.0.0.1", message.value)
end]], "a\nleave\nb\n")
    local code, out, err = process.run({ PROGRAM, "run", path, "--log-level", "error" }, { cwd = folder })
    assert.same({ 0, "heard a\nheard b\n" }, { code, out }, err)
  end)

  it("a list of hosts warns of a name that is not known, and reaches the others", function()
    local name = ("n"):rep(64) -- longer than a name may be, so that no name server is asked
    local code, out, err = run(('"%s:80", "127.0.0.1:PORT"'):format(name), port,
      "return function(m) return (ask('127.0.0.1', m.value)) end")
    assert.same({ 0, "heard x\n" }, { code, out }, err)
    assert.matches('option "network": ' .. name .. ": .*; it is looked up again when it is wanted", err)
  end)

  it("a list of hosts is what check says of it", function()
    local path, folder = written('"db.example.com:5432", "[::1]:80"', port, "return print")
    local code, out, err = process.run({ PROGRAM, "check", path }, { cwd = folder })
    assert.equal(0, code, err)
    assert.is_truthy(out:find("trust standard: connects to db.example.com:5432, [::1]:80; ", 1, true), out)
  end)

  it("a list of hosts whose connector is lost ends the run with 75", function()
    local path, folder = written('"127.0.0.1:PORT"', port, "return print")
    local file = assert(io.open(path))
    local text = file:read "*a":gsub('path = "in"', 'path = "fifo"')
    file:close()
    file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    assert(os.execute("mkfifo " .. folder .. "/fifo") == 0)
    local pipe = assert(io.open(folder .. "/fifo", "r+"))
    finally(function() pipe:close() end)
    local one = process.start({ PROGRAM, "run", path }, { cwd = folder })
    local connector = wait.until_true(function()
      local children = process.children(one:pid())
      return children[2] and children[1]
    end, "connector and zygote")
    process.kill(connector)
    assert.equal(75, one:wait(), one:stderr())
    assert.matches("the connector, which makes the connections of transforms, is lost", one:stderr())
  end)

  it("a list of hosts is refused on a kernel that cannot keep it", function()
    local plan = ffi.new("struct tide_plan_sandbox", { trust = C.TIDE_TRUST_STANDARD, host_count = 1 })
    local support = ffi.new("struct tide_sandbox_support", { seccomp = false, landlock = 7 })
    assert.equal(C.TIDE_ECONFIG, C.tide_sandbox_check(support, plan))
    assert.matches("^network = { ... } needs a kernel with seccomp", ffi.string(C.tide_error()))
    support.seccomp = true
    assert.equal(C.TIDE_OK, C.tide_sandbox_check(support, plan))
  end)
end)
