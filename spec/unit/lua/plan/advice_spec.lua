-- SPDX-License-Identifier: MIT
local advice = require "tidemill.plan.advice"
local loader = require "tidemill.plan.pipeline_file"
local pipeline_file = require "spec.support.pipeline_file"

local SOURCE = 'tide.kafka_source { brokers = "b", topic = "t", group = "g", start = "latest" %s }'

local function warnings(steps, more)
  local pipeline = assert(pipeline_file.load('return tide.pipeline "x" {\n' .. SOURCE:format(more or "") .. ",\n"
    .. table.concat(steps, ",\n") .. "}"))
  local texts = advice.about(pipeline)
  for i, text in ipairs(texts) do texts[i] = text:gsub("^.*/p%.lua", "p") end
  return texts
end

describe("advice", function()
  after_each(pipeline_file.remove_all)

  local PRODUCE, COMMIT = 'tide.produce { topic = "o" }', "tide.commit_offsets {}"

  it("advice has nothing to say about a sound pipeline", function()
    assert.same({}, warnings { PRODUCE, COMMIT })
    assert.same({}, warnings { "tide.run_task_with_multiprocessing { print, input_block_size = '1MiB' }", PRODUCE,
      COMMIT, 'dlq = tide.dlq { topic = "d" }' })
  end)

  it("advice has nothing to say about the recipes, but that a copy may have no dlq", function()
    local count = 0
    for path in io.popen("grep -l 'return tide[.]pipeline' scripts/*.lua"):lines() do
      count = count + 1
      for _, text in ipairs(advice.about(assert(loader.load(path)))) do assert.matches("warning: no dlq: ", text) end
    end
    assert.is_true(count > 20)
  end)

  it("advice warns of a missing commit_offsets, sink, or start", function()
    assert.same({ "p:3: warning: no commit_offsets: after a restart everything since the last commit of this group is "
      .. "read again; add tide.commit_offsets {}" }, warnings { PRODUCE })
    assert.same({ "p:2: warning: no produce or file_sink: results are counted and dropped; add one, unless functions "
      .. "send messages elsewhere and return tide.drop" },
      warnings { "tide.noop {}", COMMIT })
    assert.same({ "p:3: warning: no start: the first run of a new group stops, since it has no committed offset; say "
      .. 'start = "earliest" or "latest"' }, warnings({ PRODUCE, COMMIT }, ", start = nil"))
  end)

  it("advice warns of functions without a dlq, once", function()
    assert.same({ "p:4: warning: no dlq: the first message that this step cannot deal with stops the pipeline (exit "
      .. '65), and again when it is started again; add dlq = tide.dlq { topic = "..." } to the pipeline' },
      warnings { "tide.filter { print }", "tide.noop {}", "tide.run_task { print }", PRODUCE, COMMIT })
  end)

  it("advice warns of an input block that cannot hold a batch", function()
    assert.same({ "p:4: warning: input_block_size = 64KiB: holds less than a batch of max_batch_size = 1000 "
      .. "messages of "
      .. '1 KiB (1000KiB), so batches would be broken up; raise it, or say "auto"' },
      warnings { "tide.run_task_with_multiprocessing { print, input_block_size = '64KiB' }", PRODUCE, COMMIT,
        'dlq = tide.dlq { topic = "d" }' })
  end)

  it("advice warns of a loop and of weak security", function()
    assert.same({ 'p:4: warning: produces into "t", which it reads: every result comes back as an input' },
      warnings { 'tide.produce { topic = "t" }', COMMIT })
    assert.same({
      "p:3: warning: security.protocol=sasl_plaintext: the password can be read on the network; use SASL_SSL",
      "p:3: warning: enable.ssl.certificate.verification=false: anybody can pretend to be the broker",
    }, warnings({ PRODUCE, COMMIT }, ', rdkafka = { ["security.protocol"] = "SASL_PLAINTEXT", '
      .. '["enable.ssl.certificate.verification"] = false }'))
  end)
end)
