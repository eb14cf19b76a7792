-- SPDX-License-Identifier: MIT
local tide = require "tidemill"

return function(message, state)
  local user = state.value or { visits = 0 }
  user.visits, user.last = user.visits + 1, message.json.page
  state.value = user
  return { key = message.json.user, value = tide.json.encode(user) }
end
