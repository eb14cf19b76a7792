-- SPDX-License-Identifier: MIT
-- run/targets.lua: the topics that a result may choose, which are those that produce names.
local ffi = require("ffi")
local C = require("tidemill.run.ffi").C
local shown = require("tidemill.run.check").shown

local targets = {}

local topics -- struct tide_topics *

--- Topic name -> number.
targets.numbers = {}

--- `handle` is the engine's table of topics, `names` those that a result may choose; `instead` (optional) is the topic
--- that stands for all of them.
function targets.use(handle, names, instead)
  topics = handle
  for _, name in ipairs(names) do targets.numbers[name] = C.tide_topics_number(handle, instead or name) end
end

--- The name of any topic of the engine.
function targets.name_of(number)
  local name = C.tide_topics_shared_name(topics, number)
  return name ~= nil and ffi.string(name) or nil
end

-- Why `new` cannot be chosen.
local function problem(new)
  local known = {}
  for name in pairs(targets.numbers) do known[#known + 1] = '"' .. name .. '"' end
  local wrong = type(new) == "string" and ('topic "%s"'):format(new)
  if #known == 0 then
    return (wrong or "message.topic") .. " cannot be chosen: this output has no topics; only produce has"
  end
  table.sort(known)
  local names = table.concat(known, ", ")
  if wrong then return ("%s is none that produce names (%s)"):format(wrong, names) end
  return ("message.topic takes a name that produce has (%s), got %s"):format(names, new == nil and "nil" or shown(new))
end

--- Refuses what is no name of a target, at the level of the checks in run/check.lua.
function targets.check(new)
  if new ~= nil and targets.numbers[new] then return new end
  error(problem(new), 4)
end

return targets
