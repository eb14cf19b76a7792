-- SPDX-License-Identifier: MIT
-- A hostile script that writes over all the shared memory it can reach, while another worker of the same step has
-- results in its output block that are not taken yet: these pass as they were.
local escape = require "spec.support.escape"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"
local wait = require "spec.support.wait"

local HELD = 40

describe("a hostile script beside a worker with results", function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  for _, level in ipairs { "full", "standard" } do
    local available, problem = escape.available(level)
    if not available then pending(("trust = %s: %s"):format(level, problem)) end
    for _, name in ipairs(available and { "allowed_output_neighbours", "allowed_shared_spoilt" } or {}) do
      it(("a hostile script leaves the blocks of other workers alone: %s, trust = %s"):format(name, level), function()
        -- All lines are one batch: what else the worker of the script has run before is its own to spoil.
        local run = escape.run(level, { processes = 2, max_batch_size = HELD, batch_time = "1s",
          message_timeout = "50s" })
        finally(function() run:stop() end)
        local lines, go = {}, run.canary.root .. "/pipeline/go"
        for i = 1, HELD - 1 do lines[i] = "result " .. i end
        lines[HELD] = "hold " .. go
        run:feed(lines)
        local function said(...)
          local patterns = { ... }
          wait.until_true(function()
            local text = run.process:stderr()
            for _, pattern in ipairs(patterns) do
              if text:find(pattern) then return true end
            end
          end, function() return table.concat(patterns, " or ") .. ": " .. run.process:stderr() end)
        end
        said "held"
        run:feed { run.canary:message(name, run:told()) }
        -- It may be killed, since what it says of its own progress cannot be true, before it has told that it is done.
        said("was killed by signal", name == "allowed_shared_spoilt" and "spoilt" or nil)
        assert(io.open(go, "w")):close()
        local results, letters = run:outcome(HELD + 1, 0)
        assert.same(lines, results)
        assert.is_truthy(letters[HELD + 1])
        assert.is_nil(run:loss())
      end)
    end
  end
end)
