-- SPDX-License-Identifier: MIT
-- run/answer.lua: what a function returns when it makes no result: tide.reject, tide.retry.
local error_text = require("tidemill.run.error_text")

local answer = {}

--- The metatable of both; `kind` is "rejected" or "retry", `reason` a text.
answer.mark = {}

local function text_of(reason)
  return reason == nil and "no reason given" or error_text(reason)
end

--- For scripts: `return tide.reject("reason")` rejects the message. Of a table the reason is its JSON.
function answer.reject(reason)
  return setmetatable({ kind = "rejected", reason = text_of(reason) }, answer.mark)
end

--- For scripts: `return tide.retry("reason")`: the message is tried again later, and what follows it in its partition
--- waits.
function answer.retry(reason)
  return setmetatable({ kind = "retry", reason = text_of(reason) }, answer.mark)
end

--- The reason of what tide.retry made; nil for all else.
function answer.retry_reason(thing)
  if type(thing) ~= "table" or getmetatable(thing) ~= answer.mark or thing.kind ~= "retry" then return nil end
  return thing.reason
end

return answer
