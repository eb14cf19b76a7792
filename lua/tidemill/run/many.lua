-- SPDX-License-Identifier: MIT
-- run/many.lua: takes what a function returned, and carries out tide.many { ... }: each of several results goes on
-- through the functions that follow and is written. All of them leave together or none does, since the loop publishes
-- the record only once all are in the block.
local answer = require("tidemill.run.answer")
local message = require("tidemill.run.message")
local result = require("tidemill.run.result")

local many = {}

local EMIT, DROP, REJECT, EXPAND = answer.EMIT, answer.DROP, answer.REJECT, answer.EXPAND
local apply, emit, is_message = message.apply, message.emit, message.is

--- functions: those of the loop, `where` for each. Returns take(returned, from, index) and expand(list, from, index),
--- which give outcome, detail, text; `from` is the number of the function that comes next, `index` that of the record.
function many.runner(functions)
  local expand
  local with_state, object = functions.with_state, functions.slots and functions.slots.object

  -- What function `from - 1` returned for the open message, other than that message itself.
  local function take(returned, from, index)
    local outcome, detail, text = apply(returned)
    if outcome == EXPAND then return expand(detail, from, index) end
    if outcome == REJECT and detail == "bad_return" then text = functions.where[from - 1] .. " " .. text end
    return outcome, detail, text
  end

  -- The open message through the functions from `from` on, and into the block.
  local function run(m, from, index)
    for i = from, #functions do
      local returned
      if with_state and with_state[i] then returned = functions[i](m, object) else returned = functions[i](m) end
      if not rawequal(returned, m) then
        local outcome, detail, text = take(returned, i + 1, index)
        if outcome ~= EMIT then return outcome, detail, text end
      end
    end
    return emit(index)
  end

  -- One of several results; `m` is the message that the function had.
  local function run_one(item, m, saved, from, index)
    if not message.was_open(item, saved) then
      if is_message(item) then
        return REJECT, "bad_return", functions.where[from - 1] .. " returned a message that is gone, not message:copy()"
      end
      local outcome, detail, text = take(item, from, index)
      if outcome ~= EMIT then return outcome, detail, text end
    end
    return run(m, from, index)
  end

  -- EXPAND when all results are written; else what became of the first that is not.
  function expand(list, from, index)
    local was_held = message.hold() -- several results may be parts of one view
    local saved = message.save()
    local outcome, detail, text = EXPAND, nil, nil
    for i = 1, #list do
      local one, reason, why = run_one(list[i], message.restore(saved), saved, from, index)
      if one ~= EMIT and one ~= DROP and one ~= EXPAND then
        outcome, detail, text = one, reason, why
        result.rewind()
        break
      end
    end
    if not was_held then message.release() end
    return outcome, detail, text
  end

  return take, expand
end

return many
