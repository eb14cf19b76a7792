-- SPDX-License-Identifier: MIT
-- cli/profile/print.lua: the text that `tidemill profile` prints.
local reasons = require("tidemill.cli.profile.reasons")
local samples = require("tidemill.cli.profile.samples")

local print = {}

local MOST_LINES, FEW, IDLE = 12, 20, 0.05
local SHORT = 0.1 -- seconds on the processor: with less there may be no sample by chance
local MANY_FLUSHES = 2 -- a second
local STATES = { { "compiled", "compiled" }, { "interpreted", "interpreted" }, { "c", "functions of C" },
  { "gc", "garbage collection" }, { "compiler", "the compiler itself" } }

local function percent(part, all)
  return all > 0 and 100 * part / all or 0
end

-- How busy the worker was, and whether it computed or waited.
local function time_line(profile)
  local busy = profile.wall > 0 and profile.busy / profile.wall or 0
  local waits = profile.busy > 0 and math.max(0, 1 - profile.cpu / profile.busy) or 0
  local text = ("%.1f s: the worker had work for %.0f %% of the time (%d batches)"):format(profile.wall, 100 * busy,
    profile.jobs)
  if busy < IDLE then return text .. ". It is almost idle: what it does costs little; the limit is elsewhere" end
  if waits < 0.2 then return text end
  return ("%s; for %.0f %% of that it did not run: it waited (for the network, a sleep), or the processor was busy. "
    .. "Only what runs is sampled"):format(text, 100 * waits)
end

local function states_line(states)
  local all, parts = 0, {}
  for _, count in pairs(states) do all = all + count end
  for _, entry in ipairs(STATES) do
    local count = states[entry[1]] or 0
    if count > 0 then parts[#parts + 1] = ("%s %.0f %%"):format(entry[2], percent(count, all)) end
  end
  return table.concat(parts, ", ")
end

local function note_of(entry)
  local notes = {}
  if entry.within then notes[1] = "in " .. entry.within end
  if entry.interpreted * 2 > entry.self then notes[#notes + 1] = "interpreted" end
  return #notes > 0 and "   " .. table.concat(notes, ", ") or ""
end

local function add_table(out, heading, list, sum, line)
  out[#out + 1] = ""
  out[#out + 1] = heading
  for i, entry in ipairs(list) do
    if i > MOST_LINES then break end
    out[#out + 1] = line(entry, sum.samples)
  end
end

-- What the user's code has done to the compiler as a whole.
local function on_all_code(profile)
  local texts = {}
  if profile.off then
    texts[#texts + 1] = "the compiler is switched off (jit.off()), so everything is interpreted; remove jit.off()"
  end
  if profile.hook then
    texts[#texts + 1] = "a hook is set (debug.sethook), and code is interpreted wherever it is called; remove it"
  end
  if profile.flushes > MANY_FLUSHES * profile.wall then
    texts[#texts + 1] = ("all compiled code was thrown away %d times, by jit.flush or since there is too much of it; "
      .. "remove jit.flush, or make the code smaller"):format(profile.flushes)
  end
  return texts
end

-- What was found holds without samples too; that nothing was found says something only with them.
local function add_obstacles(out, profile, sum)
  local texts = on_all_code(profile)
  for _, found in ipairs(samples.obstacles(profile, sum.lines)) do texts[#texts + 1] = reasons.line(found) end
  if #texts == 0 and sum.samples == 0 then return end
  out[#out + 1] = ""
  if #texts == 0 then
    out[#out + 1] = "Everything that was compiled stays compiled: no loop fell back to the interpreter."
    return
  end
  out[#out + 1] = "What LuaJIT does not compile:"
  for _, text in ipairs(texts) do out[#out + 1] = "  " .. text end
end

-- Why there is no sample.
local function no_sample(profile)
  if profile.cpu >= IDLE * profile.wall then
    if profile.cpu < SHORT then return "No sample: the time was too short. Take a longer one." end
    return "No sample, though the worker computed: its functions use LuaJIT's profiler themselves (jit.p, "
      .. "jit.profile), and there is only one. Profile without that."
  end
  if profile.busy >= IDLE * profile.wall then
    return "No sample: the worker computed nothing in this time, it only waited. See what its functions wait for."
  end
  return "No sample: the worker computed nothing in this time. Profile it while messages come."
end

--- The lines for a profile. source(file, line): the text of that line, or nil.
function print.lines(profile, source)
  local sum = samples.sum(profile)
  local out = { time_line(profile) }
  if sum.samples == 0 then
    out[#out + 1] = no_sample(profile)
    add_obstacles(out, profile, sum)
    return out
  end
  out[#out + 1] = ("%d samples: %s"):format(sum.samples, states_line(profile.states))
  if sum.samples < FEW then out[#out + 1] = "These are few samples: the shares are rough. Take a longer time." end
  add_table(out, "   self  total  function", sum.functions, sum, function(entry, all)
    return ("%5.1f %% %5.1f %%  %s%s"):format(percent(entry.self, all), percent(entry.total, all), entry.text,
      note_of(entry))
  end)
  if sum.own > 0 then
    local share = percent(sum.own, sum.samples)
    out[#out + 1] = ("%5.1f %% %5.1f %%  the engine's loop (tidemill's own work)"):format(share, share)
  end
  add_table(out, "  share  line", sum.lines, sum, function(entry, all)
    local text = source and source(entry.text:match("^(.*):(%d+)$"))
    return ("%5.1f %%  %s%s%s"):format(percent(entry.self, all), entry.text, text and "  " .. text or "",
      note_of(entry))
  end)
  add_obstacles(out, profile, sum)
  return out
end

return print
