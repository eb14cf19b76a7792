-- SPDX-License-Identifier: MIT
-- tidemill profile on whole programs: a pipeline file with a backlog, and a running pipeline by its address.
local http = require "spec.support.http"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require("spec.support.program").path
local wait = require "spec.support.wait"

local TRANSFORM = [[
local function hot(text)
  local sum = 0
  for i = 1, 3000 do
    sum = (sum * 31 + #text + i) % 65536
  end
  return sum
end

local function cold(message)
  return message.offset
end

return function(message)
  message.key = tostring(hot(message.value) + cold(message) % 2)
  return message
end
]]

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "profiled" {
  tide.kafka_source { brokers = "127.0.0.1:1", topic = "in", group = "g" },
  tide.run_task_with_multiprocessing { "t.lua", processes = 1 },
  tide.produce { topic = "out" },
  tide.commit_offsets {},
}
]]

local path, folder

before_each(function()
  local lines = {}
  for i = 1, 1000 do lines[i] = ('{"id":%d,"text":"%s"}'):format(i, ("t"):rep(i % 50)) end
  path, folder = pipeline_file.write(PIPELINE, { ["t.lua"] = TRANSFORM, lines = table.concat(lines, "\n") .. "\n",
    ["recorded.jsonl"] = '{"topic":"in","key":"k","headers":[{"name":"h","value":"1"}],"value":"abc"}\n' })
end)

after_each(function()
  process.stop_all()
  pipeline_file.remove_all()
end)

-- Runs tidemill profile; its exit code, standard output and standard error.
local function profile(...)
  return process.run { program, "profile", ... }
end

-- The first line of the table below a heading.
local function first_below(text, heading)
  return text:match(heading .. "\n([^\n]*)\n")
end

-- A run that reads the lines again and again, and its port.
local function start_endless(input)
  local run = process.start { "/bin/sh", "-c", ([[ %s | "$0" run %s --input - --output /dev/null --metrics-addr 0 ]])
    :format(input, path), program }
  wait.watch(run)
  return tonumber(wait.until_true(function() return run:stderr():match "HTTP on http://[%w.:%[%]]+:(%d+)/" end,
    function() return run:stderr() end))
end

describe("tidemill profile FILE", function()
  it("names the function and the line that take most time first, with their shares", function()
    local code, out, err = profile(path, "--input", folder .. "/lines", "--seconds", "2", "--svg", folder .. "/o.svg")
    assert.equal(0, code, err)
    assert.matches("hot %(.*t%.lua:1%)", first_below(out, "total  function"))
    assert.matches("t%.lua:[34]  [^\n]*", first_below(out, "share  line"))
    assert.matches("sum = %(sum %* 31 %+ #text %+ i%) %% 65536", out)
    assert.is_nil(out:find "t%.lua:[345]: ") -- what else LuaJIT leaves to the interpreter is chance
    local svg = assert(io.open(folder .. "/o.svg")):read "*a"
    assert.matches("^<%?xml.*<title>hot %([^<]*t%.lua:1%): %d+ samples, .*</svg>%s*$", svg)
    assert.is_nil(svg:find("run/worker", 1, true)) -- what is around the user's code is not shown
  end)

  it("says what is not compiled, with the file and the line", function()
    local file = assert(io.open(folder .. "/t.lua", "w"))
    file:write "return function(message)\n  message.value = message.value:gsub('t+', 'x')\n  return message\nend\n"
    file:close()
    local _, out = profile(path, "--input", folder .. "/lines", "--seconds", "2")
    assert.matches("t%.lua:2: the compiled code is left here: string%.gsub is not compiled %(NYI%); use "
      .. "tide%.regex%.gsub", out)
  end)

  it("reads what tidemill record wrote", function()
    local code, out, err = profile(path, "--input", folder .. "/recorded.jsonl", "--input-format", "json", "--seconds",
      "2")
    assert.equal(0, code, err)
    assert.matches("hot %(", out)
    code, out, err = profile(path, "--input", folder .. "/lines", "--input-format", "json")
    assert.same({ 65, "" }, { code, out })
    assert.matches("lines:1: no message as `tidemill record` writes it", err)
  end)

  it("says what is wrong with its arguments", function()
    local code, _, err = profile(path)
    assert.equal(64, code)
    assert.matches("profile runs a pipeline file on %-%-input FILE", err)
    assert.equal(66, (profile(path, "--input", folder .. "/none")))
    assert.equal(66, (profile(path, "--input", folder)))
    code, _, err = profile(folder .. "/none.lua")
    assert.equal(66, code)
    assert.matches("none.lua: No such file or directory; and it is not an address HOST:PORT", err)
    assert.equal(64, (profile("127.0.0.1:1", "--seconds", "nan")))
    assert.equal(64, (profile(path, "--input", folder .. "/lines", "--step", "2")))
    assert.equal(64, (profile(path, "--input", folder .. "/lines", "--seconds", "0")))
    code, _, err = profile("127.0.0.1:1")
    assert.equal(69, code)
    assert.matches("127.0.0.1:1: nobody listens there", err)
    local file = assert(io.open(folder .. "/t.lua", "w"))
    file:write "return function(message"
    file:close()
    code, _, err = profile(path, "--input", folder .. "/lines")
    assert.equal(78, code)
    assert.matches("t%.lua:1", err)
  end)
end)

describe("tidemill profile ADDR", function()
  it("profiles a worker of a running pipeline, which goes on", function()
    local port = start_endless(("while :; do cat %s/lines; done"):format(folder))
    local code, out, err = profile("127.0.0.1:" .. port, "--seconds", "2")
    assert.equal(0, code, err)
    assert.matches("hot %(.*t%.lua:1%)", first_below(out, "total  function"))
    assert.equal(0, (profile("127.0.0.1:" .. port, "--seconds", "0.2")))
    code, out, err = profile("127.0.0.1:" .. port, "--worker", "7")
    assert.same({ 64, "" }, { code, out })
    assert.matches("step 1 has no worker 7; they are numbered from 0 to 0", err)
  end)

  it("ends with its client, so that the next one need not wait", function()
    local port = start_endless "sleep 60"
    local clients = {}
    for i = 1, 16 do -- as many as there may be live requests
      clients[i] = http.connect(port)
      clients[i]:send(http.request("GET", "/profile?seconds=300"))
    end
    http.wait_for(port, "/profile", 503)
    for _, client in ipairs(clients) do client:close() end
    assert.matches("^step\t1\n", http.wait_for(port, "/profile?seconds=0.1", 200).body)
  end)

  it("says that a worker is idle", function()
    local port = start_endless "sleep 60"
    local code, out = profile("127.0.0.1:" .. port, "--seconds", "0.3")
    assert.equal(0, code)
    assert.matches("almost idle", out)
  end)
end)
