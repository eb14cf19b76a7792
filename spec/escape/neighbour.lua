-- SPDX-License-Identifier: MIT
-- The step behind carrier.lua, whose worker is another: it turns the neighbours back into what they were.
return function(message)
  if message.value:find "^escaped" then return message end
  return message.value:reverse()
end
