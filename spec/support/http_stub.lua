-- SPDX-License-Identifier: MIT
-- An HTTP server on 127.0.0.1 in a process of its own, for specs of tide.http and tide.registry. It keeps connections
-- open, and serves several at once.
local socket = require "socket"
local child = require "spec.support.child"

local http_stub = {}

-- Takes a whole request off what has come: method, path, headers, body, the rest; nil when it is not whole.
local function taken(bytes)
  local head, from = bytes:match "^(.-\r\n)\r\n()"
  if not head then return nil end
  local method, path = head:match "^(%u+) (%S+)"
  local headers = {}
  for name, value in head:gmatch "\r\n([^:\r\n]+): *([^\r\n]*)" do headers[name:lower()] = value end
  local size = tonumber(headers["content-length"] or 0)
  if #bytes < from + size - 1 then return nil end
  return method, path, headers, bytes:sub(from, from + size - 1), bytes:sub(from + size)
end

-- Answers what is whole on a connection. False when it is to be closed.
local function serve(one, handler)
  local bytes, problem, part = one.socket:receive(65536)
  one.bytes = one.bytes .. (bytes or part or "")
  while true do
    local method, path, headers, body, rest = taken(one.bytes)
    if not method then break end
    one.bytes = rest
    local status, answer, more = handler(method, path, headers, body, one.number)
    if status == "close" then return false end
    if status then
      one.socket:settimeout(10)
      one.socket:send(("HTTP/1.1 %d Stub\r\nContent-Length: %d\r\n%s\r\n%s"):format(status, #answer, more or "",
        method == "HEAD" and "" or answer))
      one.socket:settimeout(0)
    end
  end
  return problem ~= "closed"
end

--- Starts it; returns the port. `handler(method, path, headers, body, number of the connection)` returns the status,
--- the body and further lines of the head; nil: no answer at all; "close". child.stop_all() ends it. `port`: as before.
function http_stub.start(handler, port)
  local listener = assert(socket.bind("127.0.0.1", port or 0))
  local _, own = listener:getsockname()
  child.start(function()
    local all, count = { [listener] = true }, 0
    while true do
      local list = {}
      for each in pairs(all) do list[#list + 1] = each end
      for _, ready in ipairs((socket.select(list))) do
        if ready == listener then
          local accepted = listener:accept()
          accepted:settimeout(0)
          count = count + 1
          all[accepted] = { socket = accepted, bytes = "", number = count }
        elseif not serve(all[ready], handler) then
          all[ready] = nil
          ready:close()
        end
      end
    end
  end)
  listener:close()
  return tonumber(own)
end

--- A handler that speaks the documented API of a schema registry (Confluent, "Schema Registry API Reference"), with
--- a count of its requests at /count. `more`: schemas of Protocol Buffers by number, as descriptors in base64.
--- A schema that is registered has `references`, and with schemaType PROTOBUF the descriptor of its file in base64 as
--- its text. Numbers from 300 to 599 are answered by that status, without a body of a registry.
function http_stub.registry(more)
  local cjson = require "cjson"
  local by_id, versions, count = {}, {}, 0
  for id, text in pairs(more or {}) do by_id[id] = { schema = text, schemaType = "PROTOBUF" } end
  local function failure(status, code, message)
    return status, cjson.encode { error_code = code, message = message }
  end
  local function register(subject, body)
    local ok, request = pcall(cjson.decode, body)
    if not ok or type(request.schema) ~= "string" then return failure(422, 42201, "Invalid schema") end
    for id, one in pairs(by_id) do
      if one.schema == request.schema then return 200, cjson.encode { id = id } end
    end
    by_id[#by_id + 1] = { schema = request.schema, schemaType = request.schemaType, references = request.references }
    versions[subject] = versions[subject] or {}
    table.insert(versions[subject], #by_id)
    return 200, cjson.encode { id = #by_id }
  end
  -- The answer has no schemaType for Avro (or null, as some registries say), and the text of a .proto file unless a
  -- descriptor is asked for.
  local function shown(id, query, rest)
    local one = by_id[id]
    rest.schemaType = one.schemaType or rest.subject and cjson.null
    rest.references, rest.schema = one.references or rest.subject and cjson.null, one.schema
    if one.schemaType and not query:find("format=serialized", 1, true) then rest.schema = "syntax ..." end
    return 200, cjson.encode(rest)
  end
  local function version(subject, list, name, query)
    if not list then return failure(404, 40401, "Subject '" .. tostring(subject) .. "' not found.") end
    local number = name == "latest" and #list or tonumber(name)
    if not number then return failure(422, 42202, "The specified version '" .. name .. "' is not valid") end
    if not list[number] then return failure(404, 40402, "Version " .. name .. " not found.") end
    return shown(list[number], query, { subject = subject, version = number, id = list[number] })
  end
  return function(method, path, headers, body)
    if path == "/count" then return 200, tostring(count) end
    count = count + 1
    local who = headers.authorization
    if who and who ~= "Basic YW5uOnNlY3JldA==" and who ~= "Basic YW5uOnBAOnM=" and who ~= "Bearer abc" then
      return failure(401, 40101, "Unauthorized")
    end
    local query
    path, query = path:match "^([^?]*)(.*)$"
    local id = tonumber(path:match "^/schemas/ids/(%d+)$")
    if id and by_id[id] then return shown(id, query, {}) end
    if id and id >= 300 and id < 600 then return id, "<html>oops" end
    if id then return failure(404, 40403, "Schema " .. id .. " not found") end
    local subject, rest = path:match "^/subjects/([^/]+)/versions(.*)$"
    if not subject then return failure(404, 404, "HTTP 404 Not Found") end
    if method == "POST" and subject and rest == "" then return register(subject, body) end
    return version(subject, versions[subject], rest:sub(2), query)
  end
end

return http_stub
