-- SPDX-License-Identifier: MIT
-- Names of the user's files: those of one are neither seen nor changed by another, nor by the program.
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = require("spec.support.program").path

describe("the names of a transform file", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  -- Runs a pipeline of transform files over the lines of `input`, from the folder they lie in: what came out.
  local function run(steps, files, input, head)
    files["in"] = input
    local path, folder = pipeline_file.write((head or "") .. [[

local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" }, ]] .. steps .. [[,
  tide.file_sink { path = "-" } }]], files)
    local code, out, err = process.run({ PROGRAM, "run", path, "--input", "in" }, { cwd = folder })
    assert.equal(0, code, err)
    assert.not_matches("tidemill: ", err)
    return out, err
  end

  local function task(...)
    return 'tide.run_task_with_multiprocessing { "' .. table.concat({ ... }, '", "') .. '", processes = 1 }'
  end

  it("the names of a transform file are its own: two files with the same globals, in one step or in two", function()
    local files = {
      ["a.lua"] = "function mark(m) return m.value .. 'a' end\nlimit = 1\n" ..
        "return function(m) return mark(m) .. limit end",
      ["b.lua"] = "function mark(m) return m.value .. 'b' end\nlimit = 2\n" ..
        "return function(m) return mark(m) .. limit end",
    }
    assert.equal("xa1b2\n", (run(task("a.lua", "b.lua"), files, "x\n")))
    assert.equal("xa1b2\n", (run(task("a.lua") .. ", " .. task("b.lua"), files, "x\n")))
  end)

  it("the names of the modules that a transform file requires are its own too, each is loaded once"
    .. " for it", function()
    local files = {
      ["shared.lua"] = "loads = (loads or 0) + 1\nrequire('ffi').cdef 'struct of_the_user { int x; };'\n"
        .. "function helper() return name .. loads .. require('ffi').sizeof('struct of_the_user') end\nreturn {}",
      ["a.lua"] = "name = 'a'\nrequire 'shared'\nassert(require 'shared' == require 'shared')\n"
        .. "return function(m) return m.value .. helper() end",
      ["b.lua"] = "name = 'b'\nrequire 'shared'\nreturn function(m) return m.value .. helper() end",
    }
    assert.equal("xa14b14\n", (run(task("a.lua", "b.lua"), files, "x\n")))
  end)

  it("the names of a transform file may be of C types with methods, in a module that two files require", function()
    local files = {
      ["point.lua"] = "local ffi = require 'ffi'\nffi.cdef 'struct point_of_the_user { int x; };'\n"
        .. "return ffi.metatype('struct point_of_the_user', { __index = { twice = function(p) return 2 * p.x end } })",
      ["a.lua"] = "local point = require 'point'\nreturn function(m) return m.value .. point(1):twice() end",
      ["b.lua"] = "local point = require 'point'\nreturn function(m) return m.value .. point(2):twice() end",
    }
    assert.equal("x24\n", (run(task("a.lua", "b.lua"), files, "x\n")))
  end)

  it("the names of a transform file may be watched by a metatable of _G that allows no undeclared one", function()
    local files = { ["a.lua"] = "setmetatable(_G, { __index = function(_, name) error('undeclared ' .. name) end })\n"
      .. "return function(m) if m.value == 'never' then return DEBUG_OFF end return m.value end" }
    assert.equal("x\n", (run(task("a.lua"), files, "x\n")))
  end)

  it("the names of a transform file are not those of the program: modules of the same name beside the"
    .. " pipeline", function()
    local files = { ["in"] = "{}\n",
      ["cjson.lua"] = "return { mine = 'cjson' }", ["argparse.lua"] = "error 'of the user'", ["t.lua"] = [[
local tide = require "tidemill"
local mine = require("cjson").mine
return function(m)
  m.json.mine = mine
  m.json.log = type(tide.log.info)
  return m
end]],
    }
    local path, folder = pipeline_file.write("", {})
    os.execute(("mkdir -p %s/tidemill/run %s/tidemill/lib"):format(folder, folder))
    for _, name in ipairs { "init", "run/message", "run/transforms", "run/worker", "lib/log", "lib/library" } do
      local file = assert(io.open(("%s/tidemill/%s.lua"):format(folder, name), "w"))
      file:write("error 'of the user'")
      file:close()
    end
    for name, text in pairs(files) do
      local file = assert(io.open(folder .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
    local file = assert(io.open(path, "w"))
    file:write([[local tide = require "tidemill"
      return tide.pipeline "x" { tide.file_source { path = "in" }, tide.run_task { "t.lua" },
        tide.file_sink { path = "-" } }]])
    file:close()
    local code, out, err = process.run({ PROGRAM, "run", path, "--input", "in" }, { cwd = folder })
    assert.same({ 0, '{"mine":"cjson","log":"function"}\n' }, { code, out }, err)
  end)

  it("the names of a transform file begin with those of the pipeline file, which it cannot change", function()
    local out = run(task("a.lua", "b.lua"), {
      ["a.lua"] = "local was = limit\nlimit = 6\nreturn function(m) return m.value .. was .. limit end",
      ["b.lua"] = "return function(m) return m.value .. limit .. tostring(_G.limit == limit) end",
    }, "x\n", "limit = 5")
    assert.equal("x565true\n", out)
  end)

  it("the names of a transform file hold for what it compiles", function()
    local out = run(task("a.lua", "b.lua"), {
      ["a.lua"] = "loadstring 'made = 1' ()\nload(function() return nil end)\ndofile 'more.lua'\n"
        .. "return function(m) return m.value .. made .. more end",
      ["more.lua"] = "more = 2",
      ["b.lua"] = "return function(m) return m.value .. tostring(made) .. tostring(more) end",
    }, "x\n")
    assert.equal("x12nilnil\n", out)
  end)

  it("the names of a transform file may all be cleared, in the pipeline file too: the program has its own", function()
    local clear = "local pairs, tostring, G = pairs, tostring, _G\nfor name in pairs(G) do G[name] = nil end\n"
    local path, folder = pipeline_file.write([[local tide = require "tidemill"
local names = {}
for name in pairs(_G) do names[#names + 1] = name end
local steps = { tide.file_source { path = "in" }, tide.run_task { "t.lua" }, tide.file_sink { path = "-" } }
local G = _G
for i = 1, #names do G[names[i] ] = nil end
return tide.pipeline "x" (steps)]], { ["in"] = "x\n",
      ["t.lua"] = clear .. "return function(m) return m.value .. 'y' end" })
    local code, out, err = process.run({ PROGRAM, "run", path, "--input", "in" }, { cwd = folder })
    assert.same({ 0, "xy\n" }, { code, out }, err)
  end)

  describe("in the libraries of Lua, which are one for all files,", function()
    local function trim(text) return "function string.trim(s) return '" .. text .. "' .. s end\n" end
    local SHOW = "return function(m) return m.value:trim() end"

    -- The text of `check`, which refuses the pipeline; the folder in it is left out.
    local function refused(steps, files)
      local path, folder = pipeline_file.write(([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" }, %s }]]):format(steps), files)
      local code, _, err = process.run({ PROGRAM, "check", path })
      assert.equal(78, code, err)
      return (err:gsub(folder:gsub("%p", "%%%0") .. "/", ""))
    end

    it("the names of a transform file in the libraries of Lua, which are one for all files, are refused"
      .. " where a second file writes one differently, in one step or in two", function()
      local files = { ["a.lua"] = "\n" .. trim "T1" .. SHOW, ["b.lua"] = trim "T2" .. SHOW }
      for _, steps in ipairs { task("a.lua", "b.lua"), task("a.lua") .. ", " .. task("b.lua") } do
        local err = refused(steps, files)
        assert.is_truthy(err:find("string.trim is written by a.lua:2 and, differently, by b.lua:1: ", 1, true), err)
      end
      local err = refused(task("a.lua", "b.lua"), { ["a.lua"] = "math.limit = 1\nreturn function(m) return m end",
        ["b.lua"] = "math.limit = 2\nreturn function(m) return m end" })
      assert.is_truthy(err:find("math.limit is written by a.lua and, differently, by b.lua: ", 1, true), err)
    end)

    it("the names of a transform file in the libraries of Lua, which are one for all files, are taken"
      .. " where both write the same: by a module that both require, or one file used twice", function()
      local files = { ["shared.lua"] = trim "T" .. "math.limit = 1\n", ["a.lua"] = "require 'shared'\n" .. SHOW,
        ["b.lua"] = "require 'shared'\n" .. SHOW }
      assert.equal("TTTx\n", (run(task("a.lua", "b.lua", "a.lua"), files, "x\n")))
      assert.equal("TTx\n", (run(task("a.lua", "b.lua"), { ["a.lua"] = trim "T" .. SHOW,
        ["b.lua"] = "if not string.trim then error 'none' end\n" .. SHOW }, "x\n")))
    end)

    it("the names of a transform file in the libraries of Lua, which are one for all files, are refused"
      .. " in the table of tidemill, old and new ones", function()
      for name, text in pairs {
        ["null"] = "local _ = tide.null\ntide.null = 5", ["log"] = "tide.log = print",
        ["helper"] = "tide.helper = print",
        ["array"] = "function tide.array() end",
      } do
        local err = refused(task "a.lua", { ["a.lua"] = "local tide = require 'tidemill'\n" .. text
          .. "\nreturn function(m) return m end" })
        assert.matches("a%.lua[:%d]*: tide%." .. name .. " is written; ", err)
      end
    end)

    it("the names of a transform file in the libraries of Lua, which are one for all files, leave the"
      .. " table of tidemill as it is where it is only read", function()
      assert.equal("x\n", (run(task("a.lua", "b.lua"), { ["a.lua"] = "local tide = require 'tidemill'\n"
        .. "local null, many = tide.null, tide.many\nreturn function(m) return m end",
        ["b.lua"] = "local null = require('tidemill').null\nreturn function(m) return m end" }, "x\n")))
    end)
  end)

  it("the names of a transform file that are not found are told with the pipeline's folder", function()
    local path, folder = pipeline_file.write([[local tide = require "tidemill"
return tide.pipeline "x" { tide.file_source { path = "in" }, tide.run_task { "t.lua" } }]],
      { ["t.lua"] = "require 'no.such'\nreturn print" })
    local code, _, err = process.run({ PROGRAM, "check", path })
    assert.equal(78, code)
    assert.matches("module 'no.such' not found:", err)
    assert.is_truthy(err:find("no file '" .. folder .. "/no/such.lua'", 1, true), err)
  end)
end)
