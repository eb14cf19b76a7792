-- SPDX-License-Identifier: MIT
-- run/fuse.lua: one or more functions -> one loop over a block. The loop is written out for their number, so
-- that LuaJIT compiles it together with the user's code as one trace.
local many = require("tidemill.run.many")

local fuse = {}

local head = [[
local call, message, C, ffi, several = ...
local open, apply, emit, emit_reject = message.open, message.apply, message.emit, message.emit_reject
local record_type, bytes_type = ffi.typeof 'const struct tide_record *', ffi.typeof 'const char *'
local publish = C.tide_worker_publish
]]

local body = [[
-- Records [index, last) from `record` on; results go behind base + at. True when all are through, else
-- false: the block is full (or, on an error, nothing is returned and the published progress tells).
return function(record, index, last, output, base, at, size, most)
  for i = index, last - 1 do
    local m = open(record)
    local keep, reason, problem, room = record.flags == 0, nil, nil, at == 0 and most or size
%s
    if keep then
      local now, want = emit(base, at, i, room)
      if not now then
        if at > 0 then return false end
        keep, reason = false, 'too_large'
        problem = ('the result takes %%d bytes, more than max_output_block_size (%%d)'):format(want, most)
      else
        at = now
      end
    end
    if reason then
      local now = emit_reject(base, at, i, room, reason, problem)
      if not now then return false end
      at = now
    end
    publish(output, i + 1, at)
    record = ffi.cast(record_type, ffi.cast(bytes_type, record) + record.size)
  end
  return true
end
]]

-- What stands for one function: a message goes on, nil is filtered, all else is for apply.
local one = [[
    if keep then
      local result = f%d(m)
      if not rawequal(result, m) then
        if result == nil then
          keep = false
        else
          keep, reason, problem = apply(result)
          if reason == 'many' then
            at, reason, problem = several(problem, %d, base, at, i, room)
            if not at then return false end
          elseif reason == 'bad_return' then
            problem = ('%%s %%s'):format(where[%d], problem)
          end
        end
      end
    end]]

--- The Lua text of the loop for `count` functions.
function fuse.text(count)
  local names, calls = {}, {}
  for i = 1, count do
    names[i] = ("local f%d = call[%d]"):format(i, i)
    calls[i] = one:format(i, i + 1, i)
  end
  return head .. "local where = call.where\n" .. table.concat(names, "\n") .. "\n" ..
    body:format(table.concat(calls, "\n"))
end

--- functions: an array of functions, `where` = for each "file:line" -> the loop. Run in a worker.
function fuse.loop(functions, message, C, ffi)
  local chunk = assert(loadstring(fuse.text(#functions), "=(loop)"))
  return chunk(functions, message, C, ffi, many.runner(functions, message))
end

return fuse
