-- SPDX-License-Identifier: MIT
local child = require "spec.support.child"
local http_client = require "tidemill.cli.http_client"
local exit_code = require "tidemill.plan.exit_code"
local port = require "spec.support.port"
local socket = require "socket"

local listener, address

before_each(function()
  listener = assert(socket.bind("127.0.0.1", 0))
  address = "127.0.0.1:" .. select(2, listener:getsockname())
end)

after_each(function()
  child.stop_all()
  listener:close()
end)

-- Answers one request with these bytes, one piece after another; `keep`: the connection then stays open.
local function answer(pieces, keep)
  child.start(function()
    local connection = listener:accept()
    repeat local line = connection:receive("*l") until not line or line == ""
    for _, piece in ipairs(pieces) do
      connection:send(piece)
      socket.sleep(0.01)
    end
    if keep then socket.sleep(60) end
    connection:close()
  end)
end

local function document(body, status)
  return ("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s"):format(status or "200 OK", #body, body)
end

local CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

describe("an address", function()
  for text, expected in pairs {
    ["127.0.0.1:9464"] = "127.0.0.1:9464", [":9464"] = "127.0.0.1:9464", ["http://a.b-c:80/"] = "a.b-c:80",
    ["[::1]:9464"] = "[::1]:9464",
  } do
    it(text .. " is " .. expected, function() assert.equal(expected, http_client.address(text)) end)
  end

  for _, text in ipairs { "", "host", "host:0", "host:70000", "a b:1", "https://a:1", "host:1/path", "host:1\27[2J" } do
    it(("%q is none, and the error is free of control characters"):format(text), function()
      local made, reason, code = http_client.address(text)
      assert.is_nil(made)
      assert.truthy(reason:find("write HOST:PORT", 1, true))
      assert.is_nil(reason:find("%c"))
      assert.equal(exit_code.USAGE, code)
    end)
  end
end)

describe("a document", function()
  it("is the body of the answer", function()
    answer { document("hello") }
    assert.equal("hello", http_client.get(address, "/x"))
  end)

  it("in JSON is a table, in which null is absent", function()
    answer { document '{"lag":null,"list":[{"a":1,"b":null}]}' }
    assert.same({ list = { { a = 1 } } }, http_client.json(address, "/x"))
  end)

  it("where nobody listens is not reached, and the reason names address and remedy", function()
    address = "127.0.0.1:" .. port.keep()
    local body, reason, code = http_client.get(address, "/x")
    assert.is_nil(body)
    assert.equal(exit_code.UNREACHED, code)
    assert.truthy(reason:find(address, 1, true) and reason:find("--metrics-addr", 1, true), reason)
  end)

  it("that does not come is not waited for longer than told", function()
    answer({}, true)
    local body, reason, code = http_client.get(address, "/x", 0.1)
    assert.same({ nil, exit_code.UNREACHED }, { body, code })
    assert.truthy(reason:find("in time", 1, true), reason)
  end)

  it("that comes byte by byte for ever is not waited for either", function()
    local bytes = { "HTTP/1.1 200 OK\r\n\r\n" }
    for _ = 1, 1000 do bytes[#bytes + 1] = "x" end
    answer(bytes, true)
    local body, _, code = http_client.get(address, "/x", 0.2)
    assert.same({ nil, exit_code.UNREACHED }, { body, code })
  end)

  it("whose head or chunks come bit by bit for ever is not waited for either", function()
    local chunks = { CHUNKED }
    for _ = 1, 1000 do chunks[#chunks + 1] = "1\r\nx\r\n" end
    local head = { "HTTP/1.1 200 OK\r\n" }
    for _ = 1, 1000 do head[#head + 1] = "a: b\r\n" end
    for _, pieces in ipairs { chunks, head } do
      answer(pieces, true)
      local body, _, code = http_client.get(address, "/x", 0.2)
      assert.same({ nil, exit_code.UNREACHED }, { body, code })
    end
  end)

  it("with a line or a chunk that is too large is refused before it is read", function()
    for _, pieces in ipairs { { "HTTP/1.1 200 OK\r\na: " .. ("x"):rep(9000) }, { CHUNKED .. "40000000\r\n" } } do
      answer(pieces, true)
      local body, reason, code = http_client.get(address, "/x", 20)
      assert.same({ nil, exit_code.DATA }, { body, code })
      assert.truthy(reason:find("too l[oa]", 1), reason)
    end
  end)

  it("with a header in two lines that is cut off is bad data", function()
    answer { "HTTP/1.1 200 OK\r\na: b\r\n  c\r\n" }
    local body, _, code = http_client.get(address, "/x")
    assert.same({ nil, exit_code.DATA }, { body, code })
  end)

  it("that ends early is an error", function()
    answer { (document("hello world"):sub(1, -4)) }
    local body, reason, code = http_client.get(address, "/x")
    assert.same({ nil, exit_code.UNREACHED }, { body, code })
    assert.truthy(reason:find("before the answer was complete", 1, true), reason)
  end)

  it("with another status than 200 is bad data, and the status is named", function()
    answer { document("no", "404 Not Found") }
    local body, reason, code, status = http_client.get(address, "/x")
    assert.same({ nil, exit_code.DATA, 404 }, { body, code, status })
    assert.truthy(reason:find("404", 1, true), reason)
  end)

  it("of what is no HTTP server, or is no JSON, is bad data", function()
    answer { "SSH-2.0-OpenSSH_9.2\r\n" }
    assert.equal(exit_code.DATA, select(3, http_client.get(address, "/x")))
    answer { document "<html>" }
    assert.equal(exit_code.DATA, select(3, http_client.json(address, "/x")))
  end)

  it("of another version of the status is refused", function()
    answer { document '{"version":2}' }
    local _, reason, code = http_client.status(address)
    assert.equal(exit_code.DATA, code)
    assert.truthy(reason:find("version 2", 1, true))
  end)
end)

describe("a stream", function()
  it("is handed over by lines, however they arrive", function()
    answer { CHUNKED, "3\r\na\nb\r\n", "5\r\nc\n\nde\r\n", "0\r\n\r\n" }
    local lines = {}
    assert.is_true(http_client.lines(address, "/x", function(line) lines[#lines + 1] = line end))
    assert.same({ "a", "bc", "" }, lines)
  end)

  it("is left when its reader has enough", function()
    answer({ CHUNKED, "4\r\na\nb\n\r\n" }, true)
    local lines = {}
    assert.is_true(http_client.lines(address, "/x", function(line)
      lines[#lines + 1] = line
      return #lines < 2
    end))
    assert.same({ "a", "b" }, lines)
  end)

  it("that is silent for longer than told is not reached", function()
    answer({ CHUNKED, "2\r\na\n\r\n" }, true)
    local done, reason, code = http_client.lines(address, "/x", function() end, 0.1)
    assert.same({ nil, exit_code.UNREACHED }, { done, code })
    assert.truthy(reason:find("in time", 1, true), reason)
  end)
end)
