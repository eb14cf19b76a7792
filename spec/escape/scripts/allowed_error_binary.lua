-- SPDX-License-Identifier: MIT
-- It raises an error whose text would move the cursor, end lines and close a JSON string.
return { stopped_by = { "full", "standard", "hardened" }, attack = function()
  error("\27[2J\27]0;title\7\r\n\"}\0\255\254 WARN forged", 0)
end }
