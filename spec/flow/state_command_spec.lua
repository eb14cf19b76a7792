-- SPDX-License-Identifier: MIT
-- tidemill state, and /state of a run: what they show of the store, and that nobody who looks makes or changes one.
local ffi = require 'ffi'
local C = require('tidemill.run.ffi').C
local cjson = require 'cjson'
local command_line = require 'spec.support.command_line'
local files = require 'spec.house.files'
local http = require 'spec.support.http'
local piped_run = require 'spec.support.piped_run'
local pipeline_file = require 'spec.support.pipeline_file'
local process = require 'spec.support.process'
local store_of = require 'tidemill.run.store'
local wait = require 'spec.support.wait'

local PROGRAM = require('spec.support.program').path
local FAULTY = 'build/faults/tidemill'

local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline "counts" {
  tide.file_source { path = %q },
  tide.keyed { function(m, state)
    if m.json.forget then state.seen.value = nil return nil end
    state.counts.value = { n = (state.counts.value or { n = 0 }).n + 1 }
    state.seen.value = m.json.as
    if m.json.ttl then state.seen:expire(m.json.ttl) end
    return m.json.k
  end, by = "json:k", state = { "counts", "seen" }, processes = 2 },
  tide.file_sink { path = %q },
  metrics = tide.metrics { prometheus = 0, tap = %s },
  %s }
]]

local function pipeline(folder, tap, dir)
  return PIPELINE:format(folder .. '/in', folder .. '/out', tostring(tap),
    ('state_dir = %q'):format(dir or folder .. '/state'))
end

