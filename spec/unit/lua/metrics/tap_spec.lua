-- SPDX-License-Identifier: MIT
-- The live path /tap with clients that the spec plays: what they are sent when they are slow, or gone. The engine is a
-- real one.
local cjson = require "cjson"
local flow = require "spec.support.flow"
local tap = require "tidemill.metrics.tap"
local taps = require "tidemill.run.tap"

describe("the tap of a run", function()
  local fixture = flow.fixture()
  local part, begin

  local function setup(settings)
    local run = fixture.new { steps = { { function(message) return message end } } }
    local observer = { engine = run.engine, settings = settings or { tap = true }, server = true }
    function observer.live(_, path, handler)
      assert.equal("/tap", path)
      begin = handler
    end
    part = tap.new(observer)
    return run
  end

  -- A client; `answer` is what a write of it returns.
  local function client(query)
    local request = { query = query or {}, lines = {}, answer = "taken" }
    function request:write(text)
      if self.answer == "taken" then self.lines[#self.lines + 1] = cjson.decode(text) end
      return self.answer
    end
    function request:refuse(code, text) self.refused = code .. " " .. text end
    function request:finish() self.finished = true end
    begin(request)
    return request
  end

  local function last(request) return request.lines[#request.lines] end

  it("sends samples, and a line of counts each second", function()
    local run = setup()
    local request = client { rate = "100" }
    run:push { value = "a" }
    run:finish()
    part:turn()
    part:second()
    assert.equal("a", request.lines[2].before.value)
    assert.same({ tap = "counts", passed = 1, examined = 1, matched = 1, sent = 1, lost = 0 }, last(request))
  end)

  it("loses samples for which a slow client has no room, counts them, and loses no message", function()
    local run = setup()
    local slow, quick = client { rate = "100" }, client { rate = "100" }
    slow.answer = "full"
    run:push_numbers(50)
    run:finish()
    part:turn()
    slow.answer = "taken"
    part:second()
    assert.same({ tap = "counts", passed = 50, examined = 50, matched = 50, sent = 0, lost = 50 }, last(slow))
    assert.same({ tap = "counts", passed = 50, examined = 50, matched = 50, sent = 50, lost = 0 }, last(quick))
    assert.equal(50, run.engine:totals().produced)
    assert.is_true(run:balanced())
  end)

  it("disarms the tap of a client that is gone, whether or not there was something to send", function()
    local run = setup()
    local requests = {}
    for i = 1, taps.MOST do requests[i] = client() end
    assert.equal("409 8 taps look on already, which is all there may be", client().refused)
    for _, request in ipairs(requests) do request.answer = "gone" end
    part:second()
    for _, request in ipairs(requests) do assert.is_true(request.finished) end
    local request = client()
    request.answer = "gone"
    run:push { value = "a" }
    run:finish()
    part:turn()
    assert.is_true(request.finished)
    assert.is_nil(client().refused)
  end)

  it("ends with the run, after what was left to send", function()
    local run = setup()
    local request = client()
    run:push { value = "a" }
    run:finish()
    part:finish()
    assert.same({ 1, true }, { last(request).sent, request.finished })
  end)

  it("refuses a query that makes no sense, and every client where it is not allowed", function()
    setup()
    assert.equal('400 --match "x": it has neither', client { match1 = "x" }.refused:sub(1, 31))
    assert.equal('400 rate "0": 1 to 100 samples a second', client { rate = "0" }.refused)
    assert.equal('400 step "a" is no number of a step', client { step = "a" }.refused)
    fixture.run:free()
    setup { tap = false }
    assert.matches("^403 this pipeline does not show its messages", client().refused)
  end)
end)
