-- SPDX-License-Identifier: MIT
-- make install: the program runs from any folder with what was installed, and nothing of the checkout.
local pipeline_file = require "spec.support.pipeline_file"

local sanitizers = { ["build/asan"] = "address", ["build/undefined"] = "undefined",
  ["build/thread"] = "thread" }
local sanitizer = sanitizers[os.getenv "TIDE_BUILD"]

local function run(line)
  local pipe = io.popen(("{ %s; } 2>&1; echo \"code=$?\""):format(line))
  local out, code = pipe:read("*a"):match "^(.*)code=(%d+)\n$"
  pipe:close()
  assert(code == "0", out)
  return out
end

describe("an installed tidemill", function()
  local folder, prefix

  -- Below a folder with a space, beside files of somebody else.
  setup(function()
    folder = pipeline_file.folder()
    prefix = ("'%s/my code/inst'"):format(folder)
    run(("mkdir -p '%s/my'/keep %s/share/tidemill/lua %s/bin"):format(folder, prefix, prefix))
    run(("touch '%s/my'/keep/this %s/share/tidemill/lua/mine.lua %s/bin/mine"):format(folder, prefix, prefix))
    run(("make -s install PREFIX=%s %s"):format(prefix, sanitizer and "SANITIZER=" .. sanitizer or ""))
  end)
  teardown(pipeline_file.remove_all)

  it("an installed tidemill runs the examples from another folder, without Lua paths of the environment", function()
    local out = run(([[cd / && echo '{"level":"info","value":2}' | env -u LUA_PATH -u TIDE_BUILD %s/bin/tidemill run \
      %s/share/tidemill/scripts/clean_events.lua --input - --log-level error]]):format(prefix, prefix))
    assert.equal('{"level":"info","v":4,"seen":true}\n', out)
  end)

  it("an installed tidemill has the examples and no tools, headers for C, and nothing outside of the prefix", function()
    local files = run(("cd %s && find . -type f"):format(prefix))
    assert.is_truthy(files:find("share/tidemill/scripts/transform.lua", 1, true))
    assert.is_truthy(files:find("share/tidemill/include/tidemill.h", 1, true))
    assert.is_truthy(files:find("share/tidemill/lua/tidemill/dashboard/index.html", 1, true))
    for _, name in ipairs { "grafana.json", "alerts.yml" } do
      assert.is_truthy(files:find("share/tidemill/monitoring/" .. name, 1, true))
    end
    for _, file in ipairs { "man/man1/tidemill-run.1", "man/man5/tidemill-pipeline.5", "zsh/site-functions/_tidemill",
      "bash-completion/completions/tidemill", "fish/vendor_completions.d/tidemill.fish" } do
      assert.is_truthy(files:find("./share/" .. file .. "\n", 1, true), file)
    end
    assert.matches("\nExecStart=" .. folder .. [[/my\x20code/inst/bin/tidemill run /etc/tidemill/%i.lua ]],
      run(("cat %s/lib/systemd/system/tidemill@.service"):format(prefix)), 1, true)
    for _, part in ipairs { "/bench", "/dev", "/torture" } do
      assert.is_nil(files:find(part, 1, true), part)
    end
    assert.equal("my\nmy code\n", run(("ls '%s'"):format(folder)))
    assert.equal("inst\n", run(("ls '%s/my code'"):format(folder)))
  end)

  it("an installed tidemill takes the place of an older version: what that had listed and this has not"
    .. " is gone", function()
    run(("cd %s && touch share/tidemill/lua/old.lua && echo share/tidemill/lua/old.lua >>share/tidemill/manifest")
      :format(prefix))
    run(("make -s install PREFIX=%s %s"):format(prefix, sanitizer and "SANITIZER=" .. sanitizer or ""))
    assert.equal("mine.lua\ntidemill\ntidemill.d.lua\n", run(("ls %s/share/tidemill/lua"):format(prefix)))
  end)

  it("an installed tidemill removes nothing that is not below the prefix, whatever the manifest says", function()
    local copy = ("'%s/copy'"):format(folder)
    run(("cp -r %s %s && echo ../my/keep/this >>%s/share/tidemill/manifest"):format(prefix, copy, copy))
    local out = run(("make -s uninstall PREFIX=%s && false || rm -r %s"):format(copy, copy))
    assert.matches("not a path of ours: ../my/keep/this", out, 1, true)
    assert.equal("this\n", run(("ls '%s/my/keep'"):format(folder)))
  end)

  it("an installed tidemill goes without a trace, and takes nothing of anybody else with it", function()
    run(("make -s uninstall PREFIX=%s"):format(prefix))
    assert.equal("./my code/inst/bin/mine\n./my code/inst/share/tidemill/lua/mine.lua\n./my/keep/this\n",
      run(("cd '%s' && find . -type f | LC_ALL=C sort"):format(folder)))
    assert.matches("nothing to remove", run(("make -s uninstall PREFIX=%s"):format(prefix)))
  end)
end)
