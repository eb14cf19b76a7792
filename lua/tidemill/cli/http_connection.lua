-- SPDX-License-Identifier: MIT
-- cli/http_connection.lua: a connection for lua-socket's HTTP with two limits that it does not have itself: a time for
-- the whole answer, not for each part of it, and a size of what is kept in memory at once. So a server that sends a
-- byte now and then, or a line without an end, holds nobody up. lua-socket calls connect, send, receive, settimeout and
-- close.
local socket = require("socket")

local http_connection = {}
local Connection = {}
Connection.__index = Connection

local LINE = 8192 -- bytes of a line: of the head, or the size of a chunk

--- limits: total = seconds for the whole answer (nil = no limit), wait = seconds for each part of it (nil = for ever),
--- largest = bytes of a part.
function http_connection.new(limits)
  local deadline = limits.total and socket.gettime() + limits.total
  return setmetatable({ tcp = socket.tcp(), limits = limits, deadline = deadline }, Connection)
end

-- Sets the time that the next part may take; nil and "timeout" when there is none left.
local function set_time(self)
  local left = self.deadline and self.deadline - socket.gettime()
  if left and left <= 0 then return nil, "timeout" end
  local wait = self.limits.wait
  return self.tcp:settimeout(left and wait and math.min(left, wait) or left or wait, "t")
end

--- lua-socket sets its own limit, which is that of each part.
function Connection:settimeout() -- luacheck: no self
  return 1
end

function Connection:connect(host, port)
  local set, reason = set_time(self)
  if not set then return nil, reason end
  return self.tcp:connect(host, port)
end

function Connection:send(...)
  local set, reason = set_time(self)
  if not set then return nil, reason end
  return self.tcp:send(...)
end

-- A byte after the other, from the buffer that lua-socket has.
local function line_of(self)
  local bytes = {}
  while #bytes < LINE do
    local byte
    local set, reason = set_time(self)
    if set then byte, reason = self.tcp:receive(1) end
    if not byte then return nil, reason end
    if byte == "\n" then return (table.concat(bytes):gsub("\r", "")) end
    bytes[#bytes + 1] = byte
  end
  return nil, "a line of the answer is too long"
end

--- A number of bytes, or a line behind what was read of it before.
function Connection:receive(size, before)
  if type(size) ~= "number" then
    local line, reason = line_of(self)
    -- Nobody goes on with a header in a second line any more, and lua-socket raises an error when that one is cut off.
    if line and not before and line:find("^%s") then return nil, "a line of the answer begins with a blank" end
    return line and (before or "") .. line, reason
  end
  if size > self.limits.largest then return nil, "a part of the answer is too large" end
  local set, reason = set_time(self)
  if not set then return nil, reason end
  return self.tcp:receive(size)
end

function Connection:close()
  return self.tcp:close()
end

return http_connection
