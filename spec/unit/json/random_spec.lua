-- SPDX-License-Identifier: MIT
-- Random documents with random reads and edits: the view against a model that libjansson decoded. Then what was
-- accepted and refused. TIDE_JSON_DOCUMENTS=1000000 is the long form (make spec-json); TIDE_SEED repeats a run.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local jansson = require 'spec.support.jansson'
local json = require 'tidemill.run.json'
local made = require 'spec.support.json_random'
local seeds = require 'spec.support.seed'

local COUNT = tonumber(os.getenv 'TIDE_JSON_DOCUMENTS') or 20000
local SEED = seeds.draw()

-- One document; raises what differs.
local function try(document)
  local model = assert(jansson.decode(document))
  local root = json.open_copy(document)
  if not json.is_view(root) then
    assert(root == model, 'the root is another scalar')
    return
  end
  assert(json.text() == document, 'untouched, it changed')
  if model.kind == 'object' then
    root.fresh = 1
    assert((json.text():gsub(',?"fresh":1', '', 1)) == document, 'with a member more, the rest changed')
    root.fresh = nil
    assert(json.text() == document, 'without it, it changed')
  end
  local most = math.random(50) == 1 and 60 or 8 -- from ten changes on there is an index
  for _ = 1, math.random(0, most) do made.step(root, model) end
  if json.edits() == 0 then assert(json.text() == document, 'not edited, it changed') end
  local problem
  local text = json.text()
  local again = assert(jansson.decode(text))
  problem = made.difference(again, made.compact(model))
  assert(not problem, problem)
  assert(C.tide_json_check(text, #text) == C.TIDE_OK)
  local encoded = assert(jansson.decode(json.public.encode(json.public.table(root))))
  problem = made.difference(encoded, again)
  assert(not problem, problem)
end

describe('random documents (seed ' .. SEED .. ')', function()
  it('are read and edited as by the reference', function()
    math.randomseed(SEED)
    for i = 1, COUNT do
      local document = made.document()
      local ok, problem = pcall(try, document)
      json.reset()
      if not ok then error(('document %d: %s\n%s'):format(i, problem, document)) end
    end
  end)

  it('that are damaged are accepted or refused as by the reference', function()
    math.randomseed(SEED)
    local handle = ffi.gc(C.tide_json_new(), C.tide_json_free)
    for i = 1, COUNT do
      local document = made.damaged(made.document())
      C.tide_json_reset(handle)
      local mine = C.tide_json_open_copy(handle, document, #document) >= 0
      assert(mine == (C.tide_json_check(document, #document) == C.TIDE_OK), document)
      local theirs, problem = jansson.accepts(document)
      problem = tostring(problem)
      if mine ~= theirs and not problem:find '^too big' and not problem:find '^NUL byte in object key' then
        error(('document %d: %s (%s)\n%s'):format(i, tostring(mine), problem, document))
      end
    end
  end)
end)
