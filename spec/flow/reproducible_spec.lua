-- SPDX-License-Identifier: MIT
-- Objects that are built in two folders are equal byte for byte. `make reproducible` holds the whole build to that;
-- here it is a few files of each language, and one that is made to differ.
local function run(line)
  local pipe = assert(io.popen(("{ %s; } 2>&1; echo \"code=$?\""):format(line)))
  local out, code = pipe:read "*a":match "^(.*)code=(%d+)\n$"
  pipe:close()
  return out, tonumber(code)
end

describe("a build", function()
  it("is equal to another one in another folder, by another user, in another locale", function()
    local out, code = run("env -u LD_PRELOAD scripts/dev/reproducible.sh build/engine/base/status.o "
      .. "build/engine/main.o build/engine/engine_view.o build/engine/json/utf8.o")
    assert.equal(0, code, out)
    assert.matches("files of two builds are equal", out)
  end)

  it("is told apart from one that holds the name of its folder", function()
    local out, code = run("env -u LD_PRELOAD CFLAGS='-O2 -g -ffile-prefix-map=/=/' "
      .. "scripts/dev/reproducible.sh build/engine/base/status.o")
    assert.equal(65, code, out)
    assert.matches("status.o differ", out)
  end)
end)
