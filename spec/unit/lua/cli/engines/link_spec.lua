-- SPDX-License-Identifier: MIT
-- What one engine of several says, and what it is told; the supervisor is played over a real channel.
local C = require("tidemill.run.ffi").C
local channel = require "tidemill.cli.engines.channel"
local cjson = require "cjson"
local link = require "tidemill.cli.engines.link"
local posix = require "tidemill.run.posix"
local statsd = require "tidemill.metrics.statsd"
local testing = require "tidemill.testing"

local function made()
  local mine, its = assert(channel.pair())
  return link.new(its, 2), channel.new(mine)
end

local function all(from)
  local list = {}
  for name, bytes in from:messages() do list[#list + 1] = { name, bytes } end
  return list
end

describe("one engine of several", function()
  after_each(function()
    C.tide_clock_hold(0)
    testing.close()
  end)

  it("one engine of several publishes its page and its status to the supervisor, and nothing else", function()
    local self, supervisor = made()
    self:publish("/metrics", "text/plain", "a 1\n")
    self:publish("/", "text/html", "page")
    self:publish("/status", "application/json", "{}")
    assert.same({ { "page", "a 1\n" }, { "snapshot", "{}" } }, all(supervisor))
  end)

  it("one engine of several says that it is alive once a second, and at once when it is ready", function()
    local self, supervisor = made()
    self.state = "reading"
    C.tide_clock_hold(C.tide_clock_us())
    for _ = 1, 3 do self:alive(false, "no partitions") end
    self:alive(true, "ready")
    local told = all(supervisor)
    assert.equal(2, #told)
    assert.same({ state = "reading", ready = true, text = "ready" }, cjson.decode(told[2][2]))
  end)

  it("one engine of several is told to stop and to open its files again, and sees the end of the supervisor", function()
    local self, supervisor = made()
    supervisor:send("reopen")
    supervisor:send("stop")
    self:turn()
    assert.same({ true, "", false }, { self.close, self:wants "reopen", self:wants "reopen" })
    assert.is_nil(self.gone)
    posix.close(supervisor.fd)
    self:turn()
    assert.is_true(self.gone)
  end)

  it("one engine of several answers requests in parts, a few ahead of the client at most", function()
    local self, supervisor = made()
    local request
    self:live("/tap", function(asked) request = asked end)
    supervisor:send("request", cjson.encode { id = 7, path = "/tap", query = "rate=5&match1=a%3Db" })
    self:turn()
    assert.same({ rate = "5", match1 = "a=b" }, request.query)
    local sent = 0
    while request:write("line\n") == "taken" do sent = sent + 1 end
    assert.equal(64, sent)
    assert.same({ "answer", "7 line\n" }, all(supervisor)[1])
    supervisor:send("taken", "7")
    self:turn()
    assert.equal("taken", request:write("line\n"))
    supervisor:send("gone", "7")
    self:turn()
    assert.equal("gone", request:write("line\n"))
  end)

  it("one engine of several has a label of its own in Prometheus, and in the names of a plain StatsD", function()
    local self = made()
    local own = self:settings { prefix = "tidemill", tags = { { name = "region", value = "eu" } } }
    assert.same({ { name = "engine", value = "2" }, { name = "region", value = "eu" } }, own.tags)
    local test, packets = testing.transform(function(message) return message end), {}
    local sender = statsd.new(test.engine, test.plan, { prefix = "t", tags = own.tags, format = "statsd",
      engine = own.engine }, function(packet) packets[#packets + 1] = packet end)
    sender:second { partitions = {}, totals = test.engine:totals(), metrics = {} }
    local text = table.concat(packets, "\n") .. "\n"
    for line in text:gmatch "([^\n]+)\n" do assert.is_truthy(line:find("%.engine%.2:"), line) end
    assert.is_true(#text > 100)
  end)
end)
