-- SPDX-License-Identifier: MIT
-- cli/http_client.lua: asks a running pipeline over HTTP, for the commands that take an ADDR (top, doctor, tap ...).
-- lua-socket speaks HTTP, over a connection with limits of time and size; this file adds the form of an address, and
-- errors that name it. A function that fails returns nil, the reason and the exit code:
--   64  what was given is no address
--   69  nobody answers there, or the answer does not come in time, or ends early
--   65  somebody answers, but not as a running pipeline does
local cjson = require("cjson.safe").new()
local exit_code = require("tidemill.plan.exit_code")

local http_client = {}

local PATIENCE = 3 -- seconds for an answer, and for each part of it
local LARGEST = 64 * 2 ^ 20 -- bytes of a document
local LONGEST = 2 ^ 20 -- bytes of a line of a stream: the server has no room for a longer one
local ADDRESS_HELP = '"%s" is not an address; write HOST:PORT, as 127.0.0.1:9464'

--- What a reason says when an answer did not come in time.
http_client.LATE = "no answer in time"

local WORDS = {
  ["connection refused"] = "nobody listens there; does the pipeline run with --metrics-addr, or with metrics in its "
    .. "file?",
  ["host or service not provided, or not known"] = "this host is not known",
  ["timeout"] = http_client.LATE,
  ["wantread"] = http_client.LATE,
  ["closed"] = "the connection was closed before the answer was complete",
}

-- What only something else than a pipeline answers. lua-socket's own words are spelled as they are there.
local NO_PIPELINE = { ["a line of the answer is too long"] = true, ["a part of the answer is too large"] = true,
  ["a line of the answer begins with a blank"] = true, ["the document is too large"] = true,
  ["a line is too large"] = true, ["malformed reponse headers"] = true, ["invalid chunk size"] = true }

-- A server's text, made fit for a line on a terminal.
local function shown(text)
  return (tostring(text):gsub("%c", "?"):sub(1, 200))
end

--- Returns the address "HOST:PORT" of what people write: "127.0.0.1:9464", ":9464" (this machine), "[::1]:9464", or a
--- URL "http://127.0.0.1:9464/".
function http_client.address(text)
  local plain = text:gsub("^http://", ""):gsub("/$", "")
  local host, port = plain:match("^(%[[%x:.]+%]):(%d+)$")
  if not host then host, port = plain:match("^([%w._-]*):(%d+)$") end
  port = tonumber(port)
  if not port or port < 1 or port > 65535 then
    return nil, ADDRESS_HELP:format(shown(text)), exit_code.USAGE
  end
  return ("%s:%d"):format(host ~= "" and host or "127.0.0.1", port)
end

-- A sink that hands whole lines to `each`. It ends the request when `each` returns false.
local function line_sink(each, ended)
  local rest = ""
  return function(chunk)
    if not chunk then return 1 end
    rest = rest .. chunk
    local from = 1
    while true do
      local at = rest:find("\n", from, true)
      if not at then break end
      if each(rest:sub(from, at - 1)) == false then
        ended.wanted = true
        return nil, "ended"
      end
      from = at + 1
    end
    rest = rest:sub(from)
    if #rest > LONGEST then return nil, "a line is too large" end
    return 1
  end
end

local function body_sink(parts)
  local size = 0
  return function(chunk)
    size = size + #(chunk or "")
    if size > LARGEST then return nil, "the document is too large" end
    parts[#parts + 1] = chunk
    return 1
  end
end

-- One GET, with the limits of cli/http_connection.lua. True, or nil, reason, code.
local function request(address, path, sink, limits)
  -- Only here: every command reads this file, and most need no socket.
  local http, http_connection = require("socket.http"), require("tidemill.cli.http_connection")
  local url = "http://" .. address .. path
  -- lua-socket raises errors of its own for answers of a form that it does not expect.
  local whole, done, status, headers = pcall(http.request, { url = url, redirect = false, sink = sink,
    headers = { ["user-agent"] = "tidemill" }, create = function() return http_connection.new(limits) end })
  if not whole and not tostring(done):find("socket/http.lua:", 1, true) then error(done, 0) end
  if not whole then done, headers = true, nil end
  if not done then
    return nil, ("http://%s: %s"):format(address, WORDS[status] or shown(status)),
      NO_PIPELINE[status] and exit_code.DATA or exit_code.UNREACHED
  end
  if not headers then
    return nil, ("http://%s: what answers there is no HTTP server"):format(address), exit_code.DATA
  end
  if status ~= 200 then
    return nil, ("%s: answered with status %s"):format(url, shown(status)), exit_code.DATA, status
  end
  return true
end

--- Returns the document at `path` as text. `seconds` (3) is how long the whole answer may take.
function http_client.get(address, path, seconds)
  local parts = {}
  local done, reason, code, status = request(address, path, body_sink(parts),
    { wait = seconds or PATIENCE, total = seconds or PATIENCE, largest = LARGEST })
  if not done then return nil, reason, code, status end
  return table.concat(parts)
end

--- Returns the JSON object at `path` as a table. null is absent there.
function http_client.json(address, path, seconds)
  local text, reason, code = http_client.get(address, path, seconds)
  if not text then return nil, reason, code end
  local value = cjson.decode(text)
  if type(value) ~= "table" then
    return nil, ("http://%s%s: the answer is not JSON; this is not a pipeline of tidemill"):format(address, path),
      exit_code.DATA
  end
  return http_client.without_null(value)
end

--- Removes JSON's null from a decoded value, so that what is unknown is nil.
function http_client.without_null(value)
  for name, inner in pairs(value) do
    if inner == cjson.null then
      value[name] = nil
    elseif type(inner) == "table" then
      http_client.without_null(inner)
    end
  end
  return value
end

--- Calls each(line) for each line of the document at `path` as it arrives (the server sends it in chunks). Ends,
--- with true, when the server ends it or when `each` returns false. silence: seconds without a line that are too many
--- (nil = wait for ever).
function http_client.lines(address, path, each, silence)
  local ended = {}
  local done, reason, code, status = request(address, path, line_sink(each, ended),
    { wait = silence, largest = LONGEST })
  if done or ended.wanted then return true end
  return nil, reason, code, status
end

--- Returns the snapshot of the pipeline at an address (GET /status), whose form metrics/snapshot.lua tells.
function http_client.status(address, seconds)
  local status, reason, code = http_client.json(address, "/status", seconds)
  if not status then return nil, reason, code end
  if status.version ~= 1 then
    return nil, ("http://%s/status: version %s of the status is not known to this tidemill; use the same version on "
      .. "both sides"):format(address, shown(status.version)), exit_code.DATA
  end
  return status
end

return http_client
