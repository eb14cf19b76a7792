-- SPDX-License-Identifier: MIT
-- The HTTP server by itself: what it answers, and what it does not put up with.
local ffi = require "ffi"
local http = require "spec.support.http"
local library = require "tidemill.run.ffi"
local socket = require "socket"
local wait = require "spec.support.wait"
local C = library.C

local server, port

local function start(host, wanted)
  local status = ffi.new "int[1]"
  local handle = C.tide_http_new(host or "127.0.0.1", wanted or 0, status)
  if handle == nil then return nil, status[0], library.error() end
  return handle
end

local function publish(path, text, type)
  assert.equal(0, C.tide_http_publish(server, path, type or "text/plain", text, #text))
end

before_each(function()
  server = assert(start())
  port = C.tide_http_port(server)
end)

after_each(function() C.tide_http_free(server) end)

describe("a document", function()
  it("is what was published last, with its type", function()
    publish("/a", "old")
    publish("/a", '{"new":1}', "application/json")
    local answer = http.get(port, "/a?b=c")
    assert.equal(200, answer.code)
    assert.equal('{"new":1}', answer.body)
    assert.equal("application/json", answer.headers["content-type"])
  end)

  it("goes on to a client that is still reading it when the next one is published", function()
    local old = ("x"):rep(8 * 2 ^ 20)
    publish("/a", old)
    local connection = http.connect(port)
    connection:send(http.request("GET", "/a"))
    local first = assert(connection:receive(1000))
    publish("/a", "new")
    assert.equal("new", http.get(port, "/a").body)
    assert.equal(old, http.parse(first .. http.read_all(connection)).body)
    connection:close()
  end)

  it("is not sent for HEAD, but its headers are", function()
    publish("/a", "hello")
    local answer = http.send(port, http.request("HEAD", "/a"))
    assert.same({ 200, "5", "" }, { answer.code, answer.headers["content-length"], answer.body })
  end)

  it("may have no outside resources, no other type, no frame, and no copy in a cache", function()
    publish("/a", "hello")
    for _, path in ipairs { "/a", "/none" } do
      local headers = http.get(port, path).headers
      assert.matches("^default%-src 'none'; script%-src 'self';", headers["content-security-policy"])
      assert.matches("frame%-ancestors 'none'", headers["content-security-policy"])
      assert.equal("nosniff", headers["x-content-type-options"])
      assert.equal("no-store", headers["cache-control"])
    end
  end)

  it("is refused when there are too many paths", function()
    for i = 1, C.TIDE_HTTP_DOCUMENTS do publish("/" .. i, "x") end
    assert.equal(C.TIDE_ECONFIG, C.tide_http_publish(server, "/more", "text/plain", "x", 1))
    publish("/1", "again")
    assert.equal("again", http.get(port, "/1").body)
  end)
end)

describe("a request", function()
  it("of another method is answered with 405 and what is allowed", function()
    publish("/a", "hello")
    for _, method in ipairs { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW" } do
      local answer = http.send(port, http.request(method, "/a"))
      assert.same({ 405, "GET, HEAD" }, { answer.code, answer.headers.allow }, method)
    end
  end)

  it("of another method gets its answer before its body has come", function()
    local answer = http.send(port, http.request("POST", "/a", { ["Content-Length"] = 2 ^ 40 }) .. ("x"):rep(1000))
    assert.equal(405, answer.code)
  end)

  it("of an unknown path is answered with 404 and the paths that there are", function()
    publish("/a", "hello")
    for _, path in ipairs { "/b", "/a/", "/A", "//a", "/%61", "/../a" } do
      local answer = http.get(port, path)
      assert.equal(404, answer.code, path)
      assert.equal("there is no such path; there are: /healthz /readyz /a\n", answer.body)
    end
  end)

  it("of a path in a form that none of ours has is refused", function()
    publish("/a", "hello")
    for _, path in ipairs { "*", "http://x/a", "/a%00", "/a%00b", "a", "/a\127", "/\255" } do
      local code = http.get(port, path).code
      assert.is_true(code == 400 or code == 404, path)
    end
  end)

  it("with the name of another host is refused, since a page of another site may have sent it", function()
    publish("/a", "hello")
    C.tide_http_allow(server, "metrics.example")
    for _, host in ipairs { "127.0.0.1", "10.1.2.3:80", "[::1]:9464", "[2001:db8::1]", "localhost", "LOCALHOST:1",
      "metrics.example", "metrics.example:80" } do
      assert.equal(200, http.get(port, "/a", { Host = host }).code, host)
    end
    for _, host in ipairs { "evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example",
      "metrics.example.", ("a"):rep(5000), "127.0.0.1@evil.example", "" } do
      assert.equal(403, http.get(port, "/a", { Host = host }).code, host)
    end
  end)

  it("that is not HTTP is closed or refused, and the next one is answered", function()
    publish("/a", "hello")
    for _, text in ipairs { "\r\n\r\n", "\0\1\2\255\r\n\r\n", "GET\r\n\r\n", "GET /a\r\n\r\n",
      "\22\3\1\2\0\1\0\1\252\3\3", "GET /a HTTP/9.9\r\n\r\n", "GET /a HTTP/1.1\r\n: x\r\n\r\n",
      "GET /a HTTP/1.1\r\nHost 127.0.0.1\r\n\r\n" } do
      C.tide_http_limit(server, 200000, 1e7)
      local connection = http.connect(port)
      connection:send(text)
      connection:shutdown "send"
      http.read_all(connection)
      connection:close()
      C.tide_http_limit(server, 1e7, 1e7) -- a busy machine may take longer than that for what is right
      assert.equal("hello", http.get(port, "/a").body)
    end
  end)

  it("with a long path or query is answered with 414", function()
    assert.equal(414, http.get(port, "/" .. ("a"):rep(C.TIDE_HTTP_LONGEST)).code)
    assert.equal(404, http.get(port, "/" .. ("a"):rep(C.TIDE_HTTP_LONGEST - 2)).code)
    assert.equal(414, http.get(port, "/a?" .. ("a"):rep(C.TIDE_HTTP_QUERY)).code)
  end)

  it("whose head is too large is refused, be it in one line or in thousands", function()
    publish("/a", "hello")
    local many = {}
    for i = 1, 5000 do many["X-" .. i] = "y" end
    for _, text in ipairs { http.request("GET", "/" .. ("a"):rep(100000)), ("a"):rep(1000000),
      http.request("GET", "/a", { Cookie = ("a"):rep(100000) }), http.request("GET", "/a", many) } do
      local answer = http.send(port, text)
      assert.is_true(answer == nil or answer.code >= 400)
      assert.equal("hello", http.get(port, "/a").body)
    end
  end)

  it("that comes one byte at a time is cut when its time is up", function()
    C.tide_http_limit(server, 300000, 1e7)
    local connection, sent = http.connect(port), 0
    local request = http.request("GET", "/a", { Cookie = ("a"):rep(2000) })
    wait.until_true(function()
      sent = sent + 1
      return not connection:send(request:sub(sent, sent)) or sent == #request
    end, "the server to close")
    assert.is_true(sent < #request)
    connection:close()
  end)

  it("whose answer is not read is cut when its time is up", function()
    C.tide_http_limit(server, 1e7, 300000)
    publish("/a", ("x"):rep(32 * 2 ^ 20))
    local connection = http.connect(port)
    connection:send(http.request("GET", "/a"))
    wait.until_true(function() return not connection:send "x" end, "the server to close")
    assert.is_true(#http.read_all(connection) < 32 * 2 ^ 20)
    connection:close()
  end)
end)

describe("a thousand connections that send nothing", function()
  it("keep nobody out: those that have waited longest are closed", function()
    publish("/a", "hello")
    local idle, left = {}, 0
    for i = 1, 900 do idle[i] = http.connect(port) end -- a select() of LuaSocket takes no descriptor beyond 1,023
    for _ = 1, 100 do assert.equal("hello", http.get(port, "/a").body) end
    for _, connection in ipairs(idle) do
      connection:settimeout(0)
      local _, reason = connection:receive(1)
      if reason == "timeout" then left = left + 1 end
      connection:close()
    end
    assert.is_true(left <= C.TIDE_HTTP_CLIENTS, left)
  end)
end)

describe("a live request", function()
  local request = ffi.new "struct tide_http_request"

  local function take()
    wait.until_true(function() return C.tide_http_next(server, request) end, "a live request")
    return request.id
  end

  local function ask(path)
    local connection = http.connect(port)
    connection:send(http.request("GET", path))
    return connection
  end

  local function write(id, text) return tonumber(C.tide_http_write(server, id, text, #text)) end

  before_each(function() assert.equal(0, C.tide_http_offer(server, "/live", "application/x-ndjson")) end)

  it("of a path that ends with a slash is one of all paths that begin with it", function()
    publish("/", "home")
    assert.equal(0, C.tide_http_offer(server, "/all/", "application/x-ndjson"))
    for rest in pairs { [""] = true, ["a%2F/b"] = true, [("k"):rep(C.TIDE_HTTP_LONGEST - 6)] = true } do
      local connection = ask("/all/" .. rest .. "?q")
      take()
      assert.same({ "/all/", rest, "q" }, { ffi.string(request.path), ffi.string(request.rest),
        ffi.string(request.query) })
      C.tide_http_refuse(server, request.id, 404, "none")
      assert.matches("404", (http.read_all(connection)))
    end
    assert.same({ 404, 200 }, { http.get(port, "/all").code, http.get(port, "/").code })
  end)

  it("is taken with path and query, and answered in pieces", function()
    local connection = ask "/live?a=%20b"
    local id = take()
    assert.same({ "/live", "a=%20b" }, { ffi.string(request.path), ffi.string(request.query) })
    assert.is_false(C.tide_http_next(server, request))
    assert.equal(C.TIDE_HTTP_TAKEN, write(id, "one\n"))
    local text = ""
    repeat text = text .. assert(connection:receive "*l") .. "\r\n" until text:find "one"
    assert.equal(C.TIDE_HTTP_TAKEN, write(id, "two\n"))
    C.tide_http_end(server, id, 404)
    local answer = http.parse(text .. http.read_all(connection))
    assert.equal(200, answer.code)
    assert.equal("application/x-ndjson", answer.headers["content-type"])
    assert.matches("two\n", answer.body)
  end)

  it("is answered with the code of its end when nothing was written", function()
    local connection = ask "/live"
    C.tide_http_end(server, take(), 404)
    assert.equal(404, http.parse(http.read_all(connection)).code)
  end)

  it("loses what its client does not read, and never makes the writer wait", function()
    local connection = ask "/live"
    local id, piece, taken = take(), ("x"):rep(65536), 0
    wait.until_true(function()
      local written = write(id, piece)
      if written == C.TIDE_HTTP_TAKEN then taken = taken + #piece end
      return written == C.TIDE_HTTP_FULL
    end, "the buffer to be full")
    C.tide_http_end(server, id, 200)
    local answer = http.parse(http.read_all(connection))
    assert.is_true(answer.complete)
    assert.equal(taken, #answer.body)
    connection:close()
  end)

  it("tells the writer that its client has left", function()
    local connection = ask "/live"
    local id = take()
    write(id, "one\n")
    connection:receive(1)
    connection:close()
    wait.until_true(function() return write(id, "x\n") == C.TIDE_HTTP_GONE end, "the end to be seen")
    C.tide_http_end(server, id, 200)
  end)

  it("is forgotten when its client leaves before it was taken", function()
    ask("/live"):close()
    local second = ask "/live?second"
    wait.until_true(function()
      local id = take()
      if ffi.string(request.query) ~= "second" then C.tide_http_end(server, id, 200) end
      return ffi.string(request.query) == "second"
    end, "the second request")
    C.tide_http_end(server, request.id, 404)
    assert.equal(404, http.parse(http.read_all(second)).code)
  end)

  it("beyond the limit is answered with 503, and the others go on", function()
    local connections, ids = {}, {}
    for i = 1, C.TIDE_HTTP_LIVES do
      connections[i] = ask "/live"
      ids[i] = take()
    end
    assert.equal(503, http.get(port, "/live").code)
    for i, id in ipairs(ids) do
      write(id, "text " .. i)
      C.tide_http_end(server, id, 200)
    end
    for i, connection in ipairs(connections) do
      assert.equal("text " .. i, http.parse(http.read_all(connection)).body)
    end
  end)

  it("of a writer that is slow to write stays", function()
    local connection = ask "/live"
    local id = take()
    C.tide_clock_advance(100e6) -- more than both limits
    -- What comes behind an answer is answered in a later turn, which has looked at the deadlines before.
    for _ = 1, 2 do assert.equal(404, http.get(port, "/none").code) end
    write(id, "late")
    C.tide_http_end(server, id, 200)
    assert.equal("late", http.parse(http.read_all(connection)).body)
  end)

  it("that is open does not keep the server from ending", function()
    local taken = ask "/live"
    take()
    local written = ask "/live"
    write(take(), "x")
    local asked = ask "/live"
    C.tide_http_free(server)
    for _, connection in ipairs { taken, asked, written } do http.read_all(connection) end
    server = assert(start())
  end)
end)

describe("the probes", function()
  it("say that the loop turns, and whether it reads", function()
    local function probe(path)
      local answer = http.get(port, path)
      return { answer.code, answer.body }
    end
    assert.same({ 200, "ok\n" }, probe "/healthz")
    assert.same({ 503, "starting\n" }, probe "/readyz")
    C.tide_http_alive(server, false, "connecting")
    assert.same({ 503, "connecting\n" }, probe "/readyz")
    C.tide_http_alive(server, true, "ready")
    assert.same({ 200, "ready\n" }, probe "/readyz")
  end)

  it("fail when the loop has not turned for half a minute, until it turns again", function()
    C.tide_http_alive(server, true, "ready")
    C.tide_clock_advance(31e6)
    for _, path in ipairs { "/healthz", "/readyz" } do
      local answer = http.get(port, path)
      assert.equal(503, answer.code)
      assert.matches("^the engine's loop has not turned for 3%d s\n$", answer.body)
    end
    C.tide_http_alive(server, true, "ready")
    assert.equal(200, http.get(port, "/healthz").code)
    assert.equal(200, http.get(port, "/readyz").code)
  end)
end)

describe("the socket", function()
  it("on a port in use is a fault of configuration, and named", function()
    local handle, status, text = start("127.0.0.1", port)
    assert.is_nil(handle)
    assert.equal(C.TIDE_ECONFIG, status)
    assert.matches(("^HTTP on 127%%.0%%.0%%.1, port %d: the port is in use by another program; "):format(port), text)
  end)

  it("of a host that is not known is a fault of configuration", function()
    local handle, status, text = start "no-such-host.invalid"
    assert.is_nil(handle)
    assert.equal(C.TIDE_ECONFIG, status)
    assert.matches("^HTTP on no%-such%-host%.invalid: ", text)
  end)

  it("is not open on other addresses than the one that was asked for", function()
    local connection = socket.tcp()
    connection:settimeout(20)
    assert.is_nil(connection:connect("127.0.0.2", port))
    connection:close()
  end)
end)

it("the server's thread takes no signal", function()
  local pid = require("tidemill.run.posix").getpid()
  -- The thread of the server before may still be in the kernel's list.
  local path = wait.until_true(function()
    local list = assert(io.popen(("grep -ls '^http$' /proc/%d/task/*/comm"):format(pid))):read "*a"
    return list:match "^([^\n]+)/comm\n$"
  end, "one thread of a server")
  local status = assert(io.open(path .. "/status")):read "*a"
  local blocked = tonumber(status:match "SigBlk:%s*%x*(%x%x%x%x%x%x%x%x)\n", 16)
  for _, number in ipairs { 1, 2, 3, 10, 12, 13, 15, 17 } do -- HUP INT QUIT USR1 USR2 PIPE TERM CHLD
    assert.is_true(bit.band(blocked, 2 ^ (number - 1)) ~= 0, number)
  end
end)
