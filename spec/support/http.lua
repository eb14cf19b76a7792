-- SPDX-License-Identifier: MIT
-- An HTTP client that does what a browser never would: it sends what it is told to, byte by byte if need be. The
-- program's own client is lua/tidemill/cli/http_client.lua.
local socket = require "socket"
local wait = require "spec.support.wait"

local http = {}

local HOST = "127.0.0.1"

--- A connection; it waits at most some seconds for anything, so that a spec that fails ends.
function http.connect(port, host)
  local connection = assert(socket.connect(host or HOST, port))
  connection:settimeout(60)
  return connection
end

--- What comes until the other side closes. The second result is nil then, and "timeout" when it does not close.
function http.read_all(connection)
  local whole, reason, part = connection:receive("*a")
  if reason == "closed" then reason = nil end
  return whole or part, reason
end

--- Splits an answer into { code, headers by small letters, body (chunks put together) }.
function http.parse(text)
  local head, body = text:match("^(.-)\r\n\r\n(.*)$")
  if not head then return nil, text end
  local answer = { code = tonumber(head:match("^HTTP/1%.%d (%d+)")), headers = {}, body = body }
  for name, value in head:gmatch("\r\n([^:\r\n]+):%s*([^\r\n]*)") do answer.headers[name:lower()] = value end
  if answer.headers["transfer-encoding"] == "chunked" then
    local parts, at = {}, 1
    while true do
      local size, from = body:match("^(%x+)\r\n()", at)
      size = size and tonumber(size, 16)
      if not size or size == 0 then
        answer.complete = size == 0
        break
      end
      parts[#parts + 1] = body:sub(from, from + size - 1)
      at = from + size + 2
    end
    answer.body = table.concat(parts)
  end
  return answer
end

--- Sends a text on a connection of its own, and returns the answer (as http.parse).
function http.send(port, text)
  local connection = http.connect(port)
  connection:send(text)
  local all = http.read_all(connection)
  connection:close()
  return http.parse(all)
end

--- A request with these headers (by name).
function http.request(method, path, headers)
  local lines = { ("%s %s HTTP/1.1"):format(method, path) }
  headers = headers or {}
  if headers.Host == nil then headers.Host = HOST end
  for name, value in pairs(headers) do
    if value then lines[#lines + 1] = name .. ": " .. value end
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

--- GET, on a connection of its own.
function http.get(port, path, headers)
  return http.send(port, http.request("GET", path, headers))
end

--- Waits until GET answers with this code; returns the answer.
function http.wait_for(port, path, code)
  local answer
  wait.until_true(function()
    answer = http.get(port, path)
    return answer and answer.code == code
  end, ("%d of %s"):format(code, path))
  return answer
end

return http
