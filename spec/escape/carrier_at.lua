-- SPDX-License-Identifier: MIT
-- A transform that runs the scripts ATTACKS when it is loaded, in `init` or in `start`, as MOMENT says, and not when a
-- message comes: what they have gained is the result of each message. These globals are those of the pipeline file.
local gains = {}

local function attack_all()
  for _, name in ipairs(ATTACKS) do -- luacheck: ignore 113
    local ok, gained = pcall(function() return require("scripts." .. name).attack(TARGET) end) -- luacheck: ignore 113
    if ok and gained then gains[#gains + 1] = name .. ": " .. tostring(gained) end
  end
end

local transform = { process = function() return table.concat(gains, ", ") .. "." end }
if MOMENT == "load" then attack_all() else transform[MOMENT] = attack_all end -- luacheck: ignore 113
return transform
