-- SPDX-License-Identifier: MIT
-- run/fuse.lua: makes one loop over a block of one or more functions. The text of the loop is written out for their
-- number and then compiled, since LuaJIT compiles a chain of named calls together with the user's code as one trace,
-- which it does not do for a call through an array. Start reading at `body`.
local ffi = require("ffi")
local answer = require("tidemill.run.answer")
local many = require("tidemill.run.many")
local message = require("tidemill.run.message")
local result = require("tidemill.run.result")

local fuse = {}

local body = [[
local functions, message, result, answer, ffi, take = ...
local open, emit, reject, retry, publish = message.open, message.emit, result.reject, result.retry, result.publish
local EMIT, DROP, REJECT, RETRY, FULL = answer.EMIT, answer.DROP, answer.REJECT, answer.RETRY, answer.FULL
local record_type, bytes_type = ffi.typeof "const struct tide_record *", ffi.typeof "const char *"
%s
-- Records [index, last) from `record` on. True when all are done, false when the block is full; after an error the
-- published progress says which record it was.
return function(record, index, last)
  for i = index, last - 1 do
    local m = open(record)
    local outcome, detail, text = record.flags == 0 and EMIT or DROP, nil, nil
%s
    if outcome == EMIT then outcome, detail, text = emit(i) end
    if outcome == REJECT then outcome = reject(i, detail, text) end
    if outcome == RETRY then outcome = retry(i, text) end
    if outcome == FULL then return false end
    publish(i + 1)
    record = ffi.cast(record_type, ffi.cast(bytes_type, record) + record.size)
  end
  return true
end
]]

-- What stands for one function.
local call = [[
    if outcome == EMIT then
      local returned = f%d(m)
      if not rawequal(returned, m) then outcome, detail, text = take(returned, %d, i) end
    end]]

--- The Lua text of the loop for `count` functions.
function fuse.text(count)
  local names, calls = {}, {}
  for i = 1, count do
    names[i] = ("local f%d = functions[%d]"):format(i, i)
    calls[i] = call:format(i, i + 1)
  end
  return body:format(table.concat(names, "\n"), table.concat(calls, "\n"))
end

--- functions: an array of functions, `where` = for each "file:line" -> the loop. It is called in a worker.
function fuse.loop(functions)
  local chunk = assert(loadstring(fuse.text(#functions), "=(loop)"))
  return chunk(functions, message, result, answer, ffi, (many.runner(functions)))
end

return fuse
