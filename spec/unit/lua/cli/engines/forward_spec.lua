-- SPDX-License-Identifier: MIT
-- Requests for samples and profiles, handed to the engines and back; server, client and engines are played.
local cjson = require "cjson"
local forward = require "tidemill.cli.engines.forward"

-- An engine that keeps what it is told.
local function engine(number, state)
  local one = { number = number, state = state or "RUNNING", told = {} }
  one.channel = { send = function(_, name, bytes)
    table.insert(one.told, name == "request" and cjson.decode(bytes) or name .. " " .. bytes)
    return true
  end }
  return one
end

-- A client; `takes` says what becomes of what is written.
local function client(path, query)
  local request = { path = path, query = query or {}, got = {}, takes = "taken" }
  function request:write(text)
    if text ~= "" and self.takes == "taken" then table.insert(self.got, text) end
    return self.takes
  end
  function request:finish(code) self.ended = code or 200 end
  function request:refuse(code, text) self.refused = code .. " " .. text end
  return request
end

local function made(...)
  local handlers, engines = {}, { ... }
  local self = forward.new({ live = function(_, path, handler) handlers[path] = handler end }, engines)
  return self, function(request)
    handlers[request.path](request)
    return request
  end, unpack(engines)
end

describe("a request to several engines", function()
  it("a request to several engines for samples goes to all that run, and ends when all have answered", function()
    local self, ask, one, two, three = made(engine(1), engine(2), engine(3, "BACKOFF"))
    local request = ask(client("/tap", { match1 = "a=b c", rate = "5" }))
    local asked = one.told[1]
    assert.same({ "/tap", 0 }, { asked.path, #three.told })
    assert.is_truthy(asked.query:find("match1=a%3Db%20c", 1, true), asked.query)
    self:message(one, "answer", asked.id .. " sample\n")
    self:message(two, "answer", asked.id .. " other\n")
    assert.same({ "sample\n", "other\n" }, request.got)
    self:message(one, "finish", asked.id .. " 200")
    assert.is_nil(request.ended)
    self:message(two, "finish", asked.id .. " 200")
    assert.equal(200, request.ended)
  end)

  it("a request to several engines for samples gets the sum of their counts", function()
    local self, ask, one, two = made(engine(1), engine(2))
    local request = ask(client("/tap"))
    local line = '%d {"tap":"counts","passed":%d,"examined":2,"matched":1,"sent":1,"lost":0}\n'
    self:message(one, "answer", line:format(1, 10))
    self:message(two, "answer", line:format(1, 30))
    assert.equal('{"tap":"counts","passed":40,"examined":4,"matched":2,"sent":2,"lost":0}\n', request.got[2])
  end)

  it("a request to several engines for a profile goes to one, the first unless another is named", function()
    local _, ask, one, two = made(engine(1), engine(2))
    ask(client("/profile", { step = "1" }))
    ask(client("/profile", { engine = "2" }))
    assert.same({ 1, 1 }, { #one.told, #two.told })
    assert.same({ "step=1", "" }, { one.told[1].query, two.told[1].query })
  end)

  it("a request to several engines is refused where the engine that is named does not run, or is none", function()
    local _, ask = made(engine(1), engine(2, "STARTING"))
    assert.equal("409 engine 2 does not run now", ask(client("/tap", { engine = "2" })).refused)
    assert.equal("409 engine=7: there are the engines 1 to 2", ask(client("/tap", { engine = "7" })).refused)
    assert.same({ "error\t75\tengine 2 does not run now\n" }, ask(client("/profile", { engine = "2" })).got)
  end)

  it("a request to several engines is refused when they refuse it", function()
    local self, ask, one, two = made(engine(1), engine(2))
    local request = ask(client("/tap"))
    self:message(one, "refuse", "1 403 this pipeline does not show its messages")
    self:message(two, "refuse", "1 403 this pipeline does not show its messages")
    assert.equal("403 this pipeline does not show its messages", request.refused)
  end)

  it("a request to several engines keeps what a slow client does not take, and tells the engine when it has", function()
    local self, ask, one = made(engine(1))
    local request = ask(client("/tap"))
    request.takes = "full"
    self:message(one, "answer", "1 first\n")
    self:message(one, "answer", "1 second\n")
    self:message(one, "finish", "1 200")
    self:turn()
    assert.same({ 0, nil, 1 }, { #request.got, request.ended, #one.told })
    request.takes = "taken"
    self:turn()
    assert.same({ "first\n", "second\n" }, request.got)
    assert.equal(200, request.ended)
  end)

  it("a request to several engines whose client has left is told to them", function()
    local self, ask, one, two = made(engine(1), engine(2))
    local request = ask(client("/tap"))
    request.takes = "gone"
    self:turn()
    assert.same({ "gone 1", "gone 1", 200 }, { one.told[2], two.told[2], request.ended })
    self:message(one, "answer", "1 too late\n")
    assert.same({}, request.got)
  end)

  it("a request to several engines goes on without one that is lost", function()
    local self, ask, one, two = made(engine(1), engine(2))
    local request = ask(client("/tap"))
    self:lost(one)
    assert.is_nil(request.ended)
    self:message(two, "answer", "1 sample\n")
    self:lost(two)
    assert.same({ { "sample\n" }, 200 }, { request.got, request.ended })
  end)
end)
