-- SPDX-License-Identifier: MIT
-- cli/profile/samples.lua: reads the text of a profile (run/profile.lua) and adds it up. The text was written by a
-- worker, so nothing in it is taken on trust: lines that are none are left out, numbers are bounded.
local samples = {}

local MOST = 1e12
local KINDS = { loop = true, branch = true, call = true }

-- Text for a terminal.
local function shown(text)
  return (text:gsub("%c", "?"))
end

local function count_of(text)
  local number = tonumber(text)
  return number and number >= 0 and number < MOST and math.floor(number) or nil
end

-- A frame: { text, place, line } of a function of the user, { text, own = module } of ours, else { text }.
local function frame_of(text)
  local name, file, defined, line = text:match("^(.-) %((.*):(%d+)%) :(%d+)$")
  if name then
    return { text = name == "function" and ("function (%s:%s)"):format(file, defined)
      or ("%s (%s:%s)"):format(name, file, defined), place = file .. ":" .. defined, line = file .. ":" .. line }
  end
  local own = text:match("^(.-) %[tidemill%]$")
  if own then return { text = own == "loop" and "the engine's loop" or "tidemill: " .. own, own = own } end
  return { text = text:gsub(" %[C%]$", "") }
end

local read = {}

function read.state(self, name, count)
  if name and count_of(count) then self.states[shown(name)] = count_of(count) end
end

function read.trace(self, kind, where, began, times, reason)
  if KINDS[kind] and reason and count_of(times) then
    self.traces[#self.traces + 1] = { kind = kind, where = shown(where), began = shown(began), times = count_of(times),
      reason = shown(reason) }
  end
end

function read.off(self)
  self.off = true
end

function read.hook(self)
  self.hook = true
end

function read.flush(self, count)
  self.flushes = count_of(count) or 0
end

-- What is around the user's outermost function is the engine's loop, in however many frames.
local function without_runners(frames)
  local first = 1
  while frames[first] and not frames[first].place and not frames[first].text:find("^%[zone ") do first = first + 1 end
  if not frames[first] or first <= 2 then return frames end
  local kept = { { text = "the engine's loop", own = "loop" } }
  for i = first, #frames do kept[#kept + 1] = frames[i] end
  return kept
end

