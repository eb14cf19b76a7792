-- SPDX-License-Identifier: MIT
local secret = require "tidemill.plan.secret"

describe("a secret", function()
  local path

  before_each(function()
    path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    file:write("pass word\n")
    file:close()
  end)

  after_each(function() os.remove(path) end)

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
    assert.equal('secret file "/no/such/file" cannot be read: /no/such/file: No such file or directory', reason)
    value, reason = secret.env("TIDE_NO_SUCH_VARIABLE"):resolve()
    assert.is_nil(value)
    assert.equal('environment variable "TIDE_NO_SUCH_VARIABLE" is not set', reason)
    assert.equal("default", secret.env("TIDE_NO_SUCH_VARIABLE", "default"):resolve())
  end)
end)
