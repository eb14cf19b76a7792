-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local library = require "tidemill.run.ffi"
local child = require "spec.support.child"
local wait = require "spec.support.wait"
local C = library.C

local topics

local function name(number)
  local text = C.tide_topics_name(topics, number)
  return text ~= nil and ffi.string(text) or nil
end

local function shared_name(number)
  local text = C.tide_topics_shared_name(topics, number)
  return text ~= nil and ffi.string(text) or nil
end

-- 255 bytes that end in the number.
local function long_name(number)
  return ("x"):rep(250) .. ("%05d"):format(number)
end

describe("the topic table", function()
  before_each(function() topics = ffi.gc(C.tide_topics_new(), C.tide_topics_free) end)
  after_each(child.stop_all)

  it("the topic table gives the same name the same number, and a new one the next", function()
    assert.equal(0, C.tide_topics_number(topics, "a"))
    assert.equal(1, C.tide_topics_number(topics, "b"))
    assert.equal(0, C.tide_topics_number(topics, "a"))
    assert.equal(2, C.tide_topics_count(topics))
    assert.equal("a", name(0))
    assert.equal("b", name(1))
  end)

  it("the topic table copies the name", function()
    local bytes = ffi.new("char[4]", "abc")
    C.tide_topics_number(topics, bytes)
    bytes[0] = ("x"):byte()
    assert.equal("abc", name(0))
  end)

  it("the topic table has no name for a number that is not there", function()
    C.tide_topics_number(topics, "a")
    for _, number in ipairs { 1, 4095, 4096, 65535, 2 ^ 32 - 1 } do
      assert.is_nil(name(number))
      assert.is_nil(shared_name(number))
    end
  end)

  it("the topic table shows workers what was added after the fork", function()
    C.tide_topics_number(topics, "before")
    local worker = child.start(function()
      wait.until_true(function() return shared_name(1) == "after" end, "the new name")
      return shared_name(0) == "before" and 0 or 1
    end)
    C.tide_topics_number(topics, "after")
    assert.equal(0, (worker:join()))
  end)

  it("the topic table keeps a copy that no worker can change", function()
    C.tide_topics_number(topics, "mine")
    local code = child.run(function()
      ffi.fill(ffi.cast("char *", C.tide_topics_shared_name(topics, 0)) - 4, 300, 0x7A) -- the count too
      return shared_name(0) and 0 or 1
    end)
    assert.equal(0, code)
    assert.equal("mine", name(0))
    assert.equal(1, C.tide_topics_count(topics))
    assert.equal(0, C.tide_topics_number(topics, "mine"))
    assert.is_nil(name(1))
  end)

  it("the topic table takes 4,096 names of up to 255 bytes and refuses more, saying which", function()
    for i = 1, 4096 do assert.equal(i - 1, C.tide_topics_number(topics, long_name(i))) end
    assert.equal(C.TIDE_ECONFIG, C.tide_topics_number(topics, "one more"))
    assert.truthy(library.error():find("one more", 1, true))
    assert.equal(4095, C.tide_topics_number(topics, long_name(4096)))
    assert.equal(long_name(4096), shared_name(4095))
  end)

  it("the topic table refuses a name of 256 bytes", function()
    assert.equal(C.TIDE_ECONFIG, C.tide_topics_number(topics, ("x"):rep(256)))
    assert.equal(0, C.tide_topics_count(topics))
  end)
end)
