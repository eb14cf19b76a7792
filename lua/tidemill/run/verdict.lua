-- SPDX-License-Identifier: MIT
-- run/verdict.lua: what a function returns when it makes no result: tide.reject, tide.retry.
local told = require 'tidemill.run.told'

local verdict = {}

--- The metatable of both; `kind` is "rejected" or "retry", `reason` a text.
verdict.mark = {}

local function text_of(reason)
  return reason == nil and 'no reason given' or told(reason)
end

--- For scripts: `return tide.reject("reason")` rejects the message. Of a table the reason is its JSON.
function verdict.reject(reason)
  return setmetatable({ kind = 'rejected', reason = text_of(reason) }, verdict.mark)
end

--- For scripts: `return tide.retry("reason")`: the message is tried again later, and what follows it in its partition
--- waits.
function verdict.retry(reason)
  return setmetatable({ kind = 'retry', reason = text_of(reason) }, verdict.mark)
end

--- The reason of what tide.retry made; nil for all else.
function verdict.retry_reason(thing)
  if type(thing) ~= 'table' or getmetatable(thing) ~= verdict.mark or thing.kind ~= 'retry' then return nil end
  return thing.reason
end

return verdict
