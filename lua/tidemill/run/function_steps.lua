-- SPDX-License-Identifier: MIT
-- run/function_steps.lua: filter, unfold and unbatch as functions of a message, to be fused like any other.
local message = require("tidemill.run.message")
local answer = require("tidemill.run.answer")
local pack = require("tidemill.run.pack")

local function_steps = {}

local function shown(value)
  return type(value) == "nil" and "nil" or "a " .. type(value)
end

local kinds = {}

function kinds.filter(fn)
  return function(m)
    local keep = fn(m)
    if keep == true then return m end
    if keep == false then return nil end
    if answer.retry_reason(keep) then return keep end
    return message.wrong(("returned %s; a filter returns true or false"):format(shown(keep)))
  end
end

function kinds.unfold(fn)
  return function(m)
    local list = fn(m)
    if type(list) == "table" and getmetatable(list) == nil then return message.many(list) end
    if type(list) == "table" then return list end -- tide.reject, tide.retry, tide.many
    return message.wrong(("returned %s; unfold returns an array of results"):format(shown(list)))
  end
end

local function unbatch(m)
  local list, problem = pack.unpack(m.value)
  if not list then return message.wrong(problem) end
  return message.many(list)
end

--- { kind =, of = } -> as load_entry of run/transforms.lua gives it.
function function_steps.load(entry, load_entry, fail)
  if entry.kind == "unbatch" then return { process = unbatch, where = "tide.unbatch" } end
  local transform = load_entry(entry.of)
  if transform.batch then fail(("%s: %s takes no batch function"):format(transform.where, entry.kind)) end
  transform.process = kinds[entry.kind](transform.process)
  return transform
end

return function_steps