describe('tidemill state', function()
  local path, folder

  local function write(name, text)
    local file = assert(io.open(folder .. '/' .. name, 'wb'))
    file:write(text)
    file:close()
  end

  local function state(...)
    return command_line.run('state', path, ...)
  end

  -- The lines of an action that is to succeed, without the times at which values expire.
  local function lines(...)
    local code, out, err = state(...)
    assert.equal(0, code, err)
    local list = {}
    for line in out:gmatch '[^\n]+' do
      assert.is_table(cjson.decode(line))
      list[#list + 1] = line:gsub(',"expires_ms":%d+', '')
    end
    return list
  end

  before_each(function()
    path, folder = pipeline_file.write 'x'
    write('p.lua', pipeline(folder, false))
    path = folder .. '/p.lua'
    write('in', '{"k":"b","as":"x"}\n{"k":"a","as":1.5}\n{"k":"b","as":true,"ttl":"1h"}\n'
      .. '{"k":"c d","as":"\\u00e9","ttl":"1ms"}\n{"k":"7","as":[]}\n')
  end)

  after_each(piped_run.stop)

  it('says that there is nothing yet, and makes nothing', function()
    local code, out, err = state('size')
    assert.same({ 66, '' }, { code, out })
    assert.is_truthy(err:find('there is no state yet', 1, true), err)
    assert.is_nil(io.open(folder .. '/state'))
  end)

  it('gets, lists and exports values as lines of JSON, and says how many there are', function()
    assert.equal(0, (process.run { PROGRAM, 'run', path }))
    local before = files.read(folder .. '/state/data.mdb')
    assert.same({ '{"state":"counts","partition":0,"key":"b","value":{"n":2}}',
      '{"state":"seen","partition":0,"key":"b","value":true}' }, lines('get', 'b'))
    assert.same({ '{"state":"counts","partition":0,"key":"c d","value":{"n":1}}' },
      lines('get', 'c d', '--partition', '0'))
    assert.equal(66, (state('get', 'b', '--partition', '1')))
    assert.same({ '{"state":"seen","partition":0,"key":"7","bytes":2}',
      '{"state":"seen","partition":0,"key":"a","bytes":8}' }, lines('list', '--state', 'seen', '--limit', '2'))
    assert.same({ '{"state":"seen","partition":0,"key":"7","value":[]}',
      '{"state":"seen","partition":0,"key":"a","value":1.5}', '{"state":"seen","partition":0,"key":"b","value":true}' },
      lines('export', '--state', 'seen'))
    local size = cjson.decode(lines('size')[1])
    assert.same({ state = 'counts', by = 'json:k', keys = 4, bytes = 34, expired = 0 }, size.states[1])
    assert.equal(3, size.states[2].keys - size.states[2].expired) -- the last commit may have deleted it
    assert.equal(#before, size.file_bytes)
    assert.equal(before, files.read(folder .. '/state/data.mdb'))
  end)

  it('names what it cannot do: another state, another pipeline, a store that is damaged, no state', function()
    assert.equal(0, (process.run { PROGRAM, 'run', path }))
    local function fails(status, words, ...)
      local code, out, err = state(...)
      assert.same({ status, '' }, { code, out })
      assert.is_truthy(err:find(words, 1, true), err)
    end
    fails(64, 'did you mean "counts"?; the pipeline has counts, seen', 'list', '--state', 'count')
    fails(64, '--partition -1: must be a number', 'list', '--partition', '-1')
    fails(64, '--to 3: only 0', 'reset', '--to', '3', '--yes')
    fails(64, 'say --yes', 'reset', '--to', '0')
    local store = files.read(folder .. '/state/data.mdb')
    write('state/data.mdb', (store:gsub('{"n":2}', '{"n":3}')))
    fails(65, 'the checksum of a value is wrong', 'get', 'b')
    write('state/data.mdb', store:sub(1, 2.5 * 4096)) -- more at its end may be free pages
    fails(65, 'its file is cut off', 'export')
    write('state/data.mdb', store)
    write('p.lua', (pipeline(folder, false):gsub('"counts" {', '"others" {')))
    fails(78, 'and this is pipeline others', 'export')
    write('p.lua', pipeline(folder, false):gsub('state_dir = [^\n]*', '}'):gsub('\n$', ''))
    fails(78, 'has no state_dir', 'list')
  end)

  it('empties a state, whose input is then read from the start', function()
    assert.equal(0, (process.run { PROGRAM, 'run', path }))
    local code, _, err = state('reset', '--to', '0', '--yes')
    assert.equal(0, code, err)
    assert.equal(66, (state('export')))
    assert.equal(0, (process.run { PROGRAM, 'run', path }))
    assert.same({ '{"state":"counts","partition":0,"key":"b","value":{"n":2}}' },
      lines('get', 'b', '--state', 'counts'))
    assert.equal(5, select(2, files.read(folder .. '/out'):gsub('\n', '')))
  end)

  it('drops a state that no step has, and no other; what was ended half way is done again', function()
    assert.equal(0, (process.run { PROGRAM, 'run', path }))
    local counts, NONE = lines 'export', 'no step has the state "seen, by json:k"'
    write('p.lua', pipeline(folder, false):gsub('state = { "counts", "seen" }', 'state = "counts"')
      :gsub('function%(m, state%).-\n  end,', 'function() end,'))
    local function drop(expected, said, ...)
      local code, out, err = state('drop', ...)
      assert.same({ expected, '' }, { code, out }, err)
      assert.is_truthy(err:find(said, 1, true), err)
    end
    local function run_says(text)
      local code, _, err = process.run { PROGRAM, 'run', path }
      assert.equal(0, code, err)
      return err:find(text, 1, true) ~= nil
    end
    assert.is_true(run_says(NONE))
    drop(78, 'a step has the state "counts"; only one that no step has is dropped', 'counts', '--yes')
    drop(64, 'sen: the store has no state of that name; left over are seen', 'sen', '--yes')
    drop(64, 'say --yes', 'seen')
    local half = process.run({ FAULTY, 'state', path, 'drop', 'seen', '--yes' },
      { env = { TIDE_FAULTS = 'store.committed=1:kill9' } })
    assert.not_equal(0, half)
    assert.is_true(run_says(NONE))
    drop(0, 'the state "seen" is deleted\n', 'seen', '--yes')
    drop(64, 'none is left over', 'seen', '--yes')
    assert.is_false(run_says(NONE))
    for i = #counts, 1, -1 do
      if counts[i]:find('"seen"', 1, true) then table.remove(counts, i) end
    end
    assert.same(counts, lines 'export')
  end)

  -- A store as an engine has left it: partitions = { [number] = { offset, key = value } }.
  local function make_store(dir, partitions)
    local store = C.tide_store_open(dir, 'counts, with the changelog of t', 0)
    local number = ffi.new 'uint32_t[1]'
    assert.equal(0, C.tide_store_state(store, 'counts', 'key', number))
    assert.equal(0, C.tide_store_begin(store))
    for partition, values in pairs(partitions) do
      for key, value in pairs(values) do
        if key ~= 1 then
          assert.equal(0, C.tide_store_put(store, ffi.new('struct tide_store_key', number[0], partition, key, #key),
            ffi.new('struct tide_store_value', 0, C.TIDE_STATE_STRING, #value, value)))
        end
      end
      assert.equal(0, C.tide_store_put_position(store, 't', partition,
        ffi.new('struct tide_store_position', values[1])))
    end
    assert.equal(0, C.tide_store_commit(store))
    C.tide_store_close(store)
  end

  it('shows of each partition the folder that has come furthest, where there are those of several engines', function()
    write('p.lua', ([[local tide = require "tidemill"
      return tide.pipeline "counts" { tide.kafka_source { brokers = "b", topic = "t", group = "g" },
        tide.keyed { function() end, state = "counts" }, tide.produce { topic = "u" }, state_dir = %q }]]):format(
      folder .. '/state'))
    make_store(folder .. '/state', { [0] = { 5, a = 'old' }, [1] = { 9, b = 'new' }, [2] = { 1, c = 'gone' } })
    make_store(folder .. '/state-1', { [0] = { 7, a = 'new', d = 'new' }, [1] = { 8, b = 'old' } })
    make_store(folder .. '/state-2', { [2] = { 4 }, [3] = { 4, a = 'new' } })
    local all = { '{"state":"counts","partition":0,"key":"a","value":"new"}',
      '{"state":"counts","partition":0,"key":"d","value":"new"}',
      '{"state":"counts","partition":1,"key":"b","value":"new"}',
      '{"state":"counts","partition":3,"key":"a","value":"new"}' }
    assert.same(all, lines 'export')
    assert.same({ all[1], all[4] }, lines('get', 'a'))
    assert.equal(66, (state('get', 'c')))
    assert.same({ all[3] }, lines('export', '--partition', '1'))
    assert.equal(3, #lines('list', '--limit', '3'))
    local size = cjson.decode(lines('size')[1])
    assert.same({ state = 'counts', by = 'key', keys = 4, bytes = 16, expired = 0 }, size.states[1])
    write('p.lua', (files.read(path):gsub('state = "counts"', 'state = "other"')))
    local code, _, err = state('drop', 'counts', '--yes')
    assert.equal(0, code, err)
    assert.is_truthy(err:find('deleted here; its topic counts.counts.changelog stays: delete it too', 1, true), err)
    for _, dir in ipairs { '/state', '/state-1', '/state-2' } do
      local left = assert(store_of.look(folder .. dir, 'counts'))
      assert.same({}, left:states())
      left:free()
    end
  end)

  describe('while the pipeline runs', function()
    local run

    local function start(tap)
      write('p.lua', pipeline(folder, tap))
      run = piped_run.start(pipeline(folder, tap))
      return tonumber(piped_run.until_said(run, 'HTTP on http://127.0.0.1:(%d+)/'))
    end

    it('says that an engine has it', function()
      start(false)
      piped_run.until_said(run, '(partitions assigned)')
      local code, out, err = state('list')
      assert.same({ 75, '' }, { code, out })
      assert.is_truthy(err:find('an engine has it; stop that first, or ask it: GET /state/NAME/KEY', 1, true), err)
    end)

    it('answers /state/NAME/KEY with what is accepted, also before it is stored', function()
      local port = start(true)
      piped_run.feed('{"k":"a/b %","as":"' .. ('x'):rep(900000) .. '"}\n{"k":"a/b %","as":"y"}\n{"k":"z","as":2}\n')
      local answer
      wait.until_true(function()
        answer = http.get(port, '/state/counts/z')
        return answer.code == 200
      end)
      assert.equal('{"state":"counts","partition":0,"key":"z","value":{"n":1}}\n', answer.body)
      local twice = '{"state":"counts","partition":0,"key":"a/b %","value":{"n":2}}\n'
      wait.until_true(function() -- another lane than that of z, which may have been quicker
        answer = http.get(port, '/state/counts/a/b%20%25')
        return answer.body == twice
      end, function() return twice .. 'in place of ' .. answer.body end)
      piped_run.feed('{"k":"large","as":"' .. ('\\u0001'):rep(300000) .. '"}\n')
      wait.until_true(function()
        answer = http.get(port, '/state/seen/large?partition=0')
        return answer.code == 200
      end)
      assert.equal(('\1'):rep(300000), cjson.decode(answer.body).value)
      local asked = { { '/state/counts/q', 404, 'no value' }, { '/state/count/z', 404, 'there are: counts seen' },
        { '/state/counts', 400, '/state/NAME/KEY' }, { '/state/counts/z?partition=1', 404, 'no value' },
        { '/state/counts/z?partition=x', 400, 'must be a number' } }
      for _, case in ipairs(asked) do -- all at once: each waits for the next turn
        case.connection = http.connect(port)
        case.connection:send(http.request('GET', case[1]))
      end
      for _, case in ipairs(asked) do
        answer = http.parse((http.read_all(case.connection)))
        assert.same({ case[1], case[2] }, { case[1], answer.code })
        assert.is_truthy(answer.body:find(case[3], 1, true), answer.body)
      end
      assert.is_true(run:running())
    end)

    it('shows no state unless the pipeline allows it', function()
      local answer = http.get(start(false), '/state/counts/z')
      assert.equal(403, answer.code)
      assert.is_truthy(answer.body:find('does not show its state', 1, true), answer.body)
    end)
  end)
end)
