-- SPDX-License-Identifier: MIT
-- The escape corpus on a kernel without Landlock, played by a fault point (engine/proc/sandbox.c): signals are refused
-- and nothing is written, by the filter of system calls alone. What reads files is not stopped, and that is all. The
-- build with fault points has its table of faults in shared memory, which a script may spoil without more harm.
local escape = require "spec.support.escape"
local faults = require "spec.support.faults"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local PROGRAM = assert(io.popen "pwd"):read "*l" .. "/" .. faults.folder .. "/tidemill" -- from any folder

describe("a hostile script on a kernel without Landlock", function()
  local available, problem = escape.available "standard"
  if not available then return pending("trust = standard: " .. problem) end
  local run

  setup(function() run = escape.run("standard", { program = PROGRAM, faults = "sandbox.landlock=1+:errno:38" }) end)
  teardown(function()
    if run then run:stop() end
    process.stop_all()
    pipeline_file.remove_all()
  end)

  for _, script in ipairs(escape.scripts()) do
    local chosen = script.name:find "^file_" or script.name:find "^signal_" or script.name == "allowed_shared_spoilt"
    if script.stopped_by.standard and chosen and not script.landlock then
      it(("a hostile script is contained without Landlock: %s. %s"):format(script.name, script.what), function()
        assert.same({}, run:attempt(script))
      end)
    end
  end

  -- The log told of it: spec/flow/old_kernel_spec.lua.
  for _, name in ipairs { "file_read", "file_read_require" } do
    it("a hostile script reads a file without Landlock, as docs/security.md says: " .. name, function()
      assert.is_true(#run:attempt { name = name } > 0, "it did not: " .. tostring(run.said))
    end)
  end
end)
