-- SPDX-License-Identifier: MIT
-- plan/text_file.lua: opens a file of messages that is read by lines.
local text_file = {}

--- Opens a file to be read by lines. Returns it, or nil and the reason, which names the path. A folder can be opened
--- but not read, so that is tried here.
function text_file.open(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local _, unread = file:read(0)
  if not unread then return file end
  file:close()
  return nil, path .. ": " .. unread
end

return text_file
