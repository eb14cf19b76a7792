-- SPDX-License-Identifier: MIT
local channel = require "tidemill.cli.engines.channel"
local ffi = require "ffi"
local posix = require "tidemill.run.posix"

local function pair()
  local one, other = assert(channel.pair())
  return channel.new(one), channel.new(other)
end

local function all(from)
  local list = {}
  for name, bytes in from:messages() do list[#list + 1] = name .. ":" .. bytes end
  return list
end

describe("a channel between supervisor and engine", function()
  it("a channel brings messages whole and in order, with any bytes, and empty ones", function()
    local one, other = pair()
    one:send("snapshot", "a\0\n# \255")
    one:send("stop")
    other:send("taken", "7")
    assert.same({ "snapshot:a\0\n# \255", "stop:" }, all(other))
    assert.same({ "taken:7" }, all(one))
    assert.same({}, all(one))
  end)

  it("a channel brings messages that are larger than the socket takes at once", function()
    local one, other = pair()
    local text, got = ("x"):rep(3 * 2 ^ 20), {}
    one:send("page", text)
    one:send("stop")
    for _ = 1, 1000 do
      one:flush()
      for name, bytes in other:messages() do got[#got + 1] = { name, #bytes } end
    end
    assert.same({ { "page", #text }, { "stop", 0 } }, got)
  end)

  it("a channel does not make anybody wait: a message that finds too many is not sent", function()
    local one, other = pair()
    local text, sent = ("x"):rep(2 ^ 20), 0
    while one:send("page", text) do sent = sent + 1 end
    assert.is_true(sent >= 4 and sent < 8, "sent " .. sent)
    local got = 0
    for _ = 1, 1000 do
      one:flush()
      got = got + #all(other)
    end
    assert.equal(sent, got)
    assert.is_true(one:send("page", text))
  end)

  it("a channel tells when the other side is gone, after what that one had sent", function()
    local one, other = pair()
    one:send("loaded")
    posix.close(one.fd)
    assert.same({ "loaded:" }, all(other))
    assert.is_true(other.ended)
    assert.is_false(other:send("stop"))
  end)

  it("a channel forgets a message that was cut off by the end of its sender", function()
    local one, other = pair()
    local head = ("%-8s%8donly a part"):format("page", 100)
    posix.send(one.fd, head, #head, 0)
    assert.same({}, all(other))
    other:restart()
    one:send("loaded")
    assert.same({ "loaded:" }, all(other))
  end)

  it("a channel ends when what comes is no message", function()
    local one, other = pair()
    posix.send(one.fd, ffi.cast("const char *", "what is this, please?"), 21, 0)
    assert.same({}, all(other))
    assert.is_true(other.ended)
  end)
end)
