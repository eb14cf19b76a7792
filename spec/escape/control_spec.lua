-- SPDX-License-Identifier: MIT
-- The control: what the scripts of the escape corpus do where nothing stops them. A script that does no harm under
-- trust = "full" would prove nothing by doing none under another level. Scripts whose harm would be to the machine,
-- or that need rights that a run may not have, are left out (they are not `shown`).
local escape = require "spec.support.escape"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

describe("a hostile script under trust = full", function()
  local run

  setup(function() run = escape.run("full", { dying = 0.3 }) end)
  teardown(function()
    if run then run:stop() end
    process.stop_all()
    pipeline_file.remove_all()
  end)

  for _, script in ipairs(escape.scripts()) do
    if script.shown then
      it(("a hostile script does its harm under trust = full: %s. %s"):format(script.name, script.what), function()
        assert.is_true(#run:attempt(script) > 0, "it did no harm: " .. tostring(run.said))
      end)
    end
  end
end)
