-- SPDX-License-Identifier: MIT
-- run/batch.lua: steps with a function `batch`, which gets all messages of a block at once, each an object of its
-- own with its own view (run/copy.lua), and returns an array of as many results (false = filtered). Views live until
-- the results are taken. Nothing is published before all is through; after an error or a death the messages are run
-- one by one, as batch { message }, to find the one it is due to.
local C = require("tidemill.run.ffi").C
local message = require("tidemill.run.message")
local answer = require("tidemill.run.answer")
local runner = require("tidemill.run.runner")

local batch = {}

-- The message of a record as a function before made it: `copy` over what came in.
local function reopen(record, copy)
  local m = message.open(record)
  assert(message.apply(copy))
  return m
end

local Pass = {}
Pass.__index = Pass

function Pass:reject(item, reason, problem)
  if reason == "bad_return" then problem = ("%s %s"):format(self.where, problem) end
  self.rejected[item.index] = self.rejected[item.index] or { reason = reason, text = problem }
end

-- What a function returned for an item -> items of the next stage.
function Pass:take(item, copy, result)
  if result == nil or result == false then return end
  local m = reopen(item.record, copy)
  local keep, reason, problem = true, nil, nil
  if not rawequal(result, self.open) then keep, reason, problem = message.apply(result) end
  if keep then
    self.items[#self.items + 1] = { index = item.index, record = item.record, copy = m:copy() }
  elseif reason == "many" then
    for _, one in ipairs(problem) do self:take(item, copy, one) end
  else
    self:reject(item, reason, problem)
  end
end

-- One message after the other.
function Pass:each(items, fn)
  for _, item in ipairs(items) do
    message.hold()
    self.open = reopen(item.record, item.copy)
    local result = fn(self.open)
    self:take(item, self.open:copy(), result)
    message.release()
  end
end

local function count_of(list)
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  return count
end

-- All at once.
function Pass:all(items, fn)
  local copies = {}
  for i, item in ipairs(items) do copies[i] = item.copy end
  message.hold()
  local results = fn(copies)
  local retry = answer.retry_reason(results)
  if retry then
    for _, item in ipairs(items) do self:reject(item, "retry", retry) end
    message.release()
    return
  end
  local count = type(results) == "table" and count_of(results)
  if count ~= #items or #results ~= #items then
    local problem = count and ("returned %d results for %d messages"):format(count, #items)
      or ("returned a %s; batch returns an array of as many results as it gets messages"):format(type(results))
    if #items > 1 then error(self.where .. " " .. problem, 0) end
    self:reject(items[1], "bad_return", problem)
    message.release()
    return
  end
  for i, item in ipairs(items) do self:take(item, item.copy, results[i]) end
  message.release()
end

-- Records [first, last) through all functions: items and rejects by index. Raises what they raise.
local function pass_all(functions, record, first, last)
  local items, rejected = {}, {}
  for index = first, last - 1 do
    if record.flags == 0 then
      items[#items + 1] = { index = index, record = record, copy = message.open(record):copy() }
    end
    record = runner.next(record)
  end
  for i, fn in ipairs(functions) do
    local pass = setmetatable({ items = {}, rejected = rejected, where = functions.where[i] }, Pass)
    if #items > 0 then pass[functions.batch[i] and "all" or "each"](pass, items, fn) end
    items = pass.items
  end
  return items, rejected
end

-- The results of one record, from items[from] on: the bytes in use then; nil, bytes = no room for so many.
local function write_items(base, at, index, room, items, from)
  while items[from] and items[from].index == index do
    local item = items[from]
    reopen(item.record, item.copy)
    local now, want = message.emit(base, at, index, room)
    if not now then return nil, at + want end
    at, from = now, from + 1
  end
  return at
end

local function skip(items, from, index)
  while items[from] and items[from].index == index do from = from + 1 end
  return from
end

-- Writes [first, last) and publishes as far as it came. True = all; then the bytes in use.
local function write(s, first, last, items, rejected)
  local from = 1
  for index = first, last - 1 do
    local room, why, at = s.at == 0 and s.most or s.size, rejected[index], nil
    if not why then
      local want
      at, want = write_items(s.base, s.at, index, room, items, from)
      if not at and s.at > 0 then return false end
      if not at then
        why = { reason = "too_large",
          text = ("the result takes %d bytes, more than max_output_block_size (%d)"):format(want, s.most) }
      end
    end
    if why then at = message.emit_reject(s.base, s.at, index, room, why.reason, why.text, why.traceback) end
    if not at then return false end
    s.at, from = at, skip(items, from, index)
    runner.publish(s.output, index + 1, at)
  end
  return true
end

local function one_by_one(s, functions, record, first, last)
  C.tide_worker_running(s.output, C.TIDE_RUNNING_ONE)
  for index = first, last - 1 do
    local ok, items, rejected = runner.try(pass_all, functions, record, index, index + 1)
    if not ok then
      runner.placed(items, not functions.where[2] and functions.where[1])
      items, rejected = {}, { [index] = { reason = "error", text = items.text, traceback = items.traceback } }
    end
    if not write(s, index, index + 1, items, rejected) then return false end
    record = runner.next(record)
  end
  return true
end

--- functions: `batch` says which of them take a batch -> run(job).
function batch.runner(functions)
  return function(job)
    local output, base, record, first, last, size, most = runner.open(job)
    local s = { at = 0, output = output, base = base, size = size, most = most }
    if job.one_by_one ~= 0 or last - first == 1 then return one_by_one(s, functions, record, first, last) end
    C.tide_worker_running(s.output, C.TIDE_RUNNING_SEVERAL)
    local ok, items, rejected = runner.try(pass_all, functions, record, first, last)
    if not ok then return one_by_one(s, functions, record, first, last) end
    C.tide_worker_running(s.output, C.TIDE_RUNNING_ONE)
    return write(s, first, last, items, rejected)
  end
end

return batch
