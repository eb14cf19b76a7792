-- SPDX-License-Identifier: MIT
-- The escape corpus before the first message: while the transform is loaded, in its `init` and its `start` hook the
-- same holds as later, except that the process which loads transforms may have children, and no block yet.
local canary = require "spec.support.canary"
local escape = require "spec.support.escape"
local pending_scripts = require "spec.escape.pending"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local program = require "spec.support.program"
local wait = require "spec.support.wait"

-- Scripts that need a message, a block or a sibling, and one that kills its own process too.
local NEEDS_MESSAGE = { "^allowed_", "^signal_group$", "^input_", "^lua_", "sibling", "zygote", "^trace_me$" }
-- What the process that loads transforms may do: it forks workers, and takes back its own limit of memory for them.
local NOT_WHILE_LOADING = { "^child_", "^code_", "^signal_of_death", "^limits_memory$" }

local function is_one_of(name, patterns)
  for _, pattern in ipairs(patterns) do
    if name:find(pattern) then return true end
  end
  return false
end

local function attacks_at(moment, level)
  local list = {}
  for _, script in ipairs(escape.scripts()) do
    local left_out = is_one_of(script.name, NEEDS_MESSAGE)
      or moment ~= "start" and (is_one_of(script.name, NOT_WHILE_LOADING) or pending_scripts.loading[script.name])
    if script.stopped_by[level] and not (left_out or pending_scripts[level][script.name] or escape.beyond(script)) then
      list[#list + 1] = ("%q"):format(script.name)
    end
  end
  return list
end

-- ENGINE is put in by the shell that becomes the engine.
local PIPELINE = [[
local tide = require "tidemill"
MOMENT, ATTACKS = %q, { %s }
TARGET = { engine = ENGINE, %s }
return tide.pipeline "moments" { tide.file_source { path = %q }, tide.run_task { "carrier_at.lua" },
  tide.file_sink { path = "-" }, trust = %q }
]]

local function target_of(one)
  return ("canary = %q, made = %q, folder = %q, token = %q, port = %d, broker = %d, socket = %q, variable = %q"):format(
    one.file, one.made, one.folder, one.token, one.port, one.port, one.socket, one.variable)
end

describe("hostile scripts before the first message", function()
  local one

  before_each(function() one = canary.new() end)
  after_each(function()
    process.stop_all()
    one:remove()
    pipeline_file.remove_all()
  end)

  for _, level in ipairs { "standard", "hardened" } do
    local available, problem = escape.available(level)
    if not available then pending(("trust = %s: %s"):format(level, problem)) end
    for _, moment in ipairs(available and { "load", "init", "start" } or {}) do
      local attacks = attacks_at(moment, level)
      it(("hostile scripts are contained at %s, under trust = %s"):format(moment, level), function()
        assert.is_true(#attacks > 100)
        local path = one.folder .. "/p.lua"
        local file = assert(io.open(path, "w"))
        file:write(PIPELINE:format(moment, table.concat(attacks, ", "), target_of(one), one.root .. "/in", level))
        file:close()
        file = assert(io.open(one.root .. "/in", "w"))
        file:write "x\n"
        file:close()
        one.files = select(2, one:look())
        local code, out, err = process.run({ "/bin/sh", "-c", 'sed -i "s/ENGINE/$$/" "$1"; exec "$0" run "$1" 9<"$2"',
          program.path, path, one.file }, { env = { [one.variable] = one.secret } })
        local pids, files
        wait.until_true(function()
          pids, files = one:look()
          return next(pids) == nil
        end, "the end of all processes")
        assert.same({ 0, ".\n" }, { code, out }, err)
        assert.is_nil(one:leak(out .. err))
        assert.equal(one.files, files)
      end)
    end
  end
end)
