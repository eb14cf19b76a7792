-- SPDX-License-Identifier: MIT
-- A view with many changes, which are found by an index (engine/json/changes.cpp), against plain tables.
local json = require 'tidemill.run.json'
local seeds = require 'spec.support.seed'
local tide = json.public

local SEED = seeds.draw()

local function document(rows)
  local parts = {}
  for i = 1, rows do parts[i] = ('{"id":%d,"list":[%d,%d,%d]}'):format(i, i, i + 1, i + 2) end
  return '{"rows":[' .. table.concat(parts, ',') .. '],"list":[1,2,3],"empty":[],"o":{}}'
end

-- One random change of both; the arrays of the model end at n, and false stands for what was deleted.
local function change(view, model)
  local what = math.random(6)
  local at = math.random(#model.rows)
  local row, its_model = view.rows[at], model.rows[at]
  local value = math.random(1000)
  if what == 1 then
    row.id, its_model.id = value, value
  elseif what == 2 then
    local i = math.random(#its_model.list + 1)
    row.list[i], its_model.list[i] = value, value
  elseif what == 3 then
    local i = math.random(#its_model.list)
    row.list[i], its_model.list[i] = nil, false
  elseif what == 4 then
    local name = 'k' .. math.random(100)
    view.o[name], model.o[name] = value, value
  elseif what == 5 then
    local name = 'k' .. math.random(100)
    view.o[name], model.o[name] = nil, nil
  else
    local name = 'f' .. math.random(3)
    row[name], its_model[name] = value, value
  end
end

local function compact(list)
  local result = json.array {}
  for i = 1, #list do
    if list[i] then result[#result + 1] = list[i] end
  end
  return result
end

local function compare(view, model)
  for at, row in ipairs(model.rows) do
    local own = view.rows[at]
    for i = 1, #row.list do assert.equal(row.list[i] or nil, own.list[i]) end
    for i = #row.list, 1, -1 do assert.equal(row.list[i] or nil, own.list[i]) end
    assert.is_nil(own.list[#row.list + 1])
    for _, name in ipairs { 'id', 'f1', 'f2', 'f3' } do assert.equal(row[name], own[name]) end
  end
  for i = 1, 100 do assert.equal(model.o['k' .. i], view.o['k' .. i]) end
  local expected = tide.table(tide.encode(model))
  for _, row in ipairs(expected.rows) do row.list = compact(row.list) end
  assert.equal(tide.encode(expected), tide.encode(tide.table(view)))
end

describe('a view with many changes (seed ' .. SEED .. ')', function()
  after_each(json.reset)

  it('a view with many changes reads and writes as plain tables do', function()
    math.randomseed(SEED)
    for _ = 1, 20 do
      local text = document(math.random(20))
      local view, model = json.open_copy(text), tide.table(text)
      for _ = 1, math.random(200) do change(view, model) end
      compare(view, model)
      json.reset()
    end
  end)

  it('a view takes a thousand changes of each kind', function()
    local view, model = json.open_copy(document(1000)), tide.table(document(1000))
    for i = 1000, 1, -1 do
      view.rows[i].id, model.rows[i].id = -i, -i
      view.rows[i].list[2], model.rows[i].list[2] = nil, false
      view.list[#view.list + 1], model.list[#model.list + 1] = i, i
      view.empty[#view.empty + 1], model.empty[#model.empty + 1] = i, i
      view.o['name ' .. i], model.o['name ' .. i] = i, i
    end
    compare(view, model)
    for i = 1003, 503, -1 do view.list[i] = nil end
    assert.equal(502, #view.list)
    view.list[#view.list + 1] = 'again'
    assert.equal('again', view.list[503])
    for i = 3, 1, -1 do view.empty[i + 997] = nil end
    assert.equal(997, #view.empty)
  end)

  it('a view walks several arrays side by side, from either end', function()
    local lists = {}
    for i = 1, 7 do lists[i] = '[' .. ('{"a":[0]},'):rep(50) .. i .. ']' end
    local view = json.open_copy('[' .. table.concat(lists, ',') .. ']')
    for _, step in ipairs { 1, -1, 7, -3 } do
      local at = step > 0 and 1 or 51
      while at >= 1 and at <= 51 do
        for i = 1, 7 do
          if at == 51 then assert.equal(i, view[i][at]) else assert.equal(0, view[i][at].a[1]) end
        end
        at = at + step
      end
    end
    assert.is_nil(view[1][52])
    assert.is_nil(view[1][0])
    assert.equal(51, #view[1])
    assert.is_nil(view[1][52])
    assert.equal(1, view[1][51])
    assert.equal(0, view[1][50].a[1])
  end)
end)
