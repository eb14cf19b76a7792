-- SPDX-License-Identifier: MIT
-- What an engine takes of memory while the state of its partitions is restored does not grow with what waits for it.
local engine = require "spec.support.engine"
local faults = require "spec.support.faults"
local files = require "spec.house.files"
local gate = require "spec.support.gate"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local kafka_state = require "spec.support.kafka_state"
local program = require "spec.support.program"

local PARTITIONS, MESSAGES, MIB = 16, 480000, 2 ^ 20
local sanitized = program.build == "build/asan" -- its shadow memory is not ours

kafka.describe("state that is being restored", { input = { PARTITIONS }, output = { 1 } }, function(t)
  local state, folder

  kafka_state.each(function(name, path) state, folder = name, path end)
  after_each(gate.remove_all)

  local function fill()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    for i = 1, MESSAGES do file:write("k", i % 9973, "\t", i, "\n") end
    file:close()
    local tool = kafka.start({ "fill", t.input, "keys" }, path)
    assert.equal(0, tool:wait(), tool:stderr())
    os.remove(path)
  end

  local function heap_of(pid)
    return tonumber(files.read(("/proc/%d/status"):format(pid)):match "RssAnon:%s+(%d+) kB") * 1024
  end

  it("has no more messages in memory than one that is read, however many partitions wait", function()
    fill()
    local may_end = gate.new()
    local run = engine.start(t:definition {
      steps = ('tide.keyed { function(message, state) state.value = message.value end, state = "%s", processes = 1 },\n'
        .. 'tide.produce { topic = "%s" }'):format(state, t.output),
      settings = { state_dir = folder },
    }, { env = { TIDE_FAULTS = "restore.held=1:shut:" .. may_end.path }, program = faults.folder .. "/tidemill" })
    run:wait_for "state: restoring: " -- 5 seconds after it began: what may be fetched was fetched
    local heap = heap_of(run.process:pid())
    assert.is_true(sanitized or heap <= 40 * MIB, ("%.1f MiB"):format(heap / MIB))
    may_end:open()
    inputs.wait_committed(t.group, t.input)
    run:drain()
    assert.equal(MESSAGES, run:report().read)
  end)
end)
