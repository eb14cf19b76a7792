-- SPDX-License-Identifier: MIT
local ffi = require "ffi"
local C = require("spec.support.headers").declare "shm/message_list.h"
ffi.cdef "void free(void *);"

local ITEM = ffi.sizeof "struct tide_message_item"

local function item(value, key, size)
  local message = ffi.new("struct tide_message", { value = value, value_length = value and #value or 0, key = key,
    key_length = key and #key or 0, offset = 7 })
  return C.tide_message_item_new(message, size or ITEM)
end

local function value_of(one)
  return one.message.value ~= nil and ffi.string(one.message.value, one.message.value_length) or nil
end

local function taken(list)
  local one = C.tide_message_list_take(list)
  if one == nil then return nil end
  local value = value_of(one)
  ffi.C.free(one)
  return value
end

describe("a list of messages", function()
  local list

  before_each(function() list = ffi.gc(ffi.new "struct tide_message_list", C.tide_message_list_free) end)

  it("a list of messages keeps a copy of the bytes of a message, and tells empty from null", function()
    local bytes = ffi.new("char[3]", "abc")
    local message = ffi.new("struct tide_message", { value = bytes, value_length = 3, key = bytes, key_length = 0 })
    local one = C.tide_message_item_new(message, ITEM)
    ffi.fill(bytes, 3, 120)
    C.tide_message_list_append(list, one)
    assert.equal("abc", value_of(one))
    assert.is_true(one.message.key ~= nil and one.message.headers == nil)
  end)

  it("a list of messages gives them back in order, those in front first, and counts messages and bytes", function()
    for _, value in ipairs { "b", "cc" } do C.tide_message_list_append(list, item(value, "k")) end
    C.tide_message_list_prepend(list, item "aaaa")
    assert.same({ 3, 9 }, { list.count, tonumber(list.bytes) })
    assert.same({ "aaaa", "b", "cc" }, { taken(list), taken(list), taken(list) })
    assert.is_nil(taken(list))
    assert.same({ 0, 0 }, { list.count, tonumber(list.bytes) })
  end)

  it("a list of messages can be moved in memory, empty or not", function()
    local moved = ffi.new "struct tide_message_list"
    C.tide_message_list_append(list, item "a")
    assert.equal("a", taken(list))
    ffi.copy(moved, list, ffi.sizeof(moved))
    C.tide_message_list_append(moved, item "b")
    C.tide_message_list_append(moved, item "c")
    ffi.copy(list, moved, ffi.sizeof(list))
    C.tide_message_list_append(list, item "d")
    assert.same({ "b", "c", "d" }, { taken(list), taken(list), taken(list) })
  end)

  it("a list of messages holds larger structs too, whose further members are zero at first", function()
    local one = item("value", "key", ITEM + 16)
    local more = ffi.cast("char *", one) + ITEM
    for i = 0, 15 do assert.equal(0, more[i]) end
    ffi.fill(more, 16, 255)
    C.tide_message_list_append(list, one)
    assert.equal("value", value_of(one))
    C.tide_message_list_free(list)
    assert.same({ 0, 0 }, { list.count, tonumber(list.bytes) })
  end)
end)
