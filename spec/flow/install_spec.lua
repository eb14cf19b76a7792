-- SPDX-License-Identifier: MIT
-- make install: the program runs from any folder with what was installed, and nothing of the checkout.
local pipeline_file = require "spec.support.pipeline_file"

local sanitizers = { ["build/asan"] = "address", ["build/undefined"] = "undefined" }
local sanitizer = sanitizers[os.getenv "TIDE_BUILD"]

local function run(line)
  local pipe = io.popen(("{ %s; } 2>&1; echo \"code=$?\""):format(line))
  local out, code = pipe:read("*a"):match "^(.*)code=(%d+)\n$"
  pipe:close()
  assert(code == "0", out)
  return out
end

describe("an installed tidemill", function()
  local prefix

  setup(function()
    prefix = pipeline_file.folder() .. "/prefix"
    run(("mkdir -p %s/share/tidemill/lua && touch %s/share/tidemill/lua/old.lua"):format(prefix, prefix))
    run(("make -s install PREFIX=%s %s"):format(prefix, sanitizer and "SANITIZER=" .. sanitizer or ""))
  end)
  teardown(pipeline_file.remove_all)

  it("runs the examples from another folder, without Lua paths of the environment", function()
    local out = run(([[cd / && echo '{"level":"info","value":2}' | env -u LUA_PATH -u TIDE_BUILD %s/bin/tidemill run \
      %s/share/tidemill/scripts/clean_events.lua --input - --log-level error]]):format(prefix, prefix))
    assert.equal('{"level":"info","v":4,"seen":true}\n', out)
  end)

  it("has the examples and no tools, headers for C, and nothing of an older version", function()
    local files = run(("cd %s && find . -type f"):format(prefix))
    assert.is_truthy(files:find("share/tidemill/scripts/transform.lua", 1, true))
    assert.is_truthy(files:find("share/tidemill/include/tidemill.h", 1, true))
    for _, part in ipairs { "/bench", "/dev", "/torture", "/lua/old.lua" } do
      assert.is_nil(files:find(part, 1, true), part)
    end
  end)

  it("goes without a trace", function()
    run(("make -s uninstall PREFIX=%s"):format(prefix))
    assert.equal("", run(("find %s -type f"):format(prefix)))
  end)
end)
