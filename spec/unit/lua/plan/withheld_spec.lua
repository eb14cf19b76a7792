-- SPDX-License-Identifier: MIT
-- What is done with the environment before the zygote is forked leaves no value of it on the Lua heap, which the zygote
-- and its workers have from then on.
local ffi = require "ffi"
local sandbox = require "tidemill.plan.sandbox"
local tide = require "tidemill.run.ffi"

ffi.cdef "int setenv(const char *name, const char *value, int replace); int unsetenv(const char *name);"

describe("plan/sandbox.lua", function()
  local string_of = ffi.string

  after_each(function()
    ffi.string = string_of
    ffi.C.unsetenv "TIDE_WITHHELD"
  end)

  it("names the variables that are withheld without making a text of their values", function()
    ffi.C.setenv("TIDE_WITHHELD", "a=secret", 1)
    local texts = {}
    ffi.string = function(...)
      texts[#texts + 1] = string_of(...)
      return texts[#texts]
    end
    local names = sandbox.withheld { trust = tide.C.TIDE_TRUST_STANDARD, env = { "PATH" } }
    assert.is_true(names.TIDE_WITHHELD)
    assert.is_nil(names.PATH)
    for _, text in ipairs(texts) do assert.is_nil(text:find("=", 1, true), text) end
    assert.is_true(#texts > 1)
    assert.is_nil(sandbox.withheld { trust = tide.C.TIDE_TRUST_FULL, env = {} })
  end)
end)
