-- SPDX-License-Identifier: MIT
-- The windows of a torture with tide.window (window.lua), judged by the input alone: which have closed by the end, with
-- what in them, which messages were late, and what must be left in the changelog and in each folder of state: the
-- windows that are open, and how far event time has come.
local cjson = require "cjson"
local behaviour = require "scripts.torture.behaviour"
local values = require "scripts.torture.values"

local windows = {}

windows.STATES = { "window" }

local SIZE_MS = behaviour.WINDOW_MS
local TIME = "\0watermark" -- of the engine: the newest time of a partition (TIDE_TIMERS_KEY of engine/chain/timers.h)

local function name_of(key, from)
  return ("%s %.0f"):format(key, from)
end

local function text_of(from, value)
  return ("%.0f: %d, sum %d"):format(from, value.n, value.sum)
end

-- The open windows of a key, as they are in its value.
local function form(value)
  local texts = {}
  for i, window in ipairs(value) do
    if window[2] ~= window[1] + SIZE_MS then return "a window of another size" end
    texts[i] = text_of(window[1], window[3])
  end
  return table.concat(texts, "; ")
end

local function put(truth, record, from, id)
  local name = name_of(record.key, from)
  local window = truth.all[name] or { key = record.key, from = from, partition = record.partition, n = 0, sum = 0 }
  window.n, window.sum, window.id = window.n + 1, window.sum + id, id
  truth.all[name] = window
end

-- Those that are open at the end, by key, as `form` makes them; the others have closed.
local function sort_out(truth, grace_ms)
  local lists = {}
  for name, window in pairs(truth.all) do
    if window.from + SIZE_MS <= truth.newest[window.partition] - grace_ms then
      truth.closed[name] = window
    else
      lists[window.key] = lists[window.key] or {}
      table.insert(lists[window.key], { window.from, window.from + SIZE_MS, window })
    end
  end
  for key, list in pairs(lists) do
    table.sort(list, function(a, b) return a[1] < b[1] end)
    truth.open[key] = form(list)
  end
end

--- What is right: closed = { "KEY FROM" = { key, from, partition, n, sum, id = of its last message } }, open = { key =
--- text }, late = { id = true }, newest = { partition = the newest time }; all = those that are closed or open. A
--- message is late when its window has closed by the times of those before it in its partition. One that ends as a dead
--- letter is in no window, and its time counts. input: the records of each partition in their order; `lanes`: the
--- step before the windows gives them in any.
function windows.truth(input, lanes)
  local grace_ms = behaviour.grace_ms(lanes)
  local truth = { all = {}, closed = {}, open = {}, late = {}, newest = {} }
  for _, record in ipairs(input) do
    local id, partition = tonumber(record.value:match "^%d+"), record.partition
    local time = behaviour.time(id)
    local from = time - time % SIZE_MS
    local newest = truth.newest[partition] or -math.huge
    if from + SIZE_MS <= newest - grace_ms then
      truth.late[id] = true
    elseif not behaviour.REASONS[behaviour.of(id)] then
      put(truth, record, from, id)
    end
    truth.newest[partition] = math.max(newest, time)
  end
  sort_out(truth, grace_ms)
  return truth
end

--- What a record of the output says: the window of the truth (nil = none has closed like that), and whether it is
--- right.
function windows.result(truth, record)
  local ok, result = pcall(cjson.decode, record.value)
  if not ok or type(result) ~= "table" or type(result.value) ~= "table" or not result.from then return nil, false end
  local window = truth.closed[name_of(record.key, result.from)]
  return window, window and result.key == record.key and result.to == window.from + SIZE_MS
    and result.value.n == window.n and result.value.sum == window.sum
end

--- The texts of what is wrong in the changelog.
function windows.judge_changelog(truth, state, records)
  local newest, others = {}, {}
  for _, record in ipairs(records) do
    if record.key == TIME then
      newest[record.partition] = tonumber(record.value:match "\n(.*)")
    else
      others[#others + 1] = record
    end
  end
  local wrong = values.judge_changelog(state, truth.open, others, form)
  for _, line in ipairs(values.compare("changelog of " .. state .. ", newest time of partitions", newest,
    truth.newest)) do
    wrong[#wrong + 1] = line
  end
  return wrong
end

--- The texts of what is wrong in a folder of state, by what `tidemill state FILE export` says of it.
function windows.judge_export(truth, where, text)
  return values.judge_export(where, { window = truth.open }, text, form)
end

return windows
