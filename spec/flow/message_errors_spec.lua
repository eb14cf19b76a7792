-- SPDX-License-Identifier: MIT
-- What a transform may not return or do, and what becomes of the message then, through real workers.
local tide = require 'tidemill'
local flow = require 'spec.support.flow'

describe('a transform', function()
  local fixture = flow.fixture()

  local function through(fn, messages, options)
    return fixture.through({ type(fn) == 'table' and fn or { fn } }, messages, options):results()
  end

  local bad = {
    ['an error'] = { function() error 'oh no' end, '"reason":"error"', 'message_errors_spec.lua:%d+: oh no' },
    ['error with a table'] = { function() error { code = 1 } end, '"reason":"error"', [[{\"code\":1}]] },
    ['error with nil'] = { function() error(nil) end, '"reason":"error"', 'error%(nil%)' },
    ['a null that is used as an object'] = { function(m)
      local customer = tide.json.table('{"customer":null}').customer
      return customer and customer.name or m
    end, '"reason":"error"', "'customer' %(a userdata value%); a JSON null is tide.null, no nil: compare with it" },
    ['a state where there is none'] = { function(_, state) return state.value end, '"reason":"error"',
      "'state' %(a nil value%); a function of tide.keyed has a state" },
    ['a null that is taken for a text'] = { function() return string.upper(tide.null) end, '"reason":"error"',
      'got userdata%); a JSON null' },
    ['a null that is compared'] = { function() return tide.null > 5 end, '"reason":"error"', 'a JSON null' },
    ['an error object whose __tostring fails'] = { function()
      error(setmetatable({}, { __tostring = function() error 'no' end }))
    end, '"reason":"error"', '__tostring fails' },
    ['an error object whose __tostring returns a number'] = { function()
      error(setmetatable({}, { __tostring = function() return 5 end }))
    end, '"reason":"error"', '__tostring fails' },
    ['a partition that no topic can have'] = { function() return { partition = 1e10 } end, '"reason":"bad_return"',
      'message.partition takes an integer from 0 to 2147483647, got 10000000000' },
    ['a timestamp beyond all times'] = { function() return { timestamp = 1e300 } end, '"reason":"bad_return"',
      'message.timestamp takes an integer from %-1 to 9007199254740992, got 1e%+300' },
    ['a table in a circle as json'] = { function()
      local t = {}
      t.t = t
      return { json = t }
    end, '"reason":"bad_return"', 'message_errors_spec.lua:%d+ tables are nested deeper than 1024, or in a cycle' },
    ['a number'] = { function() return 5 end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ returned a number' },
    ['true'] = { function() return true end, '"reason":"bad_return"', 'returned a boolean' },
    ['an unknown field'] = { function() return { vale = 'x' } end, '"reason":"bad_return"', 'no field \\"vale\\"' },
    ['a number as value'] = { function() return { value = 5 } end, '"reason":"bad_return"',
      'message.value takes a string or nil' },
    ['an unknown topic'] = { function() return { topic = 'elsewhere' } end, '"reason":"bad_return"',
      'topic \\"elsewhere\\" is none' },
    ['a negative partition'] = { function() return { partition = -1 } end, '"reason":"bad_return"',
      'integer from 0 to 2147483647, got %-1' },
    ['headers that are none'] = { function() return { headers = { 'x' } } end, '"reason":"bad_return"',
      'message.headers%[1%]' },
    ['a number as a header by name'] = { function(m) m.headers = { source = 5 } return m end, '"reason":"error"',
      'message_errors_spec.lua:%d+: header \\"source\\" takes a string or nil as value, got a number; tide.json.text' },
    ['true as a header by name'] = { function() return { headers = { source = true } } end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ header \\"source\\" takes a string or nil as value, got a boolean' },
    ['several values of one name'] = { function() return { headers = { a = { 'x', 'y' } } } end,
      '"reason":"bad_return"', 'several values of one name are { { \\"name\\", \\"a\\" }' },
    ['headers by number and name'] = { function() return { headers = { a = 'x', [7] = 'y' } } end,
      '"reason":"bad_return"', 'message.headers .*7' },
    ['headers by name beside others'] = { function(m)
      local headers = {}
      headers.source = 'a'
      headers[1] = { 'b', 'c' }
      return { value = m.value, headers = headers }
    end, '"reason":"bad_return"', 'has the key \\"source\\"' },
    ['a header by name in the list that it has'] = { function(m)
      m.headers = { { 'a', 'b' } }
      m.headers.source = 'a'
      return m
    end, '"reason":"error"', 'message_errors_spec.lua:%d+: message.headers .* has the key \\"source\\"' },
    ['the same in a copy'] = { function(m)
      local copy = m:copy()
      copy.headers[1], copy.headers.source = { 'a', 'b' }, 'a'
      return copy
    end, '"reason":"bad_return"', 'has the key \\"source\\"' },
    ['the same before tide.many'] = { function(m)
      m.headers = { { 'a', 'b' } }
      m.headers.source = 'a'
      return tide.many { m, 'x' }
    end, '"reason":"error"', 'has the key \\"source\\"' },
    ['a value by name within a header'] = { function() return { headers = { { 'a', value = 'b' } } } end,
      '"reason":"bad_return"', 'message.headers%[1%] has the key \\"value\\"; it is {name, value}' },
    ['a misspelt field of a copy'] = { function(m)
      local copy = m:copy()
      copy.vaule = 'x'
      return copy
    end, '"reason":"error"', 'message_errors_spec.lua:%d+: a copy of a message has no field \\"vaule\\"' },
    ['another topic written into a copy'] = { function(m)
      local copy = m:copy()
      copy.topic = 'elsewhere'
      return copy
    end, '"reason":"bad_return"', 'message_errors_spec.lua:%d+ topic \\"elsewhere\\" is none that produce names' },
    ['no topic in a copy'] = { function(m)
      local copy = m:copy()
      copy.topic = nil
      return copy
    end, '"reason":"bad_return"', 'message.topic takes a name that produce has %(\\"other\\", \\"out\\"%), got nil' },
    ['a wrong partition in a copy'] = { function(m)
      local copy = m:copy()
      copy.partition = 1.5
      return copy
    end, '"reason":"bad_return"', 'message.partition takes an integer from 0 to 2147483647, got 1.5' },
    ['another offset written into a copy'] = { function(m)
      local copy = m:copy()
      copy.offset = 7
      return copy
    end, '"reason":"bad_return"', 'offset of a copy is where the message came from' },
    ['an unknown topic that is assigned'] = { function(m) m.topic = 'elsewhere' return m end, '"reason":"error"',
      'message_errors_spec.lua:%d+: topic \\"elsewhere\\" is none that produce names' },
    ['a wrong partition that is assigned'] = { function(m) m.partition = -1 return m end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message.partition takes an integer from 0 to 2147483647, got %-1' },
    ['the old tide.header'] = { function(m) return tide.header(m, 'a') end, '"reason":"error"',
      'message_errors_spec.lua:%d+: tide.header%(message, \\"name\\"%) is written message:header \\"name\\" now' },
    ['a header without a name'] = { function(m) return m:header() end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message:header takes a name, got a nil' },
    ['pairs of a message'] = { function(m) return (pairs(m)) end, '"reason":"error"',
      'message_errors_spec.lua:%d+: .*message:copy%(%)' },
    ['ipairs of a message'] = { function(m) return (ipairs(m)) end, '"reason":"error"',
      'message_errors_spec.lua:%d+: .*message:copy%(%)' },
    ['next of a message'] = { function(m) return next(m) end, '"reason":"error"',
      'message_errors_spec.lua:%d+: .* for a message its fields or message:copy%(%)' },
    ['the length of a message'] = { function(m) return tostring(#m) end, '"reason":"error"',
      'message_errors_spec.lua:%d+: #message: a message is neither a table nor a text' },
    ['a message as text'] = { function(m) return tostring(m) .. '!' end, '"reason":"error"',
      'message_errors_spec.lua:%d+: tostring%(message%): a message is neither a table nor a text; use its fields' },
    ['a message joined to a text'] = { function(m) return 'a ' .. m end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message .. text: a message is neither' },
    ['a message in table.concat'] = { function(m) return table.concat(m) end, '"reason":"error"',
      'message_errors_spec.lua:%d+: .* for a message its fields' },
    ['results by name in tide.many'] = { function() return tide.many { 'x', late = 'y' } end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ returned tide.many of what is no array .* it has the key \\"late\\"' },
    ['results by name that come first in tide.many'] = { function()
      local list = {}
      list.late = 'y'
      list[1] = 'x'
      return tide.many(list)
    end, '"reason":"bad_return"', 'it has the key \\"late\\"' },
    ['messages by name in tide.pack'] = { function(m) return tide.pack { m, late = m } end, '"reason":"error"',
      'message_errors_spec.lua:%d+: tide.pack takes an array of messages; this has the key \\"late\\"' },
    ['a table of results'] = { function() return { 'x', 'y' } end, '"reason":"bad_return"', 'no field \\"1\\"' },
    ['a gap in tide.many'] = { function() return tide.many { 'x', nil, 'y' } end, '"reason":"bad_return"',
      'it has a gap at 2; tide.drop stands for a result that is not there' },
    ['nil at first in tide.many'] = { function() return tide.many { nil, 'y' } end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ returned tide.many of .* it has a gap at 1; tide.drop stands for' },
    ['a bad result in tide.many'] = { function() return tide.many { 'x', 5 } end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ returned a number' },
    ['a rejected result in tide.many'] = { function() return tide.many { 'x', tide.reject 'one of them' } end,
      '"reason":"rejected"', 'one of them' },
    ['a message that is gone in tide.many'] = { (function()
      local kept = {}
      return function(message)
        kept[#kept + 1] = message
        return tide.many { message, kept[1] ~= message and kept[1] or 7 }
      end
    end)(), '"reason":"bad_return"', 'number' },
    ['an unknown topic in tide.many'] = { function(m) return tide.many { m, { topic = 'elsewhere' } } end,
      '"reason":"bad_return"', 'topic \\"elsewhere\\" is none' },
    ['tide.reject of a table'] = { function() return tide.reject { b = 2, a = { 1 } } end, '"reason":"rejected"',
      [["error":"{\"a\":%[1%],\"b\":2}"]] },
    ['tide.reject of nothing'] = { function() return tide.reject() end, '"reason":"rejected"', 'no reason given' },
    ['error of a table that has no JSON'] = { function() error { print } end, '"reason":"error"',
      '"error":"a table without text %(a function has no JSON%)"' },
    ['tide.reject'] = { function() return tide.reject 'not today' end, '"reason":"rejected"', '"error":"not today"' },
    ['a stack overflow'] = { function(message) local function f(x) return 1 + f(x) end return tostring(f(message)) end,
      '"reason":"error"', 'stack overflow' },
    ['reading an unknown field'] = { function(message) return message.vlaue end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message has no field \\"vlaue\\"' },
    ['assigning a wrong type'] = { function(message) message.value = 5 return message end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message.value takes a string or nil, got a number' },
    ['tide.drop as a field of JSON'] = { function(m)
      m.json = {}
      m.json.x = tide.drop
      return m
    end, '"reason":"error"', 'message_errors_spec.lua:%d+: json.x: tide.drop has no JSON' },
    ['tide.reject as JSON'] = { function() return { json = tide.reject 'no' } end, '"reason":"bad_return"',
      'message_errors_spec.lua:%d+ tide.reject has no JSON' },
    ['tide.retry in a table of JSON'] = { function(m) m.json = { a = { tide.retry 'no' } } return m end,
      '"reason":"error"', 'message_errors_spec.lua:%d+: tide.retry has no JSON' },
    ['tide.many in tide.json.encode'] = { function() return tide.json.encode { tide.many { 'x' } } end,
      '"reason":"error"', 'message_errors_spec.lua:%d+: tide.many has no JSON' },
    ['a wrong tide.many in tide.json.encode'] = { function() return tide.json.encode(tide.many { a = 'x' }) end,
      '"reason":"error"', 'message_errors_spec.lua:%d+: tide.many has no JSON' },
    ['tide.drop in tide.msgpack.encode'] = { function() return tide.msgpack.encode { a = tide.drop } end,
      '"reason":"error"', 'message_errors_spec.lua:%d+: tide.msgpack.encode: tide.drop has no msgpack' },
    ['tide.drop as a value'] = { function(m) m.value = tide.drop return m end, '"reason":"error"',
      'message_errors_spec.lua:%d+: message.value takes a string or nil, got tide.drop; the function returns it' },
    ['a header by its name in the list'] = { function(m)
      m.headers = { a = '1' }
      return m.headers.a
    end, '"reason":"error"', 'message_errors_spec.lua:%d+: message.headers is a list .* is message:header \\"a\\"' },
    ['a view in a tail call of table.concat'] = { function(m)
      m.json = { 'a' }
      return table.concat(m.json)
    end, '"reason":"error"', 'bad argument #1 %(table expected, got cdata%): .* for a view use tide.json.table' },
    ['next of a view in a loop'] = { function(m)
      m.json = { 'a' }
      for _ in next, m.json do m.key = 'k' end
      return m
    end, '"reason":"error"', "'%(for generator%)' .* for a view use for key, value in tide.json.each%(view%)" },
    ['assigning the offset'] = { function(message) message.offset = 5 return message end, '"reason":"error"',
      'message.offset is where the message came from' },
  }
  for name, case in pairs(bad) do
    it('a transform rejects the one message for ' .. name .. ', and the rest of the batch goes on', function()
      local results = through(function(message)
        if message.value == 'bad' then return case[1](message) end
        return message
      end, { 'a', 'bad', 'b' }, { topics = { 'out', 'other' } })
      assert.same({ 'a', 'b' }, { results[1].value, results[2].value })
      local text = fixture.letters()
      assert.matches(case[2], text)
      assert.matches(case[3], text)
      assert.matches('"original_offset":1,', text)
      assert.matches('"value":"YmFk"', text)
      assert.equal(1, fixture.run.engine:totals().dead_lettered)
      assert.equal(3, fixture.run:committed())
    end)
  end

  it('a reduce whose result is a function of the library names its own line, and no file of ours', function()
    fixture.steps(tide.reduce { function(counts, message)
      counts[tonumber(message.value)] = true
      return counts
    end, initial_value = function() return {} end, result = tide.json.encode })
    fixture.test:feed '443'
    fixture.test:finish()
    assert.rejects(fixture.test, { 'error: spec/flow/message_errors_spec.lua:%d+: the result: a table has .* 443; ' })
    assert.is_nil(fixture.test:rejects()[1].traceback:find('tidemill/', 1, true))
  end)

  it('a transform cannot choose a topic where the output has none', function()
    through(function(message)
      if message.value == 'copy' then
        local copy = message:copy()
        copy.topic = 'x'
        return copy
      end
      message.topic = message.value == 'x' and 'x' or nil
      return message
    end, { 'x', 'nil', 'copy' })
    local text = fixture.letters()
    for _, name in ipairs { 'topic \\"x\\"', 'message.topic', 'topic \\"x\\"' } do
      local from, to = text:find(name .. ' cannot be chosen: this output has no topics; only produce has', 1, true)
      assert.is_truthy(from, text)
      text = text:sub(to)
    end
  end)

  it('a transform finds a kept message gone', function()
    local kept
    through(function(message)
      if kept then return kept.value end
      kept = message
      return message
    end, { 'a', 'b' })
    assert.matches('this message is gone', fixture.letters())
  end)

  it('a transform stops with 65 without a dlq, naming place, line and traceback, and commits nothing at'
    .. ' or after it', function()
    local run = fixture.new { steps = { { function(message)
      if message.value == '3' then error 'boom' end
      return message
    end } } }
    run:push_numbers(5)
    local event = run:finish()
    assert.equal(-65, event.status)
    assert.matches('in/0/2: error: .*message_errors_spec.lua:%d+: boom', event.text)
    assert.matches('stack traceback', event.text)
    assert.is_true((run:committed() or 0) <= 2)
  end)

  it('a transform has its load errors reported with file and line, before anything is read', function()
    local file = os.tmpname()
    for text, expected in pairs {
      ['return function(m)\n  return m +\nend'] = ':3: unexpected symbol',
      ['local x = nil\nreturn x.y'] = ':2: attempt to index',
      ['return 5'] = 'returns a function or a table, this one returned a number',
      ['return { proces = 1 }'] = 'a transform has no "proces"',
      ['return { init = function() error "no db" end, process = function() end }'] = 'init: .*no db',
    } do
      local out = assert(io.open(file, 'w'))
      out:write(text)
      out:close()
      local made, problem, status = flow.new { steps = { { { kind = 'file', path = file } } } }
      assert.is_nil(made)
      assert.equal(-78, status)
      assert.matches(expected, problem)
    end
    os.remove(file)
  end)
end)

describe('the dlq', function()
  local fixture = flow.fixture()

  it('the dlq stops with 65 at max_consecutive_count, and says so', function()
    local run = fixture.new { dlq = true, max_consecutive_count = 3, steps = { { function(message)
      if tonumber(message.value) > 10 then error 'bad' end
      return message
    end, max_batch_size = 4 } } }
    run:push_numbers(50)
    local event = run:finish()
    assert.equal(-65, event.status)
    assert.matches('max_consecutive_count is reached at in/0/13', event.text)
    assert.equal(3, run.engine:totals().dead_lettered)
    assert.equal(13, run:committed())
  end)

  it('the dlq stops with 65 at max_invalid_ratio', function()
    local run = fixture.new { dlq = true, max_invalid_ratio = 0.1, steps = { { function(message)
      if tonumber(message.value) % 5 == 0 then error 'bad' end
      return message
    end, max_batch_size = 4 } } }
    run:push_numbers(50)
    local event = run:finish()
    assert.equal(-65, event.status)
    assert.matches('max_invalid_ratio is reached at in/0/9', event.text)
  end)

  it('the dlq gets what the sink refuses for good, with stage produce', function()
    local C = require('tidemill.run.ffi').C
    local run = fixture.new { dlq = true, steps = { { function(m) return m.value .. '!' end } } }
    C.tide_memory_refuse(run.sink, '2!')
    run:push_numbers(3)
    assert.equal('done', run:finish().kind)
    local text = fixture.letters()
    assert.matches('"stage":"produce"', text)
    assert.matches('"original_offset":1', text)
    assert.equal(1, run.engine:totals().dead_lettered)
    assert.equal(2, run.engine:totals().produced_from)
  end)

  it('a failure waits for delivery reports, and not by turning the loop all the time', function()
    local C = require('tidemill.run.ffi').C
    local run = fixture.new { commit = { min_time = 0.1 }, steps = { { function(message)
      if message.value == '3' then error 'bad' end
      return message
    end, max_batch_size = 2, max_batch_time = 0.2, eager = false } } } -- message 5 is in a batch that stays open
    C.tide_memory_hold(run.sink, true)
    run:push_numbers(5)
    run.turn = 1
    run:start()
    run:turn_until(function(event) return event.kind == 'failed' end)
    assert.is_true(run:metric(0, 'RUN_COUNT').count < 300, run:metric(0, 'RUN_COUNT').count)
  end)

  -- The run fails at message 3 while its worker is at message 5: what comes of that nobody reads any more.
  local LATE = {
    reports = '',
    prints = [[io.stderr:write 'late\n']],
    dies = 'os.exit(3)',
  }
  for what, act in pairs(LATE) do
    it('a failure is not woken by a worker that ' .. what .. ' after it', function()
      local C = require('tidemill.run.ffi').C
      local late = assert(loadstring(act))
      local run = fixture.new { limits = { max_log_lines = 10 }, steps = { { function(message)
        if message.value == '3' then error 'bad' end
        if message.value == '5' then
          local from = os.clock()
          while os.clock() - from < 0.05 do end
          late()
        end
        return message
      end, max_batch_size = 2, prefetch_batches = 2 } } }
      C.tide_memory_hold(run.sink, true)
      run:push_numbers(5)
      run:start()
      run.turn = 0.1
      local looks = 0
      run:turn_until(function(event)
        looks = looks + 1
        if looks == 8 then C.tide_memory_hold(run.sink, false) end
        return event.kind == 'failed'
      end)
      assert.is_true(run:metric(0, 'RUN_COUNT').count < 300, run:metric(0, 'RUN_COUNT').count)
    end)
  end

  it('that fails is told by reason, and the last ones with what they said and where they came from', function()
    fixture.through({ { function(message)
      if message.value == '2' then return 5 end
      error('<script>\27[2J\255')
    end } }, { { value = '1' }, { value = '2' }, { value = '3' } })
    local seen = fixture.run.engine:dead_letters()
    assert.same({ 3, { error = 2, bad_return = 1 }, 3 }, { seen.total, seen.reasons, #seen.last })
    local newest = seen.last[1]
    assert.same({ 'in', 0, 2, 'run_task_with_multiprocessing', 'error' },
      { newest.topic, newest.partition, newest.offset, newest.stage, newest.reason })
    assert.matches('message_errors_spec.lua:%d+: <script>\27%[2J%?$', newest.error)
    assert.is_true(newest.time > 1e12)
    assert.same({ 1, 0 }, { seen.last[2].offset, seen.last[3].offset })
  end)
end)
