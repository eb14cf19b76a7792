-- SPDX-License-Identifier: MIT
return function(message)
  message.json.seen = true
  return message
end