function read.stack(self, count, interpreted, stack)
  count = count_of(count)
  if not (count and stack) then return end
  local frames, step = {}, nil
  for text in shown(stack):gmatch("[^;]+") do
    step = step or tonumber(text:match("^%[step (%d+)%]$"))
    if not text:find("^%[step %d+%]$") then frames[#frames + 1] = frame_of(text) end
  end
  self.stacks[#self.stacks + 1] = { count = count, interpreted = math.min(count, count_of(interpreted) or 0),
    frames = without_runners(frames), step = step or 0 }
end

local function fields_of(line)
  local fields = {}
  for field in (line .. "\t"):gmatch("([^\t]*)\t") do fields[#fields + 1] = field end
  return fields
end

--- Reads a profile: { wall, cpu, busy (seconds), jobs, states, stacks, traces, off, hook, flushes }; or nil, the reason
--- and the exit code.
function samples.read(text)
  local code, failed = text:match("^error\t(%d+)\t([^\n]*)")
  if failed then return nil, shown(failed), tonumber(code) end
  local wall, cpu, busy, jobs = text:match("^tidemill%-profile\t1\t(%d+)\t(%d+)\t(%d+)\t(%d+)\n")
  if not wall then return nil, "this is no profile that this version knows" end
  local self = { wall = wall / 1e6, cpu = cpu / 1e6, busy = busy / 1e6, jobs = tonumber(jobs), states = {}, stacks = {},
    traces = {}, flushes = 0 }
  for line in text:gmatch("[^\n]+") do
    local fields = fields_of(line)
    local reader = read[fields[1]]
    if reader then reader(self, unpack(fields, 2, 6)) end
  end
  return self
end

--- Keeps the samples of one step (plan's number, from 1) only.
function samples.of_step(self, step)
  local kept = {}
  for _, stack in ipairs(self.stacks) do
    if stack.step == step then kept[#kept + 1] = stack end
  end
  self.stacks = kept
end

local function sorted(by_key)
  local list = {}
  for _, entry in pairs(by_key) do list[#list + 1] = entry end
  table.sort(list, function(a, b)
    if a.self ~= b.self then return a.self > b.self end
    if a.total ~= b.total then return a.total > b.total end
    return a.key < b.key
  end)
  return list
end

local function entry_of(list, key, made)
  if not list[key] then
    made.key, made.self, made.total, made.interpreted, made.within = key, 0, 0, 0, {}
    list[key] = made
  end
  return list[key]
end

-- What ran innermost there, if that was not the user's function itself.
local function most_within(entry)
  local best, text = 0, nil
  for name, count in pairs(entry.within) do
    if count > best or count == best and name < text then best, text = count, name end
  end
  return best * 2 > entry.self and text or nil
end

-- Adds a stack to functions and lines. Time that a function of a library or of ours takes belongs to the user's line
-- that called it. True when there is such a line.
local function add_stack(stack, functions, lines)
  local inner, seen = nil, {}
  for _, frame in ipairs(stack.frames) do
    if frame.place then
      inner = frame
      if not seen[frame.place] then
        seen[frame.place] = true
        local entry = entry_of(functions, frame.place, { text = frame.text })
        entry.total = entry.total + stack.count
      end
    end
  end
  if not inner then return false end
  local last = stack.frames[#stack.frames]
  local of_function, of_line = functions[inner.place], entry_of(lines, inner.line, { text = inner.line })
  for _, entry in ipairs { of_function, of_line } do
    entry.self, entry.interpreted = entry.self + stack.count, entry.interpreted + stack.interpreted
    if last ~= inner then entry.within[last.text] = (entry.within[last.text] or 0) + stack.count end
  end
  of_line.total = of_line.total + stack.count
  return true
end

--- { samples, own = samples outside of the user's code, interpreted, functions, lines }: arrays of { text, self, total,
--- interpreted, within }, the largest first. `self` includes what libraries took.
function samples.sum(self)
  local functions, lines, all, own, interpreted = {}, {}, 0, 0, 0
  for _, stack in ipairs(self.stacks) do
    all, interpreted = all + stack.count, interpreted + stack.interpreted
    if not add_stack(stack, functions, lines) then own = own + stack.count end
  end
  functions, lines = sorted(functions), sorted(lines)
  for _, list in ipairs { functions, lines } do
    for _, entry in ipairs(list) do entry.within = most_within(entry) end
  end
  return { samples = all, own = own, interpreted = interpreted, functions = functions, lines = lines }
end

-- Each place and reason once; a loop that is interpreted counts more than a branch of it. That code which could not be
-- compiled is called is worth a line only where nothing says why it could not.
local function distinct(traces)
  local known, list, explained = {}, {}, false
  for _, trace in ipairs(traces) do
    local key = trace.where .. "\n" .. trace.reason
    explained = explained or trace.reason ~= "blacklisted"
    if not known[key] or trace.kind == "loop" then known[key] = trace end
  end
  for _, trace in pairs(known) do
    if trace.reason ~= "blacklisted" or not explained then list[#list + 1] = trace end
  end
  return list
end

--- What stands in the way of compiling, each place and reason once, those whose lines take most time first.
function samples.obstacles(self, lines)
  local weight, list = {}, distinct(self.traces)
  for _, line in ipairs(lines) do weight[line.key] = line.self end
  table.sort(list, function(a, b)
    local x, y = weight[a.where] or 0, weight[b.where] or 0
    if x ~= y then return x > y end
    if a.where ~= b.where then return a.where < b.where end
    return a.reason < b.reason
  end)
  return list
end

return samples
