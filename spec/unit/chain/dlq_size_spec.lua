-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare("chain/dlq_size.h")

local LARGE, SMALL = C.TIDE_DLQ_TRUNCATED_BYTES + 1, 1000

describe("what is learned of how large a dead letter may be", function()
  local size
  before_each(function() size = ffi.new "struct tide_dlq_size" end)

  -- Dead letters of these sizes are refused in a batch, and the transaction is aborted. Whether `alone` begins.
  local function abort(...)
    for _, bytes in ipairs { ... } do C.tide_dlq_size_refused(size, bytes) end
    return C.tide_dlq_size_aborted(size)
  end

  local function too_large(bytes) return C.tide_dlq_size_too_large(size, bytes) end

  it("no size is too large before a dead letter was refused", function()
    assert.is_false(too_large(LARGE * 100))
    assert.is_false(abort())
    assert.is_false(size.alone)
  end)

  it("the limit is the size of the smallest large dead letter that was refused", function()
    assert.is_false(abort(LARGE + 10, LARGE, LARGE + 20))
    assert.same({ false, true, true }, { too_large(LARGE - 1), too_large(LARGE), too_large(LARGE + 1) })
  end)

  it("a small dead letter that was refused with a large one says nothing", function()
    assert.is_false(abort(SMALL, LARGE))
    assert.same({ false, true }, { too_large(SMALL), too_large(LARGE) })
    assert.is_false(size.alone)
  end)

  it("a batch of small dead letters was too large itself: they are sent alone from then on", function()
    assert.is_true(abort(SMALL, SMALL))
    assert.is_false(too_large(SMALL))
    assert.is_true(size.alone)
    assert.is_false(abort(SMALL))
  end)

  it("the limit is the size of a small dead letter that was refused alone", function()
    abort(SMALL)
    abort(SMALL - 1)
    assert.same({ false, true }, { too_large(SMALL - 2), too_large(SMALL - 1) })
  end)

  it("a large dead letter of an earlier transaction does not explain a refusal", function()
    abort(LARGE)
    assert.is_true(abort(SMALL))
  end)
end)
