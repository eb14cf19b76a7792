-- SPDX-License-Identifier: MIT
-- A run that answers HTTP: what it says of itself, who has its socket, and what a crowd of clients does to it.
local http = require "spec.support.http"
local piped_run = require "spec.support.piped_run"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"
local cjson = require "cjson"
local socket = require "socket"

local PROGRAM = require("spec.support.program").path

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "shown" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 2, function(message) return message end },
  tide.file_sink { path = "-" }, %s }
]]

local one, folder

local function start(setting, flags)
  one, folder = piped_run.start(PIPELINE:format(setting or ""), flags)
end

local function until_said(pattern) return piped_run.until_said(one, pattern) end

local function port()
  return tonumber(until_said "HTTP on http://[%w.:%[%]]+:(%d+)/")
end

local function lines_out()
  local count = 0
  for _ in io.lines(folder .. "/out") do count = count + 1 end
  return count
end

local function status_of(at)
  return cjson.decode(http.get(at, "/status").body)
end

after_each(piped_run.stop)

describe("a run with an address", function()
  it("shows its state as JSON, and says when it is ready", function()
    start("metrics = tide.metrics { prometheus = 0 }")
    local at = port()
    http.wait_for(at, "/readyz", 200)
    assert.equal(200, http.get(at, "/healthz").code)
    piped_run.feed "a\nb\nc\n"
    local status = wait.until_true(function()
      local seen = status_of(at)
      return seen.totals.produced == 3 and seen
    end, "three messages in the status")
    assert.same({ 1, "shown", "reading", true }, { status.version, status.name, status.state, status.ready })
    assert.equal(3, status.totals.read)
    assert.same({ 1, 2, "run_task_with_multiprocessing" }, { #status.steps, status.steps[1].processes,
      status.steps[1].kind })
    assert.equal("table", type(status.partitions))
    assert.is_true(status.pid > 0 and status.uptime >= 0)
    assert.equal(0, one:stop(60))
  end)

  it("listens on loopback unless told otherwise", function()
    start(nil, "--metrics-addr 0")
    local at = port()
    local list = assert(io.popen "cat /proc/net/tcp"):read "*a"
    assert.is_truthy(list:find(("0100007F:%04X 00000000:0000 0A"):format(at)))
    assert.is_nil(one:stderr():find "no password")
  end)

  it("warns when it listens on all addresses, however they are written", function()
    start(nil, "--metrics-addr 0:0")
    until_said "warn HTTP on 0: everybody who reaches this machine can read it; there is no password"
  end)

  it("has a socket that its workers have not", function()
    start(nil, "--metrics-addr 0")
    http.wait_for(port(), "/readyz", 200)
    local function sockets_of(pid)
      local text = assert(io.popen(("ls -l /proc/%d/fd"):format(pid))):read "*a"
      local set = {}
      for inode in text:gmatch "socket:%[(%d+)%]" do set[inode] = true end
      return set
    end
    local listening
    for line in io.lines "/proc/net/tcp" do
      local inode = line:match((":%04X 00000000:0000 0A .- (%%d+) 1 %%x+ "):format(port()))
      listening = listening or inode
    end
    assert.is_true(sockets_of(one:pid())[assert(listening, "a listening socket")] or false)
    local pids = wait.until_true(function()
      local found = process.descendants(one:pid())
      return #found >= 5 and found
    end, "the engine, the forker, the zygote and two workers")
    assert.equal(5, #pids)
    for i = 2, #pids do assert.is_nil(sockets_of(pids[i])[listening]) end
  end)

  it("ends with 78 and names the port when it is in use", function()
    local taken = assert(socket.bind("127.0.0.1", 0))
    local _, number = taken:getsockname()
    local path = pipeline_file.write(PIPELINE:format(""))
    local code, _, err = process.run { PROGRAM, "run", path, "--input", "/dev/null", "--metrics-addr", number .. "" }
    taken:close()
    assert.equal(78, code)
    assert.matches(("HTTP on 127%%.0%%.0%%.1, port %s: the port is in use by another program"):format(number), err)
  end)

  it("is off when a flag says so", function()
    start("metrics = tide.metrics { prometheus = 0 }", "--metrics-addr off")
    until_said "partitions assigned"
    assert.is_nil(one:stderr():find "HTTP")
  end)

  it("goes on unharmed while a thousand connections send nothing, and still answers", function()
    start(nil, "--metrics-addr 0")
    local at, idle = port(), {}
    http.wait_for(at, "/readyz", 200)
    for i = 1, 1000 do
      idle[i] = socket.connect("127.0.0.1", at)
      if not idle[i] then break end -- the limit of open files of this process
    end
    table.remove(idle):close()
    assert.is_true(#idle > 500)
    piped_run.feed(("x\n"):rep(10000))
    wait.until_true(function() return lines_out() == 10000 end, "all messages in the output")
    assert.equal(200, http.get(at, "/healthz").code)
    for _, connection in ipairs(idle) do connection:close() end
    assert.equal(200, http.get(at, "/status").code)
  end)
end)

describe("a run that waits for its brokers", function()
  it("is alive and not ready, and says why", function()
    local path = pipeline_file.write [[
      local tide = require "tidemill"
      return tide.pipeline "away" {
        tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g" },
        tide.produce { topic = "out" },
        metrics = tide.metrics { prometheus = 0 } }
    ]]
    one = process.start { PROGRAM, "run", path }
    wait.watch(one)
    local at = port()
    assert.equal(200, http.get(at, "/healthz").code)
    local answer = http.get(at, "/readyz")
    assert.equal(503, answer.code)
    assert.matches("^%l+\n$", answer.body)
    assert.is_false(status_of(at).ready)
  end)
end)

describe("a StatsD server that is not there", function()
  it("costs samples and no message, and the log says so once", function()
    local taken = socket.udp4() -- the port stays taken, by a socket that hears one peer only, which is another
    assert(taken:setsockname("127.0.0.1", 0))
    local _, number = taken:getsockname()
    assert(taken:setpeername("127.0.0.1", 9))
    start(nil, "--statsd 127.0.0.1:" .. number)
    until_said "StatsD at 127.0.0.1:%d+: connection refused; packets dropped so far"
    piped_run.feed "a\nb\n"
    wait.until_true(function() return lines_out() == 2 end, "the messages in the output")
    assert.equal(0, one:stop(60))
    assert.equal(1, select(2, one:stderr():gsub("connection refused", "")))
    taken:close()
  end)
end)

describe("an address", function()
  for text, reason in pairs { ["99999"] = "not an address", ["a:b"] = "not an address", [""] = "not an address" } do
    it(("%q is refused as a flag, with what to write"):format(text), function()
      local path = pipeline_file.write(PIPELINE:format(""))
      local code, _, err = process.run { PROGRAM, "run", path, "--metrics-addr", text }
      assert.equal(64, code)
      assert.is_truthy(err:find(("--metrics-addr %s: %s; write HOST:PORT"):format(text, reason), 1, true), err)
    end)
  end

  it("of no known host ends the run with 78", function()
    local path = pipeline_file.write(PIPELINE:format(""))
    local code, _, err = process.run { PROGRAM, "run", path, "--input", "/dev/null", "--metrics-addr",
      "no-such-host.invalid:9464" }
    assert.equal(78, code)
    assert.matches("HTTP on no%-such%-host%.invalid: ", err)
  end)
end)
