-- SPDX-License-Identifier: MIT
-- run/runner.lua: runs a loop over the records of a job, and what all kinds of loops share.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local message = require("tidemill.run.message")
local error_text = require("tidemill.run.error_text")

local runner = {}

local HEAD = ffi.sizeof "struct tide_output"
local record_type, bytes_type = ffi.typeof "const struct tide_record *", ffi.typeof "const char *"

--- "file:line" of a function.
function runner.describe(fn)
  local info = debug.getinfo(fn, "S")
  return ("%s:%d"):format(info.short_src, info.linedefined)
end

-- { text =, traceback =, frames = the traceback with our own frames }. An error may be any value, and its __tostring
-- may fail, or return what is no string.
local function handler(problem)
  local ok, text = pcall(error_text, problem)
  if type(problem) == "nil" then text = "error(nil)" end
  -- What stands below the loop, and what lies between the script and its error, is ours and no news to the reader.
  local frames = debug.traceback("", 2)
  frames = frames:match "^(.-)\n[^\n]*%(loop%)" or frames
  return { text = ok and type(text) == "string" and text or "an error object whose __tostring fails",
    traceback = frames:gsub("\n[^\n]*/tidemill/run/[%l_]+%.lua:[^\n]*", ""), frames = frames }
end

local function checked(ok, result, ...)
  if not ok then message.release() end
  if ok or type(result) == "table" then return ok, result, ... end
  if result == "not enough memory" then C.tide_worker_exit(C.TIDE_EXIT_MEMORY) end -- the one error without a handler
  return false, { text = tostring(result), traceback = "", frames = "" } -- the handler failed, for want of stack
end

--- As pcall; an error comes as { text =, traceback = }, and no views are left.
function runner.try(fn, ...)
  return checked(xpcall(fn, handler, ...))
end

--- An error in a tail call has the place of our call, since the function's own frame is gone: `where`, the place of
--- that function, stands for it then.
function runner.placed(problem, where)
  local rest = problem.text:match "^%(loop%):%d+: (.*)$"
    or problem.text:match "^[^\n:]*tidemill/run/[%l_]+%.lua:%d+: (.*)$"
  if rest and where then problem.text = where .. ": " .. rest end
  return problem
end

--- The record behind `record`.
function runner.next(record)
  return ffi.cast(record_type, ffi.cast(bytes_type, record) + record.size)
end

--- What a job is about: output, base (where results go), record, first, last (the one behind the end), size (bytes
--- for results), most (bytes for one result in an empty block).
function runner.open(job)
  local output = job.output
  return output, ffi.cast("char *", output) + HEAD, ffi.cast(record_type, job.record), job.first, job["end"],
    tonumber(job.output_size), tonumber(job.output_max)
end

--- Records before `index` are done, their results fill `at` bytes.
runner.publish = C.tide_worker_publish

--- A loop that fuse.lua wrote, and the places of its functions -> run(job). One pcall per entry into it, not per
--- message: the published progress says which message failed.
function runner.fused(loop, where)
  return function(job)
    local output, base, record, index, last, size, most = runner.open(job)
    local at = 0
    C.tide_worker_running(output, C.TIDE_RUNNING_ONE)
    while index < last do
      local ok, done = runner.try(loop, record, index, last, output, base, at, size, most)
      if ok then return done end
      runner.placed(done, where[tonumber(done.frames:match "in function 'f(%d+)'")])
      if done.frames:find "in function 'emit'" then -- found only now: what the last function left in the message
        done = { text = where[#where] .. ": " .. done.text, traceback = "" }
      end
      local progress = output.progress
      index, at = tonumber(progress % 0x100000000ULL), tonumber(progress / 0x100000000ULL)
      at = message.emit_reject(base, at, index, at == 0 and most or size, "error", done.text, done.traceback)
      if not at then return false end
      index = index + 1
      runner.publish(output, index, at)
      record = runner.next(message.record())
    end
    return true
  end
end

return runner
