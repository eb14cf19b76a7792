-- SPDX-License-Identifier: MIT
local socket = require "socket"
local udp = require "tidemill.metrics.udp"
local wait = require "spec.support.wait"

local function sender(host, port, now)
  local texts = {}
  local made = udp.new({ host = host, port = port, text = host .. ":" .. port }, function(text)
    texts[#texts + 1] = text
  end, now)
  return made, texts
end

-- A port that nobody listens on, and the socket that keeps it from others. It is connected with itself, so that what
-- comes from elsewhere is refused.
local function closed_port()
  local taken = socket.udp4()
  assert(taken:setsockname("127.0.0.1", 0))
  local _, port = taken:getsockname()
  assert(taken:setpeername("127.0.0.1", port))
  return tonumber(port), taken
end

describe("a packet", function()
  it("comes to the server", function()
    local server = socket.udp4()
    server:settimeout(20)
    assert(server:setsockname("127.0.0.1", 0))
    local made, texts = sender("localhost", tonumber((select(2, server:getsockname()))))
    made:send "a:1|c\nb:2|g"
    assert.equal("a:1|c\nb:2|g", server:receive())
    assert.same({ 1, 0, {} }, { made.sent, made.dropped, texts })
    made:free()
    server:close()
  end)

  it("is dropped and counted when nobody is there, and the log says so once a minute", function()
    local now = 1000
    local port, taken = closed_port()
    local made, texts = sender("127.0.0.1", port, function() return now end)
    wait.until_true(function()
      made:send "x:1|c"
      return made.dropped == 3
    end, "three packets to be refused")
    assert.equal(1, #texts)
    assert.matches("^StatsD at 127%.0%.0%.1:%d+: connection refused; packets dropped so far: 1$", texts[1])
    now = now + 61
    wait.until_true(function()
      made:send "x:1|c"
      return made.dropped == 4
    end, "another one")
    assert.equal(2, #texts)
    made:free()
    taken:close()
  end)

  it("is dropped when the server's name is not known", function()
    local made, texts = sender("no-such-host.invalid", 8125)
    made:send "x:1|c"
    assert.same({ 0, 1, 1 }, { made.sent, made.dropped, #texts })
    assert.matches("^StatsD at no%-such%-host%.invalid:8125: .*; no metrics are sent there in this run$", texts[1])
    made:free()
  end)

  it("is dropped while there is no way to the server, and the log says so", function()
    local made, texts = sender("255.255.255.255", 8125)
    for _ = 1, 2 do made:send "x:1|c" end
    assert.same({ 0, 2, 1 }, { made.sent, made.dropped, #texts })
    assert.matches("^StatsD at 255%.255%.255%.255:8125: .*; packets dropped so far: 1$", texts[1])
    made:free()
  end)
end)
