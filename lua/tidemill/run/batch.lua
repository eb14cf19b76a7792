-- SPDX-License-Identifier: MIT
-- run/batch.lua: the runner of steps with a function `batch`, which gets all messages of a block at once, each as an
-- object of its own with its own view (run/copy.lua), and returns an array of as many answers. Nothing is published
-- before all functions have run over all messages. After an error, or a death of the worker, the messages are run one
-- by one, as batch { message }, to find the one that caused it.
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local message = require("tidemill.run.message")
local result = require("tidemill.run.result")
local runner = require("tidemill.run.runner")

local batch = {}

local EMIT, DROP, REJECT, RETRY, EXPAND, FULL =
  answer.EMIT, answer.DROP, answer.REJECT, answer.RETRY, answer.EXPAND, answer.FULL

-- An item is a message on its way through the functions: { index, record, copy }, where `copy` is what the functions
-- before made of the record. A refusal is { outcome = REJECT or RETRY, reason, text, traceback }.

-- The message of an item, open; or nil, reason and text when a function wrote into the copy what no message can have.
local function reopen(item)
  local m = message.open(item.record)
  local outcome, reason, text = message.apply(item.copy)
  if outcome ~= EMIT then return nil, reason, text end
  return m
end

-- A run of one function over all items.
local Pass = {}
Pass.__index = Pass

-- Only the first refusal of a message counts.
function Pass:refuse(item, outcome, reason, text)
  if reason == "bad_return" then text = ("%s %s"):format(self.where, text) end
  self.refused[item.index] = self.refused[item.index] or { outcome = outcome, reason = reason, text = text }
end

-- Makes items of the next pass from what the function returned for an item; `open` is the message, if it was open.
function Pass:take(item, returned, open)
  local m, wrong, why = reopen(item)
  if not m then return self:refuse(item, REJECT, wrong, why) end
  local outcome, detail, text = EMIT, nil, nil
  if type(returned) == "nil" or not rawequal(returned, open) then outcome, detail, text = message.apply(returned) end
  if outcome == EMIT then
    self.items[#self.items + 1] = { index = item.index, record = item.record, copy = m:copy() }
  elseif outcome == EXPAND then
    for _, one in ipairs(detail) do self:take(item, one, open) end
  elseif outcome ~= DROP then
    self:refuse(item, outcome, detail, text)
  end
end

-- Runs a function of one message over the items, one after the other.
function Pass:each(items, fn)
  for _, item in ipairs(items) do
    message.hold()
    local open = assert(reopen(item))
    local returned = fn(open)
    item.copy = open:copy()
    self:take(item, returned, open)
    message.release()
  end
end

local function count_of(list)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  return count
end

-- What is wrong with the array that a batch function returned for `count` messages; nil if nothing is.
local function problem_of(returned, count)
  if type(returned) ~= "table" or answer.of(returned) then
    return ("returned %s; batch returns an array of as many results as it gets messages"):format(
      returned == answer.drop and "tide.drop" or "a " .. type(returned))
  end
  local found = count_of(returned)
  if found == count and #returned == count then return nil end
  return ("returned %d results for %d messages"):format(found, count)
end

-- Runs a batch function over all items at once.
function Pass:all(items, fn)
  local copies = {}
  for i, item in ipairs(items) do copies[i] = item.copy end
  message.hold()
  local returned = fn(copies)
  local outcome, _, text = answer.of(returned)
  local problem = outcome ~= RETRY and problem_of(returned, #items)
  if outcome == RETRY then
    for _, item in ipairs(items) do self:refuse(item, RETRY, nil, text) end
  elseif problem and #items > 1 then
    error(self.where .. " " .. problem, 0)
  elseif problem then
    self:refuse(items[1], REJECT, "bad_return", problem)
  else
    for i, item in ipairs(items) do self:take(item, returned[i]) end
  end
  message.release()
end

-- Records [first, last) through all functions: the items at the end, and the refusals by index. Raises what the
-- functions raise.
local function pass_all(functions, record, first, last)
  local items, refused = {}, {}
  for index = first, last - 1 do
    if record.flags == 0 then
      items[#items + 1] = { index = index, record = record, copy = message.open(record):copy() }
    end
    record = runner.next(record)
  end
  for i, fn in ipairs(functions) do
    local pass = setmetatable({ items = {}, refused = refused, where = functions.where[i] }, Pass)
    if #items > 0 then pass[functions.batch[i] and "all" or "each"](pass, items, fn) end
    items = pass.items
  end
  return items, refused
end

-- Writes the results of record `index`, which are items[from] and those that follow: outcome, reason, text.
local function write_items(index, items, from)
  while items[from] and items[from].index == index do
    assert(reopen(items[from]))
    local outcome, reason, text = message.emit(index)
    if outcome ~= EMIT then
      result.rewind()
      return outcome, reason, text
    end
    from = from + 1
  end
  return EMIT
end

local function skip(items, from, index)
  while items[from] and items[from].index == index do from = from + 1 end
  return from
end

-- Writes and publishes the records [first, last). False when the block is full.
local function write(first, last, items, refused)
  local from = 1
  for index = first, last - 1 do
    local refusal, outcome = refused[index], EMIT
    if not refusal then
      local reason, text
      outcome, reason, text = write_items(index, items, from)
      if outcome == REJECT then refusal = { outcome = REJECT, reason = reason, text = text } end
    end
    if refusal then outcome = runner.refuse(index, refusal) end
    if outcome == FULL then return false end
    from = skip(items, from, index)
    result.publish(index + 1)
  end
  return true
end

local function one_by_one(functions, output, record, first, last)
  C.tide_worker_running(output, C.TIDE_RUNNING_ONE)
  for index = first, last - 1 do
    local ok, items, refused = runner.try(pass_all, functions, record, index, index + 1)
    if not ok then
      local problem = runner.placed(items, not functions.where[2] and functions.where[1])
      items, refused = {}, { [index] = runner.refusal_of(problem) }
    end
    if not write(index, index + 1, items, refused) then return false end
    record = runner.next(record)
  end
  return true
end

--- functions: `batch` says which of them take a batch -> run(job).
function batch.runner(functions)
  return function(job)
    local record, first, last = runner.open(job)
    if job.one_by_one ~= 0 or last - first == 1 then return one_by_one(functions, job.output, record, first, last) end
    C.tide_worker_running(job.output, C.TIDE_RUNNING_SEVERAL)
    local ok, items, refused = runner.try(pass_all, functions, record, first, last)
    if not ok then return one_by_one(functions, job.output, record, first, last) end
    C.tide_worker_running(job.output, C.TIDE_RUNNING_ONE)
    return write(first, last, items, refused)
  end
end

return batch
