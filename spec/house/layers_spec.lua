-- SPDX-License-Identifier: MIT
-- Dependencies point one way: base < {shm, json, http, store} < {lookup, table} < {proc, io} < {chain, kafka} < engine,
-- and {steps, run} < lib < plan < metrics < tuning < testing < cli.
local files = require "spec.house.files"

local C_RANK = { base = 1, shm = 2, json = 2, http = 2, store = 2,
  lookup = 3, table = 3, proc = 4, io = 4, chain = 5, kafka = 5, engine = 6 }
local LUA_RANK = { steps = 1, run = 1, lib = 2, plan = 3, tidemill = 4, metrics = 5, tuning = 6, testing = 7,
  cli = 8 }

-- Faults of one dependency: to one's own folder or to a lower rank.
local function judge(faults, rank, from, to, path, line)
  if from == to then return end
  if not rank[to] or not rank[from] or rank[to] >= rank[from] then
    faults[#faults + 1] = ("%s depends on %s: %s"):format(path, to, line)
  end
end

-- Calls found(module) for each module of tidemill that a line of Lua requires, however the text is written.
local function each_required(line, found)
  for _, pattern in ipairs { "[\"']tidemill%.?([%w_.]*)[\"']", "%[=*%[tidemill%.?([%w_.]*)%]=*%]" } do
    for module in line:gmatch("require%s*%(?%s*" .. pattern) do found(module) end
  end
end

-- engine/io/x.c -> io; engine/kafka/sink/x.c -> kafka; engine/x.c -> engine
local function c_folder(path)
  return path:match("^(%w+)/") or "engine"
end

describe("the layers", function()
  it("of the C files point down", function()
    local faults = {}
    for _, path in ipairs(files.list({ "engine" }, { "*.c", "*.h", "*.cpp", "*.hpp" })) do
      for _, line in ipairs(files.lines(path)) do
        local included = line:match('^#include "([^"]+)"')
        if included then
          judge(faults, C_RANK, c_folder(path:match("^engine/(.*)")), c_folder(included), path, line)
        end
      end
    end
    assert.same({}, faults)
  end)

  it("of the Kafka client stand below its source and its sink, which do not know each other", function()
    local faults = {}
    for _, path in ipairs(files.list({ "engine/kafka" }, { "*.c", "*.h" })) do
      for _, line in ipairs(files.lines(path)) do
        local part = line:match('^#include "kafka/(%w+)/')
        if part and part ~= path:match("^engine/kafka/(%w+)/") then
          faults[#faults + 1] = path .. " includes " .. line
        end
      end
    end
    assert.same({}, faults)
  end)

  it("let only engine/kafka see librdkafka, and only the program see Lua", function()
    local faults = {}
    for _, path in ipairs(files.list({ "engine" }, { "*.c", "*.h", "*.cpp", "*.hpp" })) do
      local text = files.read(path)
      if text:find("#include <librdkafka/", 1, true) and not path:find("^engine/kafka/") then
        faults[#faults + 1] = path .. " includes librdkafka"
      end
      if text:find("#include <simdjson.h>", 1, true) and path ~= "engine/json/index.cpp"
        and path ~= "engine/json/utf8.cpp" then
        faults[#faults + 1] = path .. " includes simdjson"
      end
      if text:find('#include [<"]lua') and path ~= "engine/main.c" then
        faults[#faults + 1] = path .. " includes Lua"
      end
    end
    assert.same({}, faults)
  end)

  -- When the coordinator does not take such a request, librdkafka uses memory that it freed (its pull request 5397).
  it("send no admin request to the coordinator of a group", function()
    local faults = {}
    for _, path in ipairs(files.list({ "engine" }, { "*.c" })) do
      for call in files.read(path):gmatch "rd_kafka_(%w*ConsumerGroup%w*)%(" do
        faults[#faults + 1] = path .. " calls rd_kafka_" .. call
      end
    end
    assert.same({}, faults)
  end)

  it("of the Lua files point down", function()
    local faults = {}
    for _, path in ipairs(files.list({ "lua" }, { "*.lua" })) do
      local from = path:match("^lua/tidemill/(%w+)/") or "tidemill"
      for _, line in ipairs(files.lines(path)) do
        each_required(line, function(module)
          judge(faults, LUA_RANK, from, module:match("^[%w_]+") or "tidemill", path, line)
        end)
      end
    end
    assert.same({}, faults)
  end)

  it("of the Lua files are seen in each form of require", function()
    for _, form in ipairs { 'require "%s"', "require('%s')", "require [[%s]]", "require([=[%s]=])" } do
      local seen = {}
      local function note(module) seen[#seen + 1] = module end
      each_required("local x = " .. form:format "tidemill.cli.run" .. ".y", note)
      each_required(form:format "tidemill", note)
      assert.same({ "cli.run", "" }, seen, form)
    end
  end)
end)
