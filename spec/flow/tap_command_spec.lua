-- SPDX-License-Identifier: MIT
-- tidemill tap on a running pipeline: what it shows, who may look, and that nobody who looks costs a message.
local cjson = require "cjson"
local socket = require "socket"
local child = require "spec.support.child"
local http = require "spec.support.http"
local piped_run = require "spec.support.piped_run"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "tapped" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 1, function(message)
    if message.value == "drop" then return nil end
    if message.value == "reject" then return tide.reject "no good" end
    message.value = message.value .. "!"
    return message
  end },
  tide.file_sink { path = "-" }, dlq = tide.dlq { path = "/dev/null" }, %s }
]]

local one

local function start(setting, flags)
  one = piped_run.start(PIPELINE:format(setting or ""), "--dead-letters /dev/null " .. (flags or ""))
end

local function address()
  return "127.0.0.1:" .. piped_run.until_said(one, "HTTP on http://127.0.0.1:(%d+)/")
end

local function tap(...)
  return process.start { PROGRAM, "tap", ... }
end

local function samples_of(of)
  local samples = {}
  for line in of:stdout():gmatch "[^\n]+" do samples[#samples + 1] = cjson.decode(line) end
  return samples
end

-- Feeds a message again and again until `done` holds: a tap may not be armed yet when the first one passes.
local function feed_until(text, done, what)
  return wait.until_true(function()
    piped_run.feed(text)
    wait.pause(20)
    return done()
  end, what)
end

after_each(piped_run.stop)

describe("tidemill tap", function()
  it("is refused, with the reason, unless the pipeline allows it", function()
    start("metrics = tide.metrics { prometheus = 0 }")
    local at = address()
    local code, out, err = process.run { PROGRAM, "tap", at }
    assert.same({ 78, "" }, { code, out })
    assert.matches("^tidemill: this pipeline does not show its messages, as they may be secret: run it with %-%-tap",
      err)
    local answer = http.get(tonumber(at:match ":(%d+)"), "/tap")
    assert.equal(403, answer.code)
    assert.matches("tide.metrics { tap = true }", answer.body, 1, true)
  end)

  it("shows messages with their fate as lines of JSON, and ends at its limit", function()
    start("metrics = tide.metrics { prometheus = 0, tap = true }")
    local of = tap(address(), "--limit", "3", "--rate", "100")
    feed_until("a\ndrop\nreject\n", function() return not of:running() end, "the limit")
    assert.equal(0, of:wait())
    local fates = {}
    for _, sample in ipairs(samples_of(of)) do
      fates[sample.before.value] = sample.fate
      if sample.before.value == "a" then
        assert.same({ { changed = { "value" }, value = "a!" } }, sample.after)
      end
    end
    assert.equal(3, #samples_of(of))
    for value, fate in pairs(fates) do
      assert.equal(({ a = "forwarded", drop = "filtered", reject = "rejected" })[value], fate)
    end
  end)

  it("says that it waits while no message comes, and while none matches", function()
    start("metrics = tide.metrics { prometheus = 0, tap = true }")
    local idle, other = tap(address(), "--limit", "1"), tap(address(), "--match", "value=other")
    for _, client in ipairs { idle, other } do
      wait.until_true(function() return client:stderr():find "\n" end, "a word of each")
      assert.equal("tidemill: no message has come yet; waiting for one (Ctrl-C ends it)\n", client:stderr())
    end
    feed_until("a\n", function()
      return other:stderr():find "none of %d+ messages matched yet" and not idle:running()
    end, "a second word of the one that waits for another message")
    other:signal("TERM")
  end)

  it("shows only what its conditions match, of each of several clients", function()
    start(nil, "--metrics-addr 0 --tap")
    local at = address()
    local first, second = tap(at, "--match", "fate=rejected", "--limit", "2"),
      tap(at, "--match", "value=a b&c", "--limit", "2")
    feed_until("x\na b&c\nreject\n", function() return not first:running() and not second:running() end,
      "both limits")
    for _, sample in ipairs(samples_of(first)) do
      assert.equal("rejected no good", sample.fate .. " " .. sample.error)
    end
    for _, sample in ipairs(samples_of(second)) do assert.equal("a b&c", sample.before.value) end
  end)

  it("ends, and says so in its code, when the pipeline ends", function()
    start(nil, "--metrics-addr 0 --tap")
    local of = tap(address())
    feed_until("a\n", function() return of:stdout() ~= "" end, "a sample")
    assert.equal(0, one:stop(60))
    assert.equal(0, of:wait())
    assert.matches("samples", of:stderr())
  end)

  it("ends with 65 when what answers is no pipeline, and shows the terminal none of its control characters", function()
    local counts = '{"tap":"counts","passed":1,"examined":1,"matched":1,"lost":0}\n'
    for line, shown in pairs { ["\27[2Jgone"] = "\\x1b[2Jgone", ['{"a":1}'] = '{"a":1}' } do
      local listener = assert(socket.bind("127.0.0.1", 0))
      child.start(function()
        local connection = listener:accept()
        repeat local head = connection:receive "*l" until not head or head == ""
        connection:send("HTTP/1.1 200 OK\r\n\r\n" .. counts .. line .. "\n")
        connection:close()
      end)
      local code, _, err = process.run { PROGRAM, "tap", "127.0.0.1:" .. select(2, listener:getsockname()) }
      listener:close()
      child.stop_all()
      assert.equal(65, code)
      assert.matches("this is no answer of a pipeline: " .. shown, err, 1, true)
    end
  end)

  it("refuses what is no condition, no step and no rate, and an address where nobody answers", function()
    local function failed(...)
      local code, _, err = process.run { PROGRAM, "tap", ... }
      return code .. " " .. err
    end
    assert.matches('^64 tidemill: %-%-match "colour=1": "colour" is no field', failed(":9", "--match", "colour=1"))
    assert.matches("^64 tidemill: %-%-rate 101: at most 100", failed(":9", "--rate", "101"))
    assert.matches("^64 tidemill: the conditions of %-%-match are too long together: 1%d%d%d bytes in the request; "
      .. "at most 1023", failed(":9", "--match", "value=" .. ("x"):rep(500), "--match", "key=" .. ("x"):rep(500)))
    assert.matches("^64 tidemill: .*is not an address", failed("nowhere"))
    assert.matches("^69 tidemill: http://127.0.0.1:9: nobody listens", failed(":9"))
    start(nil, "--metrics-addr 0 --tap")
    assert.matches("^64 tidemill: there is no step 2 to tap: 1 of", failed(address(), "--step", "2"))
  end)

  it("disarms the tap of a client that goes away", function()
    start(nil, "--metrics-addr 0 --tap")
    local port = tonumber(address():match ":(%d+)")
    local connections = {}
    for i = 1, 8 do -- as many as may be armed at once
      connections[i] = http.connect(port)
      connections[i]:send(http.request("GET", "/tap"))
      assert.equal("HTTP/1.1 200 OK", connections[i]:receive "*l")
    end
    assert.equal(409, http.get(port, "/tap").code)
    for _, connection in ipairs(connections) do connection:close() end
    local again = wait.until_true(function()
      local connection = http.connect(port)
      connection:send(http.request("GET", "/tap"))
      if connection:receive "*l" == "HTTP/1.1 200 OK" then return connection end
      connection:close()
    end, "a tap that is free")
    again:close()
  end)
end)
