-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local child = require "spec.support.child"
local secret = require "tidemill.plan.secret"

ffi.cdef "int setenv(const char *name, const char *value, int replace);"

describe("a secret", function()
  local path

  before_each(function()
    path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("pass word\n")
    file:close()
    os.execute("chmod 600 " .. path)
  end)

  after_each(function()
    os.remove(path)
    child.stop_all()
  end)

  it("a secret prints as [redacted], alone and joined with text", function()
    assert.equal("[redacted]", tostring(secret.file(path)))
    assert.equal("[redacted]", tostring("user:" .. secret.file(path) .. "@host"))
    assert.equal("[redacted]", tostring(secret.env("HOME")))
  end)

  it("a secret is the file's contents without the newline at the end", function()
    assert.equal("pass word", secret.file(path):resolve())
    assert.equal("user:pass word@host", ("user:" .. secret.file(path) .. "@host"):resolve())
  end)

  it("a secret is fetched only when it is resolved", function()
    local late = secret.file(path)
    local file = assert(io.open(path, "wb"))
    file:write("newer")
    file:close()
    assert.equal("newer", late:resolve())
  end)

  it("a secret tells what is missing, by name only", function()
    local value, reason = secret.file("/no/such/file"):resolve()
    assert.is_nil(value)
    assert.equal('secret file "/no/such/file": cannot be read: No such file or directory', reason)
    value, reason = secret.env("TIDE_NO_SUCH_VARIABLE"):resolve()
    assert.is_nil(value)
    assert.equal('environment variable "TIDE_NO_SUCH_VARIABLE" is not set', reason)
    assert.equal("default", secret.env("TIDE_NO_SUCH_VARIABLE", "default"):resolve())
  end)

  local function reason_of(contents, mode)
    local file = assert(io.open(path, "wb"))
    file:write(contents)
    file:close()
    os.execute(("chmod %s %s"):format(mode or "600", path))
    local value, reason = secret.file(path):resolve()
    assert.is_nil(value)
    return (reason:gsub(path, "PATH", 1))
  end

  it("a secret is refused that is empty, too long, or has a zero byte, which librdkafka would cut", function()
    assert.equal('secret file "PATH": cannot be read: it is empty', reason_of "\n")
    assert.equal('secret file "PATH": cannot be read: it has a zero byte', reason_of "a\0b")
    assert.equal('secret file "PATH": cannot be read: longer than 65536 bytes', reason_of(("x"):rep(65537)))
    local value, reason = secret.file("/"):resolve()
    assert.same({ nil, 'secret file "/": cannot be read: Is a directory' }, { value, reason })
  end)

  it("a secret is refused that everybody can write, and warned of once when others can read it", function()
    assert.equal(('secret file "PATH": everybody can write it (mode 602); say chmod 600 %s'):format(path),
      reason_of("a", "602"))
    os.execute("chmod 640 " .. path)
    local code, _, text = child.run(function()
      assert(secret.file(path):resolve() == "a" and secret.file(path):resolve() == "a")
    end)
    assert.equal(0, code, text)
    local words = ('secret file "%s": others than its owner can read it (mode 640); say chmod 600 %s'):format(
      path, path)
    local _, count = text:gsub((words:gsub("%p", "%%%0")), "")
    assert.equal(1, count, text)
  end)

  it("a secret may be a credential of systemd, in the folder that it names", function()
    local value, reason = secret.credential("kafka"):resolve()
    assert.is_nil(value)
    assert.equal('credential "kafka": CREDENTIALS_DIRECTORY is not set; systemd sets it for a unit with '
      .. "LoadCredential=, elsewhere say tide.secret_file", reason)
    local folder, name = path:match("^(.*)/([^/]*)$")
    local code, _, text = child.run(function()
      ffi.C.setenv("CREDENTIALS_DIRECTORY", folder, 1)
      assert(secret.credential(name):resolve() == "pass word")
      assert(select(2, secret.credential("none"):resolve())
        == ('credential "none" (%s/none): cannot be read: No such file or directory'):format(folder))
    end)
    assert.equal(0, code, text)
  end)

  it("a secret equals one from the same place, and no other", function()
    assert.is_true(secret.env("A") == secret.env("A"))
    assert.is_true("x" .. secret.file("a") == "x" .. secret.file("a"))
    assert.is_false(secret.env("A") == secret.env("A", "default"))
    assert.is_false(secret.env("A") == secret.file("A"))
    assert.is_false(secret.env("A") == secret.env("A") .. "x")
  end)
end)
