-- SPDX-License-Identifier: MIT
-- run/many.lua: tide.many { ... }: each of several results goes on through the functions behind and is written.
-- All or none: the caller publishes the record only once all of them are in the block.
local many = {}

local function write(message, base, at, index, room)
  local now, want = message.emit(base, at, index, room)
  if now then return now end
  return nil, "too_large", ("the results take at least %d bytes, more than there are in a block (%d)"):format(
    at + want, room)
end

--- functions: those of the loop, `where` for each -> several(list, from, base, at, index, room): hands the list
--- on from function `from`. Returns the bytes in use then; nil when the block is full; or the bytes in use before,
--- reason, error when the message is rejected.
function many.runner(functions, message)
  local function bad_return(from, problem)
    return "bad_return", ("%s %s"):format(functions.where[from - 1], problem)
  end

  -- The open message through the functions from `from` on. True = write it; false = filtered;
  -- nil, reason, error = rejected; nil, 'many', list, next = several again.
  local function run(m, from)
    for i = from, #functions do
      local result = functions[i](m)
      if not rawequal(result, m) then
        if result == nil then return false end
        local keep, reason, problem = message.apply(result)
        if reason == "bad_return" then return nil, bad_return(i + 1, problem) end
        if not keep then return nil, reason, problem, i + 1 end
      end
    end
    return true
  end

  local function take(item, m, saved, from)
    if message.was_open(item, saved) then return run(m, from) end
    if type(item) == "cdata" then return nil, bad_return(from, "returned in tide.many a message that is gone") end
    local keep, reason, problem = message.apply(item)
    if reason == "bad_return" then return nil, bad_return(from, problem) end
    if not keep then return nil, reason, problem, from end
    return run(m, from)
  end

  local function expand(list, from, base, at, index, room)
    local saved = message.save()
    for i = 1, #list do
      local keep, reason, problem, next_from = take(list[i], message.restore(saved), saved, from)
      local now = at
      if keep then
        now, reason, problem = write(message, base, at, index, room)
      elseif reason == "many" then
        now, reason, problem = expand(problem, next_from, base, at, index, room)
      end
      if reason then return nil, reason, problem end
      at = now
    end
    return at
  end

  return function(list, from, base, at, index, room)
    message.hold() -- several results may be parts of one view
    local now, reason, problem = expand(list, from, base, at, index, room)
    message.release()
    if not reason then return now end
    -- In a block that holds results already there is more room the next time: it is only full.
    if reason == "too_large" and at > 0 then return nil end
    return at, reason, problem
  end
end

return many
