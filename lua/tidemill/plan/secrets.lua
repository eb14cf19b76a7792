-- SPDX-License-Identifier: MIT
-- plan/secrets.lua: lists the environment variables of a pipeline that are secrets. The zygote forgets them before it
-- loads the user's code.
local secret = require("tidemill.plan.secret")

local secrets = {}

--- Returns the names of the variables in lists of properties (plan/types.lua), each once. A variable counts where it
--- stands for a secret: one that names the brokers or a client is nothing to hide.
function secrets.variables(lists)
  local names, known = {}, {}
  for _, properties in ipairs(lists) do
    for _, property in ipairs(properties) do
      local hidden = secret.is(property.value) and secret.is_hidden(property.name)
      for _, part in ipairs(hidden and property.value.parts or {}) do
        if part.kind == "env" and not known[part.name] then
          known[part.name], names[#names + 1] = true, part.name
        end
      end
    end
  end
  return names
end

return secrets
