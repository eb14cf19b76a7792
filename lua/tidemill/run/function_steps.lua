-- SPDX-License-Identifier: MIT
-- run/function_steps.lua: the steps filter, unfold, unbatch and window as functions of a message, so that they are
-- fused into one loop like any function of the user.
local answer = require("tidemill.run.answer")
local pack = require("tidemill.run.pack")
local runner = require("tidemill.run.runner")
local window = require("tidemill.run.window")

local function_steps = {}

local EXPAND = answer.EXPAND

local function shown(value)
  return type(value) == "nil" and "nil" or "a " .. type(value)
end

local wrappers = {}

-- Lua's truthiness decides: nil and false drop the message, as tide.drop does, anything else keeps it. An answer
-- object is no truth value: tide.reject and tide.retry mean what they mean everywhere.
function wrappers.filter(fn)
  return function(m)
    local keep = fn(m)
    if not keep then return nil end
    if type(keep) ~= "table" then return m end
    local outcome = answer.of(keep)
    if not outcome then return m end
    if outcome == EXPAND then return answer.wrong("returned tide.many; a filter only keeps a message or drops it") end
    return keep
  end
end

function wrappers.unfold(fn)
  return function(m)
    local list = fn(m)
    if type(list) ~= "table" then
      return answer.wrong(("returned %s; unfold returns an array of results"):format(shown(list)))
    end
    return answer.of(list) and list or answer.many(list)
  end
end

local function unbatch(m)
  local list, problem = pack.unpack(m.value)
  if not list then return answer.wrong(problem) end
  return answer.many(list)
end

--- { kind =, of = or options = } -> a transform as load_entry of run/transforms.lua gives it.
function function_steps.load(entry, load_entry, fail)
  if entry.kind == "unbatch" then return { process = unbatch, where = "tide.unbatch" } end
  if entry.kind == "window" then
    return { process = window.process(entry.options), where = runner.describe(entry.options.add) }
  end
  local transform = load_entry(entry.of)
  if transform.batch then fail(("%s: %s takes no batch function"):format(transform.where, entry.kind)) end
  transform.process = wrappers[entry.kind](transform.process)
  return transform
end

return function_steps
