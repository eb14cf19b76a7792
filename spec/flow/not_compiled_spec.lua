-- SPDX-License-Identifier: MIT
-- What LuaJIT does not compile, provoked by real scripts in real workers, in the words of `tidemill profile`.
local C = require("tidemill.run.ffi").C
local flow = require "spec.support.flow"
local print = require "tidemill.cli.profile.print"
local reasons = require "tidemill.cli.profile.reasons"
local samples = require "tidemill.cli.profile.samples"

local fixture = flow.fixture()

local SCRIPT = [[
local cjson, off = require 'cjson', function(m) return m.offset end; jit.off(off); return function(message)
%s
return message
end]]

-- The function of a message with this body, which begins at line 2 of t.lua.
local function script(body)
  return assert(loadstring(SCRIPT:format(body), "=t.lua"))()
end

-- The profile of a script, once its loop is hot.
local function profile_of(body)
  local run = fixture.new { steps = { { script(body), max_batch_size = 200 } } }
  for i = 1, 200 do run:push { value = "aaa" .. i, key = "k", timestamp = i } end
  C.tide_memory_repeat(run.source, 1e12)
  C.tide_memory_discard(run.sink)
  run:start()
  run:turn_until(function() return run.engine:totals().produced > 4000 end)
  run:turn_until(function() return run.engine:profile_begin(0, 0, 10) end)
  local before = run.engine:totals().produced -- jobs that the worker has had before the order make some hundreds
  run:turn_until(function() return run.engine:totals().produced > before + 1000 end)
  run:turn_until(function() return run.engine:profile_end(0, 0) end)
  run:turn_until(function() return (run.engine:profile(0, 0)) == "done" end)
  local _, text = run.engine:profile(0, 0)
  return assert(samples.read(text))
end

-- The lines about it.
local function said_of(body)
  local lines = {}
  for i, found in ipairs(samples.obstacles(profile_of(body), {})) do lines[i] = reasons.line(found) end
  return lines
end

-- LuaJIT decides by chance which loop it tries first and when it gives one up, so a profile may have further lines.
local function says(body, pattern)
  local lines = said_of(body)
  for _, line in ipairs(lines) do
    if line:find(pattern) then return true end
  end
  return false, ("expected %q in:\n%s"):format(pattern, table.concat(lines, "\n"))
end

-- The same of a plain text.
local function says_text(body, text)
  return says(body, "^" .. text:gsub("%p", "%%%0") .. "$")
end

describe("what is not compiled", function()
  it("is a pattern of string.gsub", function()
    assert(says_text("local s = message.value:gsub('a+', 'b')",
      "t.lua:2: the compiled code is left here: string.gsub is not compiled (NYI); use "
      .. "tide.regex.gsub"))
  end)

  it("is a pattern of string.find", function()
    assert(says_text("\nlocal s = message.value:find('a+x')",
      "t.lua:3: the compiled code is left here: string.find is not compiled (NYI); use "
        .. "tide.regex.find, or string.find(s, text, from, true) for a plain text"))
  end)

  it("is string.gmatch, also where its loop is meant", function()
    assert(says_text("local n = 0\nfor w in message.value:gmatch('%w+') do n = n + #w end",
      "t.lua:3: the compiled code is left here: string.gmatch is not compiled (NYI); use "
      .. "tide.regex.find in a loop"))
  end)

  it("is cjson.decode, which message.json replaces", function()
    assert(says_text("local t = cjson.decode('{}')",
      "t.lua:2: the compiled code is left here: cjson.decode is not compiled (NYI); use "
      .. "message.json"))
  end)

  it("is os.date", function()
    assert(says_text("message.key = os.date('%Y')",
      "t.lua:2: the compiled code is left here: os.date is not compiled (NYI); use "
      .. "tide.time.format"))
  end)

  it("is a function that is made for each message", function()
    assert(says("local f = function() return message.offset end\nmessage.timestamp = f()",
      "^t.lua:2: .* interpreted: a function is made here each time %(a closure%), which is not compiled %(NYI: FNEW%); "
      .. "make it once, outside, and pass it what it needs$"))
  end)

  it("is the function that is made for a pcall, and not the pcall", function()
    assert(says("local ok = pcall(function(m) return m.offset end, message)",
      "^t.lua:2: .* interpreted: a function is made here"))
    assert.is_false((says("local ok = pcall(tonumber, message.value)", "pcall")))
  end)

  it("is code that is too long", function()
    local body = { "local n = message.offset" }
    for i = 1, 6000 do body[#body + 1] = ("n = (n + %d) %% %d"):format(i, i + 7) end
    body[#body + 1] = "message.timestamp = n"
    assert(says(table.concat(body, "\n"), "^t.lua:%d+: .* interpreted: the code for one message is too long to be "
      .. "compiled as one piece %(trace too long%); split it over two steps"))
  end)

  it("is a function for which compilation is switched off", function()
    assert(says("local n = off(message)", "^t.lua:%d+: .* interpreted: .*compilation is switched off"))
  end)

  it("is everything, where a script switches off the compiler, sets a hook, or throws away what is compiled", function()
    for body, words in pairs { ["jit.off()"] = "the compiler is switched off (jit.off())",
      ["if not debug.gethook() then debug.sethook(function() end, 'l') end"] = "a hook is set (debug.sethook)",
      ["jit.flush()"] = "all compiled code was thrown away " } do
      local text = table.concat(print.lines(profile_of(body)), "\n")
      assert.is_truthy(text:find("What LuaJIT does not compile:\n  " .. words, 1, true), text)
    end
  end)

  -- What LuaJIT leaves to the interpreter for a moment is chance.
  it("is nothing, in one profile of five at least, in a script that only edits its message", function()
    local silent = 0
    for _ = 1, 5 do
      silent = silent + (#said_of [[
        if message.key == "none" then return nil end
        message.value = message.value .. "!" .. string.format("%d", message.offset)
      ]] == 0 and 1 or 0)
    end
    assert.is_true(silent >= 1)
  end)
end)

describe("the words for a reason", function()
  it("are there for each reason of LuaJIT that is not harmless", function()
    for _, format in pairs(require("jit.vmdef").traceerr) do
      local text = reasons.words((format:gsub("%%d", "MUL"):gsub("%%s", "string.rep")))
      assert.is_true(#text > 10, format)
    end
  end)

  it("keep a reason that is not known", function()
    assert.equal("something new", (reasons.words "something new"))
    assert.equal("t.lua:1: the loop is interpreted: something new",
      reasons.line { kind = "loop", where = "t.lua:1", reason = "something new" })
  end)
end)
