-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("tidemill.run.ffi").C

ffi.cdef "const char *tide_signal_name(int number);"

describe("the name of a signal", function()
  it("is that of `kill -l`, and ? for what has none", function()
    local pipe = assert(io.popen "bash -c 'for i in {1..31}; do kill -l $i; done'")
    local number = 0
    for name in pipe:lines() do
      number = number + 1
      local ours = ffi.string(C.tide_signal_name(number))
      assert.equal(name == "IO" and "POLL" or name, ours)
    end
    pipe:close()
    assert.equal(31, number)
    for _, other in ipairs { -1, 0, 32, 40, 65 } do assert.equal("?", ffi.string(C.tide_signal_name(other))) end
  end)
end)
