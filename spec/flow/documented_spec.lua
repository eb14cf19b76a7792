-- SPDX-License-Identifier: MIT
-- What the documents show runs under each level of trust that it is written for: README's pipeline, the examples of
-- scripts/ by the commands in their headers, those of the option tables, what `tidemill new` writes, and the modules
-- that docs/library.md names. All of them run under standard; under hardened those that need nothing it takes away.
local list = require "tidemill.steps.list"
local files = require "spec.house.files"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path
local LEVELS = { "standard", "hardened" }

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- The lines of a text in order, since two workers may swap messages of two partitions.
local function sorted(text)
  local lines = {}
  for line in text:gmatch "[^\n]+" do lines[#lines + 1] = line end
  table.sort(lines)
  return lines
end

-- In a command: a folder that is made for it.
local NEW_FOLDER = "NEW_FOLDER"

-- Runs a command at each level: the same comes out.
local function same_at_all_levels(argv, folder)
  local wanted
  for _, level in ipairs(LEVELS) do
    local command = { PROGRAM }
    for _, word in ipairs(argv) do command[#command + 1] = word:gsub(NEW_FOLDER, pipeline_file.folder) end
    command[#command + 1], command[#command + 2] = "--trust", level
    local code, out, err = process.run(command, { cwd = folder })
    assert.equal(0, code, level .. ": " .. table.concat(argv, " ") .. "\n" .. err)
    wanted = wanted or sorted(out)
    assert.is_true(#wanted > 0)
    assert.same(wanted, sorted(out), level)
  end
end

describe("what is documented", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  it("what is documented in README runs at all levels with the same results", function()
    local folder, found = pipeline_file.folder(), 0
    for block in ("\n" .. files.read "README.md"):gmatch "\n```%l*\n(.-)\n```" do
      local name = block:match "^%-%- ([%w_]+%.lua)\n"
      if block:find('^{"level":"info","value"') then name = "events.jsonl" end
      if name then
        write(folder .. "/" .. name, block .. "\n")
        found = found + 1
      end
    end
    assert.equal(3, found)
    same_at_all_levels({ "run", "clean_events.lua", "--input", "events.jsonl", "--log-level", "error" }, folder)
  end)

  it("what is documented in the headers of scripts/ runs at all levels with the same results", function()
    local pipe, ran = io.popen "grep -ho '^--   tidemill run .*' scripts/*.lua", 0
    for line in pipe:lines() do
      local argv = { "--log-level", "error" }
      local words = line:match("^%-%-   tidemill (.*)$"):gsub("%$%(mktemp %-d%)", NEW_FOLDER)
      for word in words:gmatch "%S+" do table.insert(argv, #argv - 1, word) end
      same_at_all_levels(argv)
      ran = ran + 1
    end
    pipe:close()
    assert.is_true(ran >= 22, ran)
  end)

  it("what is documented as an example of a step loads at all levels", function()
    -- Names that the examples only mention.
    local GIVEN = { "new_list = function() return {} end",
      "add = function(list, m) list[#list + 1] = m.value return list end",
      "is_long = function(list) return #list > 9 end", "join = table.concat" }
    local tried = 0
    for _, spec in ipairs(list) do
      local task = spec.kind == "task" and spec.positional and spec.example:find "function"
      if task or spec.name == "buffer" then
        local path, folder = pipeline_file.write(('%s\nlocal tide = require "tidemill"\nreturn tide.pipeline "x" { '
          .. 'tide.file_source { path = "-" }, %s, tide.file_sink { path = "-" } }'):format(table.concat(GIVEN, "\n"),
          spec.example))
        for _, level in ipairs(LEVELS) do
          local code, _, err = process.run({ PROGRAM, "check", path, "--trust", level }, { cwd = folder })
          assert.equal(0, code, spec.name .. " " .. level .. "\n" .. err)
        end
        tried = tried + 1
      end
    end
    assert.is_true(tried >= 4, tried)
  end)

  it("what is documented as written by `tidemill new` passes its own tests at all levels", function()
    local folder = pipeline_file.folder()
    assert.equal(0, (process.run({ PROGRAM, "new", "orders" }, { cwd = folder })))
    for _, level in ipairs(LEVELS) do
      local code, out, err = process.run({ PROGRAM, "test", "--trust", level }, { cwd = folder .. "/orders" })
      assert.equal(0, code, level .. "\n" .. out .. err)
      assert.matches("3 successes / 0 failures / 0 errors", out)
    end
    same_at_all_levels({ "run", "pipeline.lua", "--input", "messages.jsonl", "--log-level", "error" },
      folder .. "/orders")
  end)

  it("what is documented as at hand in transforms works at all levels, with the same results", function()
    local path, folder = pipeline_file.write([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, tide.run_task { "t.lua" }, tide.file_sink { path = "-" } }
]], { input = '{"tags":["b","a"],"id":12345678901234567890}\n', ["t.lua"] = [[
local tide = require "tidemill"
return function(message)
  local event = message.json
  local tags = tide.json.table(event.tags)
  table.sort(tags)
  event.tags = tags
  event.user = "user-" .. tide.json.text(event.id)
  event.moment = tide.time.format(assert(tide.time.parse("2026-01-31T12:00:00.123456789+01:00", "ns")), "ns")
  event.us = tide.time.format(tide.time.convert(1769860800123, "ms", "us"), "us")
  event.hash = { tide.hash.hex(tide.hash.xxhash64 "x"), tide.hash.sha256 "x", tide.hash.crc32c "x" }
  event.word = tide.regex.match("a b", "(\\w) \\w")
  event.base64 = tide.base64.encode "x"
  event.zip = { tide.gzip.decompress(tide.gzip.compress "gzip"), tide.zstd.decompress(tide.zstd.compress "zstd") }
  event.packed = tostring(tide.msgpack.decode(tide.msgpack.encode { n = 18446744073709551615 }).n)
  event.env = tide.env("TIDE_NO_SUCH_VARIABLE", "default")
  tide.metric.count "documented"
  tide.log.debug("a line of %d", 1)
  message.headers = { source = "spec" }
  message.key = event.id
  return tide.many { message, { value = tide.pack { message:copy() } } }
end]] })
    same_at_all_levels({ "run", path, "--input", "input", "--output-format", "json", "--log-level", "error" }, folder)
  end)

  it("what is documented as libraries, of Lua and in C, works under full and standard; hardened takes those of Lua",
    function()
    local rocks = pipeline_file.folder()
    write(rocks .. "/of_lua.lua", "local cjson_there = pcall(require, 'cjson')\nreturn { there = cjson_there }")
    local path, folder = pipeline_file.write([[
local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "-" }, tide.run_task { "t.lua" }, tide.file_sink { path = "-" } }
]], { input = "x\n", ["t.lua"] = [[
local rock, has_lpeg, lpeg = require "of_lua", pcall(require, "lpeg")
local fits = not has_lpeg or lpeg.P("x"):match("x") == 2
return function(message) return tostring(rock.there) .. tostring(fits) end]] })
    for level, wanted in pairs { full = "truetrue\n", standard = "truetrue\n", hardened = "falsetrue\n" } do
      local code, out, err = process.run({ PROGRAM, "run", path, "--input", "input", "--trust", level }, { cwd = folder,
        env = { LUA_PATH = rocks .. "/?.lua;;" } })
      assert.same({ 0, wanted }, { code, out }, err)
    end
  end)
end)
