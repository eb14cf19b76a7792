-- SPDX-License-Identifier: MIT
-- A file that a process waits for: what specs use where others sleep. Fault points have the actions gate and shut for
-- it (engine/base/fault.h); a function waits for it with `while not io.open(PATH) do end`.
local wait = require "spec.support.wait"

local gate = {}
gate.__index = gate

local made = {}

--- A gate that is closed; gate.remove_all() for after_each.
function gate.new()
  local self = setmetatable({ path = os.tmpname() }, gate)
  os.remove(self.path)
  made[#made + 1] = self
  return self
end

local function is_there(path)
  local file = io.open(path)
  if file then file:close() end
  return file ~= nil
end

--- Whether a process is at the gate: at a fault point, or because it has made the file PATH.reached itself.
function gate:is_reached()
  return is_there(self.path .. ".reached")
end

--- Waits for that.
function gate:reached()
  wait.until_true(function() return self:is_reached() end, "a process at its gate")
end

function gate:open()
  assert(io.open(self.path, "w")):close()
end

function gate.remove_all()
  for _, one in ipairs(made) do
    os.remove(one.path)
    os.remove(one.path .. ".reached")
  end
  made = {}
end

return gate
