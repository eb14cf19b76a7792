-- SPDX-License-Identifier: MIT
-- run/targets.lua: the topics that a result may choose, which are those that produce names.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local shown = require("tidemill.run.check").shown

local targets = {}

local topics -- struct tide_topics *

--- Topic name -> number.
targets.numbers = {}

--- `handle` is the engine's table of topics, `names` those that a result may choose.
function targets.use(handle, names)
  topics = handle
  for _, name in ipairs(names) do targets.numbers[name] = C.tide_topics_number(handle, name) end
end

--- The name of any topic of the engine.
function targets.name_of(number)
  local name = C.tide_topics_shared_name(topics, number)
  return name ~= nil and ffi.string(name) or nil
end

--- Refuses what is no name of a target, at the level of the checks in run/check.lua.
function targets.check(new)
  if new ~= nil and targets.numbers[new] then return new end
  local known = {}
  for name in pairs(targets.numbers) do known[#known + 1] = '"' .. name .. '"' end
  table.sort(known)
  error(("topic %s is none that produce names (%s)"):format(
    type(new) == "string" and '"' .. new .. '"' or shown(new), known[1] and table.concat(known, ", ") or "it has none"),
    4)
end

return targets
