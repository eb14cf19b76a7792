-- SPDX-License-Identifier: MIT
-- The escape corpus: every script in spec/escape/scripts, under each level of trust that claims to stop it. It ends
-- as the rejection of its own message; its neighbours pass; files, secrets, engine, zygote and other workers are as
-- before.
local escape = require "spec.support.escape"
local pending_scripts = require "spec.escape.pending"
local pipeline_file = require "spec.support.pipeline_file"
local process = require "spec.support.process"

local scripts = escape.scripts()

-- Those that a level claims to stop, of a kind.
local function claimed(level, hangs)
  local list = {}
  for _, script in ipairs(scripts) do
    if script.stopped_by[level] and (script.hangs or false) == hangs then list[#list + 1] = script end
  end
  return list
end

for _, level in ipairs(escape.LEVELS) do
  describe("a hostile script under trust = " .. level, function()
    local available, problem = escape.available(level)
    if not available then return pending(("trust = %s: %s"):format(level, problem)) end
    local run

    setup(function() run = escape.run(level) end)
    teardown(function()
      if run then run:stop() end
      process.stop_all()
      pipeline_file.remove_all()
    end)

    for _, script in ipairs(claimed(level, false)) do
      local name = ("a hostile script is contained under trust = %s: %s. %s"):format(level, script.name, script.what)
      local why = pending_scripts[level][script.name] or escape.beyond(script)
      if why then
        pending(name .. " (" .. why .. ")")
      else
        it(name, function() assert.same({}, run:attempt(script)) end)
      end
    end

    it("hostile scripts that hang are contained under trust = " .. level .. ", all at once", function()
      local list = claimed(level, true)
      assert.is_true(#list > 8)
      local all = escape.run(level, { processes = #list, max_batch_size = 1, message_timeout = "1s" })
      finally(function() all:stop() end)
      assert.same({}, all:attempt_all(list))
    end)
  end)
end

describe("the escape corpus", function()
  it("the escape corpus has at least 80 scripts that standard stops, and 20 that attack by what is allowed", function()
    local stopped, allowed = 0, 0
    for _, script in ipairs(scripts) do
      assert.matches("^It .*%.$", script.what, script.name)
      if script.name:find "^allowed_" then
        allowed = allowed + 1
      elseif script.stopped_by.standard then
        stopped = stopped + 1
      end
    end
    assert.is_true(stopped >= 80, stopped .. " scripts")
    assert.is_true(allowed >= 20, allowed .. " scripts")
  end)
end)
