-- SPDX-License-Identifier: MIT
-- metrics/server.lua: the HTTP server (engine/http/http.h) as a Lua object, with its live requests.
local ffi = require("ffi")
local tide = require("tidemill.run.ffi")
local C = tide.C

local server = {}
local Server = {}
Server.__index = Server

local NDJSON = "application/x-ndjson"

--- Listens on address { host, port, text }; `hosts` are further names of this machine. Returns the server, or nil, the
--- reason and the exit code.
function server.new(address, hosts)
  local status = ffi.new "int[1]"
  local handle = C.tide_http_new(address.host, address.port, status)
  if handle == nil then return nil, tide.error(), -status[0] end
  for _, name in ipairs(hosts or {}) do C.tide_http_allow(handle, name) end
  return setmetatable({ handle = ffi.gc(handle, C.tide_http_free), handlers = {}, open = {},
    port = C.tide_http_port(handle), everywhere = C.tide_http_everywhere(handle),
    request = ffi.new "struct tide_http_request" }, Server)
end

--- What GET `path` answers from now on: a string, or a pointer and its `size`. It is copied.
function Server:publish(path, type, text, size)
  if C.tide_http_publish(self.handle, path, type, text, size or #text) < 0 then error(tide.error(), 0) end
end

local function decoded(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- "a=1&b=x%20y" -> { a = "1", b = "x y" }; a name without "=" is "".
function server.query(text)
  local query = {}
  for pair in text:gmatch("[^&]+") do
    local name, value = pair:match("^([^=]*)=(.*)$")
    query[decoded(name or pair)] = decoded(value or "")
  end
  return query
end

--- Answers requests of `path` in pieces. For each, handler(request) is called at the next turn: { path, query (by
--- name), write, finish, refuse }. request:write(text) returns "taken", "full" (the client is too slow, nothing of the
--- text is sent) or "gone" (the client has left: finish it); an empty text only asks for that. request:finish(code)
--- ends the answer; the code is used when nothing was written; request:refuse(code, text) is the same with a line of
--- text. `type` is the media type, JSON lines without it. A path that ends with "/" stands for all that begin with it;
--- request.rest is what is behind, as it was sent.
function Server:live(path, handler, type)
  if C.tide_http_offer(self.handle, path, type or NDJSON) < 0 then error(tide.error(), 0) end
  self.handlers[path] = handler
end

local WRITTEN = { [C.TIDE_HTTP_TAKEN] = "taken", [C.TIDE_HTTP_FULL] = "full", [C.TIDE_HTTP_GONE] = "gone" }
local Request = {}
Request.__index = Request

function Request:write(text)
  return WRITTEN[tonumber(C.tide_http_write(self.server.handle, self.id, text, #text))]
end

--- Ends the answer, before anything was written, with a status and a line of text.
function Request:refuse(code, text)
  if not self.server.open[self] then return end
  self.server.open[self] = nil
  C.tide_http_refuse(self.server.handle, self.id, code, (text:gsub("%c", "?"))) -- a query may hold anything
end

function Request:finish(code)
  if not self.server.open[self] then return end
  self.server.open[self] = nil
  C.tide_http_end(self.server.handle, self.id, code or 200)
end

--- Called once a turn: hands new live requests to their handlers.
function Server:turn()
  local c = self.request
  while C.tide_http_next(self.handle, c) do
    local path = ffi.string(c.path)
    local request = setmetatable({ server = self, id = c.id, path = path, rest = ffi.string(c.rest),
      query = server.query(ffi.string(c.query)) }, Request)
    self.open[request] = true
    local done, reason = xpcall(self.handlers[path], debug.traceback, request)
    if not done then -- messages go on
      C.tide_log_text("TIDE_LOG_ERROR", ("GET %s: %s"):format(path, tostring(reason)))
      request:finish(500)
    end
  end
end

--- True while there are live requests: then turns are to be short.
function Server:busy()
  return next(self.open) ~= nil
end

--- What probes are told: whether it is ready, or why not.
function Server:alive(ready, text)
  C.tide_http_alive(self.handle, ready, text)
end

function Server:free()
  if self.handle then C.tide_http_free(ffi.gc(self.handle, nil)) end
  self.handle = nil
end

return server
