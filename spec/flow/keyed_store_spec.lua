-- SPDX-License-Identifier: MIT
-- The state of tide.keyed in its state_dir: what is there after a kill, with another input, and on a full disk.
local json = require 'cjson'
local files = require 'spec.house.files'
local pipeline_file = require 'spec.support.pipeline_file'
local built = require 'spec.support.program'
local process = require 'spec.support.process'
local program = require 'spec.support.faults'

describe('the state_dir of tide.keyed', function()
  after_each(function()
    process.stop_all()
    pipeline_file.remove_all()
  end)

  local PIPELINE = [[
local tide = require "tidemill"
return tide.pipeline %q {
  tide.file_source { path = "in" },
  tide.keyed { function(m, state)
    state.value = (state.value or 0) + 1
    return m.json.k .. " " .. m.json.n .. " " .. state.value
  end, by = "json:%s", state = "counts", processes = 2, max_batch_size = 20 },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_messages = 100 } },
  state_dir = "state" }
]]
  local folder

  local function write(name, text)
    local file = assert(io.open(folder .. '/' .. name, 'wb'))
    file:write(text)
    file:close()
  end

  local function lines(from, to)
    local list = {}
    for i = from, to do list[#list + 1] = ('{"k":"k%d","n":%d}\n'):format(i % 7, i) end
    return table.concat(list)
  end

  local function run(faults, under)
    local script = ('cd "%s" && TIDE_FAULTS="%s" exec %s "%s/tidemill" run p.lua'):format(folder, faults or '',
      under or '',
      program.folder:sub(1, 1) == '/' and program.folder or io.popen 'pwd':read '*l' .. '/' .. program.folder)
    local code, _, text = process.run { '/bin/sh', '-c', script }
    return code, text
  end

  -- The highest count of each key, which is how many messages it has, and how many lines there are of each message.
  local function judge(total)
    local highest, times = {}, {}
    for line in io.lines(folder .. '/out') do
      local key, number, value = line:match '^(%S+) (%d+) (%d+)$'
      if key then -- a line may be cut off by the kill
        highest[key] = math.max(highest[key] or 0, tonumber(value))
        times[number] = times[number] or value
        assert.equal(times[number], value, 'message ' .. number .. ' is counted alike whenever it is run')
      end
    end
    local sum, messages = 0, 0
    for _, value in pairs(highest) do sum = sum + value end
    for _ in pairs(times) do messages = messages + 1 end
    assert.same({ total, total }, { sum, messages })
  end

  local function begin(name, by)
    local _, new_folder = pipeline_file.write(PIPELINE:format(name or 'counts', by or 'k'))
    folder = new_folder
    write('in', lines(1, 3000))
  end

  it('goes on after kill -9, at each moment of a commit, as if nothing had been', function()
    begin()
    local hits = { 'store.begin=3:kill9', 'store.put=25:kill9', 'store.commit=3:kill9', 'store.committed=2:kill9' }
    for _, fault in ipairs(hits) do assert.equal(137, (run(fault)), fault) end
    assert.equal(0, (run()))
    judge(3000)
    write('in', lines(1, 4000)) -- it has grown
    assert.equal(0, (run()))
    judge(4000)
  end)

  it('reads another file of the same name from its start, and refuses one that was cut off', function()
    begin()
    assert.equal(0, (run()))
    write('in', lines(1, 2000))
    local code, text = run()
    assert.equal(65, code)
    assert.is_truthy(text:find('in has 2000 lines, and state_dir holds the state after 3000 of them', 1, true), text)
    write('in', lines(3001, 3007))
    assert.equal(0, (run()))
    local list = {}
    for line in io.lines(folder .. '/out') do list[#list + 1] = line:match '%d+$' end
    assert.equal(7, #list)
    for _, value in ipairs(list) do assert.is_true(tonumber(value) >= 429) end
  end)

  it('refuses the store of another pipeline, of another key, in use, or damaged', function()
    begin()
    assert.equal(0, (run()))
    local function refused(status, words)
      local code, text = run()
      assert.equal(status, code, text)
      assert.is_truthy(text:find(words, 1, true), text)
    end
    write('p.lua', PIPELINE:format('others', 'k'))
    refused(78, 'state_dir state has the state of pipeline counts on files, and this is pipeline others')
    write('p.lua', PIPELINE:format('counts', 'n'))
    refused(78, 'holds the state "counts, by json:k", which this pipeline keeps by json:n')
    write('p.lua', PIPELINE:format('counts', 'k'))
    local store = files.read(folder .. '/state/data.mdb')
    -- Its two pages of LMDB's own, and half a page behind them: more at its end may be free pages.
    write('state/data.mdb', store:sub(1, 2.5 * 4096))
    refused(65, 'the store state is damaged (its file is cut off')
    write('state/data.mdb', (store:gsub('\208z@', '\208{@'))) -- 429 as a double
    write('in', lines(1, 4000))
    refused(65, 'the store state is damaged (the checksum of a value is wrong')
    write('state/data.mdb', ('x'):rep(#store))
    refused(65, 'the store state is damaged')
    write('state/data.mdb', (store:gsub('tidemill state 2 of', 'tidemill state 1 of')))
    refused(65, 'the store state is not read (it has the format of another version of tidemill)')
  end)

  it('names a state that no step has any more, and leaves it as it is', function()
    begin()
    local _, text = run()
    assert.is_nil(text:find('no step has', 1, true), text)
    write('p.lua', (PIPELINE:format('counts', 'k'):gsub('"counts", p', '"others", p')))
    write('in', lines(1, 3010))
    _, text = run()
    assert.is_truthy(text:find('state_dir state: no step has the state "counts, by json:k"', 1, true), text)
    write('p.lua', PIPELINE:format('counts', 'k'))
    write('in', lines(1, 3017))
    _, text = run()
    assert.is_truthy(text:find('no step has the state "others, by json:k"', 1, true), text)
    local last
    for line in io.lines(folder .. '/out') do last = line:match '%d+$' end
    assert.equal(429, tonumber(last)) -- 428 of 3000, and one of the seven that came last
  end)

  -- In a namespace of its own, where a folder can be a small disk.
  it('ends with 75 on a full disk, and goes on from the last commit when there is room', function()
    begin('counts', 'n')
    write('small_disk', [[
      mkdir state && mount -t tmpfs -o size=100k none state || exit 1
      "$1" run p.lua; echo "ended $?" >&2
      mount -o remount,size=10m none state && exec "$1" run p.lua]])
    local code, text = run(nil, 'unshare -rm sh small_disk')
    assert.is_truthy(text:find('store state: cannot commit: its disk is full; the last commit stands', 1, true), text)
    assert.is_truthy(text:find('ended 75', 1, true), text)
    assert.equal(0, code, text)
    local seen = {}
    for line in io.lines(folder .. '/out') do
      local number, value = line:match ' (%d+) (%d+)$'
      assert.equal('1', value, line)
      seen[tonumber(number)] = true
    end
    assert.equal(3000, #seen)
  end)

  it('commits before the policy wants it when what is not stored takes much memory, and reads on', function()
    local _, new_folder = pipeline_file.write [[
local tide = require "tidemill"
return tide.pipeline "large" {
  tide.file_source { path = "in" },
  tide.keyed { function(m, state)
    state.value = ("x"):rep(2 ^ 20 - 100)
    return nil
  end, by = "json:k", state = "large", processes = 2 },
  tide.file_sink { path = "out" },
  tide.commit_offsets { policy = { min_time = "1h" } },
  state_dir = "state" }
]]
    folder = new_folder
    write('in', lines(1, 400))
    local script = ('cd "%s" && exec "%s" run p.lua --report report.json'):format(folder, built.path)
    local code, _, text = process.run { '/bin/sh', '-c', script }
    assert(code == 0, text)
    local metrics = json.decode(assert(io.open(folder .. '/report.json')):read '*a').metrics
    assert.equal(400, metrics['state.changes'])
    assert.is_true(metrics['consumer.commit_status{status=ok}'] >= 4, 'commits')
  end)
end)
