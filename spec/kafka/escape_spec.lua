-- SPDX-License-Identifier: MIT
-- The escape corpus (spec/escape) from a topic: all scripts one after another in one run, each between two
-- neighbours, with a fresh worker for each. Dead letters, outputs and offsets are as they should be, and nothing
-- else has changed.
local canary = require "spec.support.canary"
local engine = require "spec.support.engine"
local escape = require "spec.support.escape"
local inputs = require "spec.support.inputs"
local kafka = require "spec.support.kafka"
local pending_scripts = require "spec.escape.pending"
local wait = require "spec.support.wait"

kafka.describe("hostile scripts", function(t)
  local one

  after_each(function()
    engine.stop_all()
    if one then one:remove() end
    one = nil
  end)

  local function claimed(level, hangs)
    local list = {}
    for _, script in ipairs(escape.scripts()) do
      local left_out = (script.hangs or false) ~= hangs or pending_scripts[level][script.name] or escape.beyond(script)
      if script.stopped_by[level] and not left_out then list[#list + 1] = script end
    end
    return list
  end

  local STEPS = [[
    tide.run_task_with_multiprocessing { "%s/carrier.lua", "%s/witness.lua", processes = %d, max_batch_size = %d,
      max_input_block_size = "1MiB", max_output_block_size = "1MiB" },
    tide.run_task_with_multiprocessing { "%s/neighbour.lua", processes = 1 },
    tide.produce { topic = %q }]]

  local function start(level, processes, batch, message_timeout)
    one = canary.new()
    local run = engine.start(t:definition { dlq = { topic = t.letters },
      head = ("package.path = %q .. package.path"):format(one.folder .. "/?.lua;"),
      settings = { trust = level, worker_memory = "64MiB", message_timeout = message_timeout,
        retry_timeout = "300ms" },
      steps = STEPS:format(one.folder, one.folder, processes, batch, one.folder, t.output) },
      { env = { [canary.VARIABLE] = one.secret } })
    local pids
    wait.until_true(function()
      pids = run:processes()
      return #pids == processes + 4 -- engine, zygote, forker, and the worker of the neighbour
    end, "the workers")
    return run, { engine = pids[1], zygote = pids[2], sibling = pids[#pids], count = #pids,
      broker = tonumber(kafka.bootstrap():match ":(%d+)$") }
  end

  -- What there is of the run when all is through: its texts, processes and files.
  local function check_around(run, told, outputs, letters)
    local pids
    wait.until_true(function() -- the worker that died last is replaced
      pids = run:processes()
      return #pids == told.count
    end, "all workers")
    assert.same({ told.engine, told.zygote }, { pids[1], pids[2] })
    assert.is_truthy(table.concat(pids, " ", 3):find(told.sibling, 1, true), "the sibling is gone")
    local known = {}
    for _, pid in ipairs(pids) do known[pid] = true end
    for pid in pairs((one:look())) do assert.is_true(known[pid], "a process is left: " .. pid) end
    assert.equal(one.files, select(2, one:look()))
    local texts = { run:stderr() }
    for _, message in ipairs(outputs) do texts[#texts + 1] = message.value end
    for _, message in ipairs(letters) do
      for _, header in ipairs(message.headers) do texts[#texts + 1] = header[2] end
    end
    assert.is_nil(one:leak(table.concat(texts, "\n")))
  end

  local function offsets_of(letters)
    local found = {}
    for _, letter in ipairs(letters) do
      for _, header in ipairs(letter.headers) do
        if header[1] == "original_offset" then found[tonumber(header[2])] = true end
      end
    end
    return found
  end

  for _, level in ipairs { "standard", "hardened" } do
    if not escape.available(level) then
      pending("trust = " .. level)
      break
    end

    it("hostile scripts from a topic are contained under trust = " .. level, function()
      local scripts = claimed(level, false)
      local run, told = start(level, 1, 4, "5s")
      local messages, wanted = {}, {}
      for _, script in ipairs(scripts) do
        for _, value in ipairs { "before " .. script.name, one:message(script.name, told), "after " .. script.name,
          "leave" } do
          messages[#messages + 1] = { value = value }
        end
        wanted[#wanted + 1], wanted[#wanted + 2] = "before " .. script.name, "after " .. script.name
      end
      kafka.produce(t.input, messages)
      inputs.wait_committed(t.group, t.input, 120)
      local outputs, letters = kafka.consume(t.output), kafka.consume(t.letters)
      local values, dead = {}, offsets_of(letters)
      for i, message in ipairs(outputs) do values[i] = message.value end
      for i, value in ipairs(wanted) do assert.equal(value, values[i]) end
      assert.equal(#wanted, #values)
      for i, script in ipairs(scripts) do
        assert.is_true(dead[4 * i - 3], script.name .. " is no dead letter")
        assert.is_true(dead[4 * i - 1], "the worker did not leave behind " .. script.name)
      end
      assert.equal(2 * #scripts, #letters)
      check_around(run, told, outputs, letters)
      run:drain()
      wait.until_true(function() return next((one:look())) == nil end, "the end of all processes")
    end)

    it("hostile scripts from a topic that hang are contained under trust = " .. level, function()
      local scripts = claimed(level, true)
      local run, told = start(level, #scripts, 1, "1s")
      local messages = {}
      for _, script in ipairs(scripts) do
        messages[#messages + 1] = { value = "neighbour of " .. script.name }
        messages[#messages + 1] = { value = one:message(script.name, told) }
      end
      kafka.produce(t.input, messages)
      inputs.wait_committed(t.group, t.input)
      local outputs, letters = kafka.consume(t.output), kafka.consume(t.letters)
      for i, message in ipairs(outputs) do assert.equal("neighbour of " .. scripts[i].name, message.value) end
      assert.same({ #scripts, #scripts }, { #outputs, #letters })
      check_around(run, told, outputs, letters)
      run:drain()
      wait.until_true(function() return next((one:look())) == nil end, "the end of all processes")
    end)
  end
end)
