-- SPDX-License-Identifier: MIT
local pipeline_file = require "spec.support.pipeline_file"
local print = require "tidemill.plan.print"

local TEXT = [[
local pool = tide.pool { processes = 3 }
return tide.pipeline "x" {
  tide.kafka_source { brokers = "a:1", topic = "t", group = "g",
    rdkafka = { ["ssl.ca.pem"] = "written here", ["ssl.key.pem"] = tide.env "KEY", ["sasl.username"] = "me" } },
  tide.run_task_with_multiprocessing { function() end, pool = pool, input_block_size = "128MiB" },
  tide.produce { topic = "o" },
  tide.commit_offsets { policy = { min_time = "2s" } },
  dlq = tide.dlq { path = "d" },
}]]

describe("a printed plan", function()
  after_each(pipeline_file.remove_all)

  it("a printed plan shows effective options and which of them are defaults", function()
    local text = print.text(pipeline_file.load(TEXT))
    for _, line in ipairs {
      "  1. kafka_source  line 4",
      "    topic                  t",
      "    auto_offset_reset      error  (default)",
      "    functions              function in line 6",
      "    loop                   of its own",
      "    pool                   pool in line 2",
      "    input_block_size       128MiB",
      "    max_input_block_size   128MiB  (default)",
      "    policy                 { min_time = 2s }",
      "  pool  line 2",
      "    processes              3",
      "    max_invalid_ratio      no limit  (default)",
    } do
      assert.is_truthy(("\n" .. text):find("\n" .. line .. "\n", 1, true), line .. "\nis not in\n" .. text)
    end
  end)

  it("a printed plan shows what memory_limit leaves", function()
    local text = print.text(pipeline_file.load((TEXT:gsub("dlq = ", "memory_limit = '1GiB', dlq = "))))
    assert.is_truthy(text:find("  memory_limit leaves for run_task_with_multiprocessing\n"
      .. "    processes              3 at most\n"
      .. "    max_input_block_size   128MiB\n"
      .. "    max_output_block_size  19169152\n", 1, true), text)
  end)

  it("a printed plan never shows a secret, nor keys and certificates written into the file", function()
    local text = print.text(pipeline_file.load(TEXT))
    assert.is_truthy(text:find("sasl.username=me, ssl.ca.pem=[redacted], ssl.key.pem=[redacted]", 1, true))
    assert.is_nil(text:find("written here", 1, true))
  end)

  it("a printed plan says which steps share a worker's loop", function()
    local text = print.text(pipeline_file.load [[
return tide.pipeline "x" {
  tide.kafka_source { brokers = "a:1", topic = "t", group = "g" },
  tide.filter { function() end },
  tide.run_task_with_multiprocessing { function() end },
  tide.run_task { function() end },
  tide.produce { topic = "o" },
  tide.commit_offsets {},
}]])
    for number, others in pairs { [2] = "3. run_task_with_multiprocessing, 4. run_task",
      [3] = "2. filter, 4. run_task", [4] = "2. filter, 3. run_task_with_multiprocessing" } do
      local step = text:match("\n  " .. number .. "%. .-\n  %d%. ")
      assert.is_truthy(step:find("    loop                   shared with " .. others .. "\n", 1, true), text)
    end
    assert.is_nil(text:match("\n  1%. .-\n  %d%. "):find("loop", 1, true))
  end)

  it("a printed plan is a graph that names each step", function()
    local dot = print.dot(pipeline_file.load(TEXT))
    assert.is_truthy(dot:find('^digraph "x" {\n'))
    assert.is_truthy(dot:find('s1 [label="kafka_source\\nt"];', 1, true))
    assert.is_truthy(dot:find("s3 -> s4;", 1, true))
    assert.is_truthy(dot:find("s2 -> dlq [style=dashed];", 1, true))
    assert.is_truthy(dot:find("}\n$"))
  end)
end)
