-- SPDX-License-Identifier: MIT
-- run/answer.lua: what becomes of a message after a function has run. A function of the user answers with the message,
-- a value, a table, nothing, or one of the objects that tide.drop, tide.reject, tide.retry and tide.many give; each
-- loop (run/fuse.lua, run/many.lua, run/batch.lua, run/reduce.lua) turns the answer into one of the outcomes below.
-- An outcome travels as up to three values, `outcome, detail, text`: numbers compare faster than texts, and several
-- values need no table for each message.
local check = require("tidemill.run.check")
local error_text = require("tidemill.run.error_text")
local marks = require("tidemill.run.marks")

local answer = {}

--- The message goes on to the next function, or is written as a result.
answer.EMIT = 1
--- There is no result: the message is filtered.
answer.DROP = 2
--- The message becomes a dead letter; detail = the reason by which dead letters are sorted, text = what happened.
answer.REJECT = 3
--- What the message needs is not there: it is tried again later; text = what is missing.
answer.RETRY = 4
--- There are several results; detail = their list. From run/many.lua: all of them are written.
answer.EXPAND = 5
--- From the writer (run/result.lua): the output block has no room left, and the engine runs the message again with an
--- empty one.
answer.FULL = 6

local DROP, REJECT, RETRY, EXPAND = answer.DROP, answer.REJECT, answer.RETRY, answer.EXPAND

local mark = { written_as = marks.NOTHING } -- the metatable of all answer objects

local function new(outcome, detail, text)
  return setmetatable({ outcome = outcome, detail = detail, text = text }, mark)
end

local function reason_text(reason)
  return reason == nil and "no reason given" or error_text(reason)
end

--- For scripts: `return tide.drop` says that there is no result. It stands wherever a function may answer nothing, also
--- in lists, where nil would be a gap.
answer.drop = new(DROP)

local NAMES = { [DROP] = "tide.drop", [REJECT] = "tide.reject", [RETRY] = "tide.retry", [EXPAND] = "tide.many" }

-- For errors; a wrong tide.many is an answer that rejects.
function mark.__tostring(one)
  return NAMES[one.detail == "bad_return" and EXPAND or one.outcome]
end

--- For scripts: `return tide.reject("reason")` makes the message a dead letter. A table as a reason becomes its JSON.
function answer.reject(reason)
  return new(REJECT, "rejected", reason_text(reason))
end

--- For scripts: `return tide.retry("reason")` has the message tried again later; what follows it in its partition
--- waits.
function answer.retry(reason)
  return new(RETRY, nil, reason_text(reason))
end

--- The answer of a function that returned something wrong; `text` follows the place of the function.
function answer.wrong(text)
  return new(REJECT, "bad_return", text)
end

--- For scripts: `return tide.many { ... }` makes several results (messages, copies, strings, tables) of one message. A
--- wrong list is an answer and no error: after a tail call, error() could not name the line of the script.
function answer.many(list)
  local wrong = check.not_array(list)
  if not wrong then return new(EXPAND, list) end
  return answer.wrong(("returned tide.many of what is no array of results without gaps: it %s %s%s"):format(
    type(list) == "table" and "has" or "is", wrong,
    wrong:find("^a gap") and "; tide.drop stands for a result that is not there" or ""))
end

--- outcome, detail, text of an answer object; nil for anything else.
function answer.of(thing)
  if type(thing) ~= "table" or getmetatable(thing) ~= mark then return nil end
  return thing.outcome, thing.detail, thing.text
end

return answer
