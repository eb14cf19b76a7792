-- SPDX-License-Identifier: MIT
-- Hostile scripts where `network` is a list of one host: it can be reached, and nothing else, by whatever way. What
-- must not be reached are sockets of this spec, which would know of it.
local escape = require "spec.support.escape"
local listeners = require "spec.support.listeners"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local OTHER_HOST = 2 -- 127.0.0.2

describe("a hostile script where network is a list of one host", function()
  local available, problem = escape.available "standard"
  if not available then return pending("trust = standard: " .. problem) end
  local run, close_listed, traps

  setup(function()
    local port, other_was_reached
    port, close_listed, other_was_reached = listeners.beside(OTHER_HOST)
    run = escape.run("standard", { listed = port })
    traps = { other_was_reached, run.canary.was_reached }
  end)
  teardown(function()
    if run then run:stop() end
    if close_listed then close_listed() end
    process.stop_all()
    pipeline_file.remove_all()
  end)

  for _, script in ipairs(escape.scripts()) do
    if script.stopped_by.list then
      it(("a hostile script is contained where network is a list: %s. %s"):format(script.name, script.what), function()
        assert.same({}, run:attempt(script))
        for _, was_reached in ipairs(traps) do assert.is_false(was_reached()) end
      end)
    end
  end

  it("a hostile script can connect to the host of the list, so what was refused was refused by its address", function()
    local gained = run:attempt { name = "reach_listed" }
    assert.equal("escaped by reach_listed: it is connected", gained[1])
  end)
end)
