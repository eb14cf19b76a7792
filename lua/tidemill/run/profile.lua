-- SPDX-License-Identifier: MIT
-- run/profile.lua: samples what a worker runs, by LuaJIT's profiler, and writes it down as text, which the engine hands
-- on unread and cli/profile/samples.lua reads. The profiler's timer counts processor time, so a function that waits is
-- not sampled; the times of the first line tell how much that is.
--
-- The text is lines of fields with tabs between them:
--   tidemill-profile 1 WALL CPU RUN JOBS    microseconds: since the start, on the processor, in jobs; and how many jobs
--   state NAME COUNT                        samples in compiled, interpreted, c, gc, compiler
--   stack COUNT INTERPRETED STACK           the frames, outermost first, with ";" between them
--   trace KIND WHERE BEGAN TIMES REASON     as run/traces.lua tells them
--   off                                     the user's code has switched off the compiler (jit.off)
--   hook                                    it has set a hook (debug.sethook), which is called from the interpreter
--   flush COUNT                             so often was all compiled code thrown away meanwhile
-- A frame is "NAME (FILE:LINE OF THE FUNCTION) :LINE", "NAME [C]", "MODULE [tidemill]" or "[WORDS]".
local C = require("tidemill.run.ffi").C
local profiler = require("jit.profile")
local traces = require("tidemill.run.traces")

local profile = {}

local DEEPEST, MOST_STACKS = 60, 5000
local STATES = { N = "compiled", I = "interpreted", C = "c", G = "gc", J = "compiler" }

local BETWEEN = "[between two batches]"

local run -- what is measured; nil while nothing is

-- Text from the user's code, without what separates fields and frames.
local function plain(text)
  return (text:gsub("[%c;]", "?"))
end

local function frame_of(info)
  local own = traces.own_module(info.source)
  if own then return own .. " [tidemill]" end
  if info.what == "C" then return plain(traces.name_of(info.func) or info.name or "?") .. " [C]" end
  local name = info.name
  if info.what == "main" then name = "main chunk" end
  if not name or name:find("^f%d+$") or name == "?" then name = "function" end -- f1 is our loop's name of it
  return ("%s (%s:%d) :%d"):format(plain(name), plain(traces.file_of(info.source)), info.linedefined, info.currentline)
end

-- Where the user's code is called from: what is outside of it is the same for all samples.
local RUNNERS = { ["loop [tidemill]"] = true, ["run/batch [tidemill]"] = true, ["run/reduce [tidemill]"] = true }

-- The frames, innermost first, as far as the outermost runner. Frames of ours that follow each other are one.
local function frames_of(thread)
  local frames, last = {}, 0
  for level = 0, DEEPEST do
    local info = debug.getinfo(thread, level, "Slnf")
    if not info then break end
    local frame = frame_of(info)
    if frame ~= frames[#frames] then frames[#frames + 1] = frame end
    if RUNNERS[frame] then last = #frames end
  end
  if last == 0 then return { BETWEEN } end
  for i = #frames, last + 1, -1 do frames[i] = nil end
  return frames
end

local function stack_of(thread)
  local frames = frames_of(thread)
  for i = 1, math.floor(#frames / 2) do frames[i], frames[#frames + 1 - i] = frames[#frames + 1 - i], frames[i] end
  return table.concat(frames, ";")
end

local ZONED = "jit.zone"

local function sample(thread, samples, state)
  local zone = package.loaded[ZONED] and package.loaded[ZONED]:get()
  local stack = ("[step %d];%s%s"):format(run.step, zone and ("[zone %s];"):format(plain(tostring(zone))) or "",
    stack_of(thread))
  if state == "G" then stack = stack .. ";[garbage collection]" end
  if state == "J" then stack = stack .. ";[compiler]" end
  run.states[state] = (run.states[state] or 0) + samples
  local known = run.stacks[stack]
  if not known then
    if run.count >= MOST_STACKS then stack = "[further stacks]" end
    known = run.stacks[stack] or { 0, 0 }
    run.stacks[stack], run.count = known, run.count + 1
  end
  known[1] = known[1] + samples
  if state == "I" then known[2] = known[2] + samples end
end

local function now_us()
  return tonumber(C.tide_clock_us())
end

local function stop()
  if run and not run.ended then
    profiler.stop()
    run.ended, run.cpu = now_us(), os.clock() - run.cpu
  end
end

--- Begins to sample, for `limit_us` at most. A profile that is under way begins anew.
function profile.begin(limit_us)
  stop()
  run = { step = 0, states = {}, stacks = {}, count = 0, began = now_us(), cpu = os.clock(), jobs = 0, busy = 0 }
  run.limit = run.began + limit_us
  profiler.start("li1", sample) -- this throws away all compiled code once
  run.flushes = traces.flushes()
end

--- A job of this step (from 0) begins; nothing to do without a profile.
function profile.job(step)
  if not run or run.ended then return end
  run.step, run.job_began = step + 1, now_us()
end

--- The job has ended.
function profile.job_done()
  if not run or run.ended or not run.job_began then return end
  local now = now_us()
  run.jobs, run.busy, run.job_began = run.jobs + 1, run.busy + now - run.job_began, nil
  if now >= run.limit then stop() end
end

local function lines_of(most)
  local lines, order, size = {}, {}, 0
  local flushes = traces.flushes() - run.flushes
  lines[1] = ("tidemill-profile\t1\t%d\t%d\t%d\t%d"):format(run.ended - run.began, run.cpu * 1e6, run.busy, run.jobs)
  if not jit.status() then lines[#lines + 1] = "off" end
  if debug.gethook() then lines[#lines + 1] = "hook" end
  if flushes > 0 then lines[#lines + 1] = "flush\t" .. flushes end
  for state, samples in pairs(run.states) do
    lines[#lines + 1] = ("state\t%s\t%d"):format(STATES[state] or "c", samples)
  end
  traces.each(function(kind, where, began, reason, times)
    lines[#lines + 1] = ("trace\t%s\t%s\t%s\t%d\t%s"):format(kind, plain(where), plain(began), times, plain(reason))
  end)
  for stack in pairs(run.stacks) do order[#order + 1] = stack end
  table.sort(order, function(a, b) return run.stacks[a][1] > run.stacks[b][1] end)
  for _, line in ipairs(lines) do size = size + #line + 1 end
  for _, stack in ipairs(order) do
    local line = ("stack\t%d\t%d\t%s"):format(run.stacks[stack][1], run.stacks[stack][2], stack)
    size = size + #line + 1
    if size > most then break end -- those that were seen least are left out
    lines[#lines + 1] = line
  end
  return lines
end

--- Ends the profile; returns it as text of at most `most` bytes.
function profile.finish(most)
  stop()
  if not run then return "" end
  local text = table.concat(lines_of(most), "\n") .. "\n"
  run = nil
  return text
end

--- Does what an order of the engine (proc/protocol.h) says; `answer` takes the text of a profile.
function profile.obey(order, answer)
  if order.kind == C.TIDE_ORDER_PROFILE then return profile.begin(tonumber(order.limit_us)) end
  answer(profile.finish(tonumber(C.TIDE_PROFILE_BYTES)))
end

return profile
