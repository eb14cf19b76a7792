-- SPDX-License-Identifier: MIT
-- run/traces.lua: remembers, in a worker, where LuaJIT could not compile and why: what jit.v prints, kept for
-- `tidemill profile`. LuaJIT tells of a trace only while it records, and gives a loop up for good after some failures,
-- so a worker listens from its start. These events are rare: a loop that runs compiled has none. What was compiled from
-- where is told to proc/crash.c too, which has no other way to name the line of a crash in compiled code.
local jit = require("jit")
local C = require("tidemill.run.ffi").C
local funcinfo = require("jit.util").funcinfo
local traceinfo = require("jit.util").traceinfo
local tracemc = require("jit.util").tracemc
local vmdef = require("jit.vmdef")

local traces = {}

local MOST = 500 -- places that are remembered

-- Failures that are part of how LuaJIT finds its traces: something else was compiled in their place, or will be.
local HARMLESS = {
  "^inner loop in root trace", "^leaving loop in root trace", "^retry recording", "^down%-recursion",
  "^error thrown or hook called", "^NYI: return to lower frame", "^hit mcode limit", "^trace too short",
}

local flushed = 0
local failed, count -- by key: { where, began, reason, times }
local stitched -- by key: { where, name, times }: the trace goes on after a call of what is not compiled
local current, left = {}, {} -- the trace that is recorded; the function at which a trace was left, by its number

local names -- of functions of libraries, by the function

local function add_names(prefix, module)
  for name, value in pairs(module) do
    if type(value) == "function" and type(name) == "string" and not names[value] then names[value] = prefix .. name end
  end
end

--- The name of a function of a library, as "string.gsub" or "cjson.decode"; nil if it has none.
function traces.name_of(fn)
  if not names then
    names = {}
    add_names("", _G)
    for name, module in pairs(package.loaded) do
      if type(module) == "table" and name ~= "_G" then add_names(name .. ".", module) end
    end
  end
  local info = funcinfo(fn)
  local name = info.ffid and vmdef.ffnames[info.ffid]
  return name and name:gsub("_aux$", "") or names[fn] -- string.gmatch_aux is what string.gmatch returns
end

local OWN = debug.getinfo(1, "S").source:match("^@(.*)run/traces%.lua$")

--- The folder of our own files.
traces.OWN = OWN

--- The module of a chunk of ours, as "run/message"; nil for others.
function traces.own_module(source)
  if source == "=(loop)" then return "loop" end
  if source:sub(1, 1) ~= "@" or source:sub(2, #OWN + 1) ~= OWN then return nil end
  return (source:sub(#OWN + 2):gsub("%.lua$", ""))
end

--- The file of a chunk.
function traces.file_of(source)
  return (source:gsub("^[@=]", ""))
end

-- "file:line"; ours is "MODULE [tidemill]".
local function place_of(fn, pc)
  local info = funcinfo(fn, pc)
  if not info.source then return traces.name_of(fn) or "a function of C" end
  local own = traces.own_module(info.source)
  return own and own .. " [tidemill]" or ("%s:%d"):format(traces.file_of(info.source), info.currentline)
end

local function reason_of(code, detail)
  if type(code) ~= "number" then return tostring(code) end
  local format = vmdef.traceerr[code] or "unknown reason"
  if format:find("bytecode", 1, true) and type(detail) == "number" then
    return "NYI: bytecode " .. vmdef.bcnames:sub(detail * 6 + 1, detail * 6 + 6):gsub(" ", "")
  end
  if type(detail) == "function" then detail = place_of(detail) end
  return (format:gsub("%%[sd]", function() return tostring(detail) end))
end

local function add(list, key, made)
  if list[key] then
    list[key].times = list[key].times + 1
  elseif count < MOST then
    count = count + 1
    made.times, list[key] = 1, made
  end
end

local on = {}

function on.start(number, fn, pc, parent, exit)
  local where = place_of(fn, pc)
  current = { number = number, began = where, parent = parent, key = where .. "/" .. tostring(parent or "") }
  if exit == -1 and left[parent] then
    add(stitched, where .. "/" .. left[parent], { where = where, name = left[parent] })
  end
end

function on.abort(_, fn, pc, code, detail)
  local reason = reason_of(code, detail)
  for _, pattern in ipairs(HARMLESS) do
    if reason:find(pattern) then return end
  end
  local where = place_of(fn, pc)
  add(failed, current.key .. "/" .. where .. "/" .. reason, { where = where, began = current.began, key = current.key,
    reason = reason, branch = current.parent ~= nil })
end

-- What was compiled after all is no failure, but a trace that only leads back to the interpreter stands for one that
-- was given up. A trace that ends by a call that is not compiled goes on behind it.
function on.stop(number, fn)
  local ends = traceinfo(number).linktype
  for key, one in pairs(ends ~= "interpreter" and failed or {}) do
    if one.key == current.key then failed[key] = nil end
  end
  if ends == "stitch" then left[number] = place_of(fn) end
  local code, address = tracemc(number)
  if code then C.tide_crash_compiled(address, #code, current.began) end
end

function on.flush()
  left, flushed = {}, flushed + 1
  C.tide_crash_forget_compiled()
end

--- How often all compiled code was thrown away since the worker's start.
function traces.flushes()
  return flushed
end

local function event(what, ...)
  if on[what] then on[what](...) end
end

--- Begins to listen, in a worker.
function traces.listen()
  failed, stitched, count = {}, {}, 0
  jit.attach(event, "trace")
end

--- Calls each(kind, where, began, reason, times) for what was found: kind is "loop" or "branch" (interpreted from there
--- on), with the reason in LuaJIT's words; or "call", whose reason is the name of the function. What happened in our
--- own files is left out.
function traces.each(each)
  local function tell(kind, one, reason)
    if one.where:find(" [tidemill]", 1, true) then return end
    each(kind, one.where, one.began or one.where, reason, one.times)
  end
  for _, one in pairs(failed or {}) do tell(one.branch and "branch" or "loop", one, one.reason) end
  for _, one in pairs(stitched or {}) do tell("call", one, one.name) end
end

return traces
