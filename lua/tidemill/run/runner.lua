-- SPDX-License-Identifier: MIT
-- run/runner.lua: runs a fused loop over the records of a job, and holds what the other runners (run/batch.lua,
-- run/reduce.lua) share with it: opening a job, catching errors, writing refusals.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local answer = require("tidemill.run.answer")
local error_text = require("tidemill.run.error_text")
local message = require("tidemill.run.message")
local result = require("tidemill.run.result")

local runner = {}

local record_type, bytes_type = ffi.typeof "const struct tide_record *", ffi.typeof "const char *"

--- "file:line" of a function.
function runner.describe(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

-- What to use in place of a function of Lua that takes only tables, which views and messages are not. In a tail call
-- the name of the function is lost.
local INSTEAD = {
  pairs = "for key, value in tide.json.each(view)", ipairs = "for i, value in tide.json.each(view)",
  next = "tide.json.each(view)", concat = "table.concat(tide.json.table(view))", insert = "view[#view + 1] = value",
  remove = "view[#view] = nil", ["(for generator)"] = "for key, value in tide.json.each(view)",
}

-- A JSON null is tide.null, a light userdata, and true in a condition.
local OF_NULL = { "%(a userdata value%)", "got userdata%)$", "attempt to compare .*userdata" }
local ABOUT_NULL = "; a JSON null is tide.null, no nil: compare with it, or ask tide.json.type"

local function with_advice(text)
  if text:find("local 'state' (a nil value)", 1, true) then
    return text .. "; a function of tide.keyed has a state, those of other steps the message alone"
  end
  for _, pattern in ipairs(OF_NULL) do
    if text:find(pattern) then return text .. ABOUT_NULL end
  end
  local name = text:match("bad argument #1 to '([^']+)' %(table expected, got cdata%)$")
  if not name then return text end
  if name:find "^f%d+$" then text = text:gsub(" to 'f%d+'", "") end -- after a tail call, our name of the function
  return ("%s: JSON views and messages are no tables; for a view use %s, for a message its fields or message:copy()")
    :format(text, INSTEAD[name] or "tide.json.table(view)")
end

-- Below a loop that is not of run/fuse.lua stand our own files, and those of who runs it (tidemill try, a spec).
local function without_callers(frames)
  local first = frames:find "\n[^\n]*/tidemill/run/reduce%.lua:" or frames:find "\n[^\n]*/tidemill/run/batch%.lua:"
  return first and frames:sub(1, first - 1) or frames
end

-- { text =, traceback =, frames = the traceback with our own frames }. An error may be any value, and its __tostring
-- may fail, or return what is no string.
local function handler(problem)
  local ok, text = pcall(error_text, problem)
  if type(problem) == "nil" then text = "error(nil)" end
  -- Frames below the loop, and those between the script and its error, are ours and of no use to the reader.
  local frames = debug.traceback("", 2)
  frames = frames:match "^(.-)\n[^\n]*%(loop%)" or without_callers(frames)
  return { text = ok and type(text) == "string" and with_advice(text) or "an error object whose __tostring fails",
    traceback = frames:gsub("\n[^\n]*/tidemill/run/[%l_]+%.lua:[^\n]*", ""), frames = frames }
end

local function checked(ok, first, ...)
  if not ok then message.release() end
  if ok or type(first) == "table" then return ok, first, ... end
  if first == "not enough memory" then C.tide_worker_exit(C.TIDE_EXIT_MEMORY) end -- the one error without a handler
  return false, { text = tostring(first), traceback = "", frames = "" } -- the handler failed, for want of stack
end

--- As pcall; an error comes as { text =, traceback = }, and no views are left.
function runner.try(fn, ...)
  return checked(xpcall(fn, handler, ...))
end

--- An error in a tail call has the place of our call, since the function's own frame is gone: `where`, the place of
--- that function, stands for it then.
function runner.placed(problem, where)
  local rest = problem.text:match("^%(loop%):%d+: (.*)$")
    or problem.text:match("^[^\n:]*tidemill/run/[%l_]+%.lua:%d+: (.*)$")
  if rest and where then problem.text = where .. ": " .. rest end
  return problem
end

--- The refusal of the message that raised an error: { outcome = REJECT or RETRY, reason, text, traceback }.
function runner.refusal_of(problem)
  return { outcome = answer.REJECT, reason = "error", text = problem.text, traceback = problem.traceback }
end

--- Writes a refusal of record `index`; FULL when there is no room.
function runner.refuse(index, refusal)
  if refusal.outcome == answer.RETRY then return (result.retry(index, refusal.text)) end
  return (result.reject(index, refusal.reason, refusal.text, refusal.traceback))
end

--- The record after `record`.
function runner.next(record)
  return ffi.cast(record_type, ffi.cast(bytes_type, record) + record.size)
end

--- Opens the output block of a job. Returns its first record, and the indexes [first, last) of its records.
function runner.open(job)
  result.open(job.output, tonumber(job.output_size), tonumber(job.output_max))
  return ffi.cast(record_type, job.record), job.first, job["end"]
end

--- A loop that fuse.lua wrote, and the places of its functions -> run(job). There is one pcall for each entry into the
--- loop, not one for each message: the published progress says which message failed.
function runner.fused(loop, where)
  return function(job)
    local record, index, last = runner.open(job)
    C.tide_worker_running(job.output, C.TIDE_RUNNING_ONE)
    while index < last do
      local ok, done = runner.try(loop, record, index, last)
      if ok then return done end
      local in_emit = done.frames:find("in function 'emit'") ~= nil -- only now is seen what the last function left
      runner.placed(done, where[in_emit and #where or tonumber(done.frames:match "in function 'f(%d+)'")])
      index = result.resume()
      if result.reject(index, "error", done.text, not in_emit and done.traceback) == answer.FULL then return false end
      index = index + 1
      result.publish(index)
      record = runner.next(message.record())
    end
    return true
  end
end

return runner
