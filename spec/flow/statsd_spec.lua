-- SPDX-License-Identifier: MIT
-- What a run sends to a StatsD server: a real socket takes the packets of the real program.
local cjson = require "cjson"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local socket = require "socket"
local wait = require "spec.support.wait"

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "sent" {
  tide.file_source { path = "-" },
  tide.run_task_with_multiprocessing { processes = 1, max_batch_size = 100, function(message)
    tide.metric.count("seen")
    tide.metric.timing("took", 0.25)
    return message.value ~= "5" and message or nil
  end },
  tide.file_sink { path = "-" },
  metrics = tide.metrics { tags = { region = "eu" }, %s } }
]]

local TASK = "strategies.run_task_with_multiprocessing."

describe("a run with StatsD", function()
  local server, port

  before_each(function()
    server = socket.udp4()
    server:setoption("reuseaddr", true)
    assert(server:setsockname("127.0.0.1", 0))
    server:settimeout(0)
    port = select(2, server:getsockname())
  end)

  after_each(function()
    server:close()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- Runs 1000 messages; returns all packets and the report.
  local function packets_of(setting)
    local lines = {}
    for i = 1, 1000 do lines[i] = tostring(i) end
    local path, folder = pipeline_file.write(PIPELINE:format(setting), { input = table.concat(lines, "\n") .. "\n" })
    local one = process.start({ program.path, "run", path, "--output", "/dev/null", "--report", folder .. "/report",
      "--statsd", "127.0.0.1:" .. port, "--input", folder .. "/input" })
    local packets = {}
    wait.until_true(function()
      local ended = not one:running()
      for packet in function() return (server:receive()) end do packets[#packets + 1] = packet end
      return ended
    end, function() return one:stderr() end)
    assert.equal(0, one:code(), one:stderr())
    local file = assert(io.open(folder .. "/report"))
    local report = cjson.decode(file:read "*a")
    file:close()
    return packets, report
  end

  -- What the lines of all packets say: { [name] = { sum, count, kind, tags } }; a line with a rate stands for several.
  local function parse(packets)
    local all = {}
    for _, packet in ipairs(packets) do
      assert.is_true(#packet <= 1432)
      assert.is_nil(packet:find "\n$")
      for line in packet:gmatch "[^\n]+" do
        local name, value, kind, rest = line:match "^([%w_.-]+):(-?[%d.]+)|(%l+)(.*)$"
        assert(name, line)
        local rate = rest:match "^|@([%d.]+)"
        local count = rate and math.floor(1 / tonumber(rate)) or 1
        local tags = rest:match "|#(.*)$"
        local one = all[name] or { sum = 0, count = 0 }
        all[name] = one
        one.kind, one.tags, one.last = kind, tags, tonumber(value)
        one.sum, one.count = one.sum + tonumber(value) * count, one.count + count
      end
    end
    return all
  end

  local function near(expected, got)
    assert.is_true(math.abs(expected - got) <= 1e-6 * math.abs(expected) + 1e-3, expected .. " is not " .. got)
  end

  it("a run with StatsD sends counters as differences that add up to the report, and histograms with count and sum",
    function()
      local packets, report = packets_of ""
      local said = parse(packets)
      assert.same({ 1000, 999, 1, 1000 }, { said["tidemill.messages.read"].sum, said["tidemill.messages.produced"].sum,
        said["tidemill.messages.filtered"].sum, said["tidemill.script.seen"].sum })
      local size, expected = said["tidemill." .. TASK .. "batch.size.msg"],
        report.metrics[TASK .. "batch.size.msg"]
      assert.same({ "h", expected.count }, { size.kind, size.count })
      near(expected.sum, size.sum)
      local time = said["tidemill." .. TASK .. "message.time"]
      assert.same({ "ms", 1000 }, { time.kind, time.count })
      near(report.metrics[TASK .. "message.time"].sum * 1000, time.sum)
      near(250 * 1000, said["tidemill.script.took"].sum)
      local busy = said["tidemill." .. TASK .. "worker.busy.time"]
      near(report.metrics[TASK .. "worker.busy.time"] / 1000, busy.sum)
      assert.equal("pipeline:sent,region:eu,step:1", size.tags)
      assert.same({ "g", 1 }, { said["tidemill." .. TASK .. "processes"].kind,
        said["tidemill." .. TASK .. "processes"].last })
    end)

  it("a run with a plain StatsD has labels in the names, and no tags", function()
    local said = parse(packets_of 'statsd_format = "statsd", prefix = "orders"')
    for _, one in pairs(said) do assert.is_nil(one.tags) end
    near(1000, said["orders." .. TASK .. "batch.size.msg.step.1"].sum)
    assert.equal("ms", said["orders." .. TASK .. "batch.size.msg.step.1"].kind)
    assert.is_true(said["orders." .. TASK .. "batch.close.step.1.reason.size"].sum >= 1)
  end)

  it("a run with the prefix arroyo sends Arroyo's names, as timings in Arroyo's units", function()
    local packets, report = packets_of 'prefix = "arroyo"'
    local said = parse(packets)
    local size = said["arroyo." .. TASK .. "batch.size.msg"]
    assert.equal("ms", size.kind)
    near(1000, size.sum)
    assert.equal("ms", said["arroyo.consumer.poll.time"].kind)
    assert.is_true(said["arroyo.consumer.poll.time"].sum <= report.metrics["consumer.poll.time"].sum + 1e-3)
    assert.is_true(said["arroyo.consumer.run.count"].sum > 0)
  end)
end)
