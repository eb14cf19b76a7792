-- SPDX-License-Identifier: MIT
-- plan/text_file.lua: reads a whole file, and opens a file of messages that is read by lines.
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

--- Returns all bytes of a file, or nil and the reason, which names the path.
function text_file.read(path)
  local file, reason = io.open(path, "rb")
  if not file then return nil, reason end
  local text
  text, reason = file:read("*a")
  file:close()
  if not text then return nil, path .. ": " .. (reason or "cannot be read") end
  return text
end

return text_file
