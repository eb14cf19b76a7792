-- SPDX-License-Identifier: MIT
-- What a transform keeps from one message to the next is told by `check` and at the start of `run`.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

describe("state in a transform", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- The warnings of `check` (or of `run`) about a transform file, as "line name".
  local function warnings(transform, verb, step)
    local path, folder = pipeline_file.write(([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" }, %s, tide.file_sink { path = "-" } }]]):format(
      step or 'tide.run_task { "t.lua" }'), { ["t.lua"] = transform, ["in"] = "x\n" })
    local arguments = verb == "run" and { PROGRAM, "run", path, "--input", "in" } or { PROGRAM, "check", path }
    local code, _, err = process.run(arguments, { cwd = folder })
    assert.equal(0, code, err)
    local found = {}
    for line, name in err:gmatch('%.lua:(%d+): warning: "([%w_]+)" keeps something from one message to the next') do
      found[#found + 1] = line .. " " .. name
    end
    table.sort(found)
    return found, err
  end

  it("state in a transform is told by line and variable, once for each", function()
    local transform = [[
local seen, count = {}, 0
local function helper(id) by_id = by_id or {} by_id[id] = 1 end
return function(m)
  if seen[m.key] then return nil end
  seen[m.key or ""] = true
  seen.last = m.key
  count = count + 1
  helper(1)
  return m
end]]
    assert.same({ "2 by_id", "5 seen", "7 count" }, (warnings(transform)))
    assert.same({ "2 by_id", "5 seen", "7 count" }, (warnings(transform, "run")))
  end)

  it("state in a transform is told once of a module that two files require", function()
    local path, folder = pipeline_file.write([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" }, tide.run_task { "t1.lua", "t2.lua" },
  tide.file_sink { path = "-" } }]], { ["in"] = "x\n",
      ["m.lua"] = "local m, seen = {}, 0\nfunction m.run(message) seen = seen + 1 return message end\nreturn m\n",
      ["t1.lua"] = 'local m = require "m"\nreturn function(message) return m.run(message) end\n',
      ["t2.lua"] = 'local m = require "m"\nreturn function(message) return m.run(message) end\n' })
    local code, _, err = process.run({ PROGRAM, "check", path }, { cwd = folder })
    assert.equal(0, code, err)
    assert.equal(1, select(2, err:gsub('m%.lua:2: warning: "seen" keeps something', "")), err)
  end)

  it("state in a transform is found in inner functions, inner tables, and what table.insert gets", function()
    assert.same({ "4 count", "5 all", "6 list" }, (warnings [[
local count, list, all = 0, {}, { deep = { er = {} } }
return function(m)
  m.value:gsub(".", function()
    count = count + 1 end)
  all.deep.er[m.value] = 1
  table.insert(list, 1)
  return m
end]]))
  end)

  it("state in a transform is looked for in batch functions, and in those of the pipeline file", function()
    assert.same({ "2 n" }, (warnings("local n = 0\nreturn { batch = function(all) n = n + 1 return all end }")))
    assert.same({ "2 counted" }, (warnings("return print", nil,
      "tide.filter { function(m) counted = 1 return true end }")))
  end)

  it("state in a transform is not what lives within a call, hooks, or the file's own code", function()
    assert.same({}, (warnings [[
local table_of_init, connection, more = {}, nil, {}
more.x = 1
return {
  init = function() table_of_init.x = 1 end,
  start = function() connection = {} more[1] = connection end,
  process = function(m)
    local own, n = {}, 0
    own.x, own[1] = table_of_init.x, 2
    m.value:gsub(".", function() n = n + 1 own[n] = 1 end)
    for i = 1, 3 do own[i] = more end
    m.key = "k"
    return m
  end,
}]]))
  end)

  it("state in a transform is a cache where the name or the line says so", function()
    assert.same({}, (warnings [[
local user_cache, known, box = {}, {}, require("ffi").new "int[1]"
return function(m)
  user_cache[m.value] = 1
  known[m.value] = 1 -- tidemill: cache
  box[0] = 1
  return m
end]]))
  end)

  it("state in a transform is not the only thing told: a verdict that is made and not returned is, too", function()
    local _, err = warnings [[
local tide = require "tidemill"
local retry = tide.retry
return function(m)
  if m.key then tide.reject("no " .. m.key) end
  if not m.value then retry(tostring(m.value)) end
  pcall(function() tide.many {
    "x" } end)
  if m.value == "a" then return tide.reject "a" end
  local again = m.value == "b" and tide.retry "b"
  if again then return again end
  tide.log.info("read", { value = m.value })
  return m.value == "c" and tide.many { "d" } or m
end]]
    local found = {}
    for line, word in err:gmatch "t%.lua:(%d+): warning: what tide%.(%a+) makes is not returned" do
      found[#found + 1] = line .. " " .. word
    end
    table.sort(found)
    assert.same({ "4 reject", "5 retry", "6 many" }, found, err)
  end)
end)
