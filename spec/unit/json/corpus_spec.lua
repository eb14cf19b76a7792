-- SPDX-License-Identifier: MIT
-- What is JSON and what is not: the index against the verdicts of the corpus, a plain parser and libjansson.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local corpus = require 'spec.support.json_corpus'
local jansson = require 'spec.support.jansson'

-- libjansson reads integers as int64_t, nests up to 2048, passes over some NUL bytes, and has no NUL in keys.
local function beyond_jansson(text)
  return text:find(('%d'):rep(20)) or select(2, text:gsub('[%[{]', '')) > 1024 or text:find '%z'
    or text:find('{"\\u0000"', 1, true)
end

describe('a JSON document', function()
  local json

  before_each(function() json = ffi.gc(C.tide_json_new(), C.tide_json_free) end)

  -- In a buffer of exactly its bytes, so that a sanitizer sees a read behind them.
  local function opens(text)
    local bytes = ffi.new('char[?]', math.max(#text, 1))
    ffi.copy(bytes, text, #text)
    C.tide_json_reset(json)
    return C.tide_json_open(json, bytes, #text) >= 0
  end

  it('a JSON document is accepted or refused as the corpus says', function()
    assert.is_true(#corpus >= 300)
    local faults = {}
    for i, case in ipairs(corpus) do
      local text, valid = case[1], case[2]
      if opens(text) ~= valid then faults[#faults + 1] = i .. ' index: ' .. text:sub(1, 60) end
      if (C.tide_json_check(text, #text) == C.TIDE_OK) ~= valid then
        faults[#faults + 1] = i .. ' plain: ' .. text:sub(1, 60)
      end
    end
    assert.same({}, faults)
  end)

  it('a JSON document is accepted or refused the same wherever the ends of blocks of 64 bytes fall', function()
    for shift = 1, 64 do
      local blank = (' '):rep(shift)
      for _, case in ipairs(corpus) do
        local text = case[1]
        if #text < 300 then
          assert.equal(case[2], opens(blank .. text), text)
          assert.equal(case[2], opens(blank .. text .. (' '):rep(128)), text) -- the last block tells of none before it
        end
      end
    end
  end)

  it('a JSON document is accepted or refused as by libjansson, but for what that is known to do otherwise', function()
    local faults = {}
    for i, case in ipairs(corpus) do
      local text, valid = case[1], case[2]
      if not beyond_jansson(text) and jansson.accepts(text) ~= valid then
        faults[#faults + 1] = i .. ': ' .. text:sub(1, 60)
      end
    end
    assert.same({}, faults)
  end)

  it('a JSON document is read within its length only', function()
    for _, case in ipairs { { '12', '3' }, { '[1]', ']' }, { 'true', 'x' }, { '"a"', '"' }, { '-1', '.5' }, { '{}',
      '}' } } do
      local bytes = case[1] .. case[2]
      C.tide_json_reset(json)
      assert.is_true(C.tide_json_open(json, bytes, #case[1]) > 0, bytes)
    end
    for _, case in ipairs { { '"a', '"' }, { '[1', ']' }, { 'tru', 'e' }, { '1.', '5' }, { '{"a":', '1}' } } do
      local bytes = case[1] .. case[2]
      assert.is_true(C.tide_json_open(json, bytes, #case[1]) < 0, bytes)
    end
  end)

  it('a JSON document that is damaged anywhere is judged alike by the index and the plain parser', function()
    local text = '{"a":[1,-2.5e3,true,null,"x\\u00e9\\ud834\\udd1e"],"b":{"":{}},"\195\169":false}'
    local damage = { '"', '\\', ',', ':', '{', '}', '[', ']', '0', 'e', '-', '.', 'u', ' ', '\0', '\255', '\n', '' }
    for at = 1, #text do
      for _, byte in ipairs(damage) do
        local damaged = text:sub(1, at - 1) .. byte .. text:sub(at + 1)
        assert.equal(C.tide_json_check(damaged, #damaged) == 0, opens(damaged), damaged)
        if byte ~= '\0' then assert.equal(jansson.accepts(damaged), opens(damaged), damaged) end
      end
    end
  end)

  local named = {
    { '{"a":1,}', "'}' at byte 7 where a key should be" },
    { '{"a":1} x', "'x' at byte 8 where the end should be" },
    { '[1,2', 'it ends at byte 4 where a comma or ] should be' },
    { '', 'it is empty' },
    { '["a\\ud800"]', 'a lone surrogate (half a character, for which there is no UTF-8) at byte 3' },
    { '{"a":1e400}', 'a number too large for a double at byte 5' },
    { '["ab\255"]', 'a byte that is not UTF-8 at byte 4' },
    { '["a\nb"]', 'a control byte in a string at byte 3' },
    { '[1,"abc', 'a string without an end at byte 3' },
    { '[007]', 'a number with a leading zero at byte 1' },
    { ('['):rep(1025) .. (']'):rep(1025), 'nesting deeper than 1024 at byte 1024' },
    { '["\\q"]', "'q' at byte 3 where an escape should be" },
    { '[tru]', "']' at byte 4 where true, false or null should be" },
    { '{"a" 1}', "'1' at byte 5 where a colon should be" },
    { '[1,\0]', '0x00 at byte 3 where a value should be' },
  }
  for _, case in ipairs(named) do
    it('a JSON document is refused naming the byte: ' .. case[2], function()
      assert.is_false(opens(case[1]))
      assert.equal(case[2], ffi.string(C.tide_error()))
    end)
  end
end)
