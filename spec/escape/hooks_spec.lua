-- SPDX-License-Identifier: MIT
-- Hostile transforms that attack by when they die, hang or leave something behind: while they are loaded and in
-- each hook. The run ends in order with the right exit code, or goes on; nothing outlives it.
local canary = require "spec.support.canary"
local escape = require "spec.support.escape"
local pending_scripts = require "spec.escape.pending"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local wait = require "spec.support.wait"

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "hooks" { tide.file_source { path = %q }, tide.run_task { "hostile.lua" },
  tide.file_sink { path = "-" }, trust = %q, start_timeout = %q, worker_memory = "64MiB" }
]]

local function hook(name, body)
  return ("return { %s = function() %s end, process = function(message) return message end }"):format(name, body)
end

local BOMB = "return #('x'):rep(2e9)"
local LOOP = "while true do end"
local CHILD = "local kernel = require 'kernel' if kernel.C.fork() == 0 then kernel.stay() end"
local THREAD = "local kernel = require 'kernel' local thread = kernel.ffi.new 'unsigned long[1]' "
  .. "kernel.C.pthread_create(thread, nil, kernel.ffi.cast('void *', kernel.C.sleep), kernel.ffi.cast('void *', 1000))"
local ALL, WITH_FFI = { "full", "standard", "hardened" }, { "standard" }

-- name -> the transform, the exit code, the levels
local transforms = {
  ["loops while it is loaded"] = { LOOP, 78, ALL },
  ["prints without end while it is loaded"] = { "while true do print 'x' end", 78, ALL },
  ["ends the process that loads it"] = { "os.exit(0)", 78, ALL },
  ["loops in init"] = { hook("init", LOOP), 78, ALL },
  ["raises what cannot be shown in init"] = {
    hook("init", "error(setmetatable({}, { __tostring = function() error 'no' end }))"), 78, ALL },
  ["loops in start"] = { hook("start", LOOP), 78, ALL },
  ["dies in start each time"] = { hook("start", BOMB), 75, ALL },
  ["loops in close"] = { hook("close", LOOP), 0, ALL },
  ["dies in close"] = { hook("close", BOMB), 0, ALL },
  ["leaves a child behind while it is loaded"] = { CHILD .. "\nreturn function(message) return message end", 78,
    WITH_FFI },
  ["leaves a child behind in init"] = { hook("init", CHILD), 78, WITH_FFI },
  ["leaves a thread behind in init"] = { hook("init", THREAD), 78, WITH_FFI },
}

for _, level in ipairs(escape.LEVELS) do
  describe("a hostile transform under trust = " .. level, function()
    local available, problem = escape.available(level)
    if not available then return pending(("trust = %s: %s"):format(level, problem)) end
    local runs = {}

    -- Those that loop wait for start_timeout, for which a busy machine would be too slow elsewhere.
    local function start(text, code)
      local one = canary.new()
      local start_timeout = code == 78 and text:find("while true", 1, true) and "1s" or "1min"
      local files = { ["hostile.lua"] = text, ["p.lua"] = PIPELINE:format(one.root .. "/in", level, start_timeout) }
      for name, content in pairs(files) do
        local file = assert(io.open(one.folder .. "/" .. name, "w"))
        file:write(content)
        file:close()
      end
      local file = assert(io.open(one.root .. "/in", "w"))
      file:write "x\n"
      file:close()
      one.files = select(2, one:look())
      return { canary = one, process = process.start { program.path, "run", one.folder .. "/p.lua" } }
    end

    -- All at once, since most of them wait for start_timeout.
    setup(function()
      for name, case in pairs(transforms) do
        local claimed = table.concat(case[3], " "):find(level) and not pending_scripts.hooks[name]
        if claimed then runs[name] = start(case[1], case[2]) end
      end
    end)
    teardown(function()
      process.stop_all()
      for _, run in pairs(runs) do run.canary:remove() end
      pipeline_file.remove_all()
    end)

    for name, case in pairs(transforms) do
      if table.concat(case[3], " "):find(level) and pending_scripts.hooks[name] then
        pending(("a hostile transform that %s (%s)"):format(name, pending_scripts.hooks[name]))
      elseif table.concat(case[3], " "):find(level) then
        it(("a hostile transform ends its run in order that %s, under trust = %s"):format(name, level), function()
          local run = runs[name]
          assert.equal(case[2], run.process:wait(), run.process:stderr())
          if case[2] == 0 then assert.equal("x\n", run.process:stdout()) end
          wait.until_true(function() return not next((run.canary:look())) end, "all processes to be gone")
          assert.equal(run.canary.files, select(2, run.canary:look()))
        end)
      end
    end
  end)
end
