-- SPDX-License-Identifier: MIT
-- cli/engines/link.lua: an engine's way to its supervisor (cli/engines/channel.lua has the messages). To the parts of
-- the observer it stands in for the HTTP server (metrics/server.lua) and has its functions: what they publish goes to
-- the supervisor, and requests for samples and profiles come from there.
local cjson = require("cjson").new()
local channel = require("tidemill.cli.engines.channel")
local ffi = require("ffi")
local server = require("tidemill.metrics.server")
local tide = require("tidemill.run.ffi")

local link = {}
local Link = {}
Link.__index = Link

local UNREAD = 64 -- parts of an answer that the client may not have taken yet
local PATIENCE = 2 -- seconds in which the supervisor takes the last words
local MESSAGE = { ["/metrics"] = "page", ["/status"] = "snapshot" }

--- For the engine `number`, whose end of the channel is `fd`. The fields close and wanted.NAME become true when the
--- supervisor says so, gone when there is none any more.
function link.new(fd, number)
  return setmetatable({ channel = channel.new(fd), number = number, handlers = {}, open = {}, wanted = {}, told = 0 },
    Link)
end

--- The settings of tide.metrics for this engine's observer: no server of its own, and a label to tell it from the
--- others.
function Link:settings(settings)
  local own = {}
  for name, value in pairs(settings) do own[name] = value end
  own.server, own.engine, own.tags = self, self.number, { { name = "engine", value = tostring(self.number) } }
  for _, tag in ipairs(settings.tags or {}) do table.insert(own.tags, tag) end
  return own
end

function Link:loaded()
  self.channel:send("loaded")
end

-- ---- what the observer's parts ask of a server ----

function Link:publish(path, _, text, size)
  if MESSAGE[path] then self.channel:send(MESSAGE[path], size and ffi.string(text, size) or text) end
end

function Link:live(path, handler)
  self.handlers[path] = handler
end

--- Orders are looked for at each turn, so turns are to be short.
function Link:busy() -- luacheck: no self
  return true
end

--- Once a second, and at once when it changes.
function Link:alive(ready, text)
  local now, said = tonumber(tide.C.tide_clock_us()), tostring(ready) .. text
  if said == self.said and now < self.told + 1e6 then return end
  self.said, self.told = said, now
  self.channel:send("alive", cjson.encode { state = self.state or "new", ready = ready, text = text })
end

local Request = {}
Request.__index = Request

function Request:write(text)
  if self.gone or self.link.gone then return "gone" end
  if text == "" then return "taken" end
  if self.unread >= UNREAD then return "full" end
  if not self.link.channel:send("answer", ("%d %s"):format(self.id, text)) then return "full" end
  self.unread = self.unread + 1
  return "taken"
end

local function close(self, name, text)
  if not self.link.open[self.id] then return end
  self.link.open[self.id] = nil
  self.link.channel:send(name, ("%d %s"):format(self.id, text))
end

function Request:finish(code)
  close(self, "finish", tostring(code or 200))
end

function Request:refuse(code, text)
  close(self, "refuse", ("%d %s"):format(code, text))
end

-- ---- what the supervisor says ----

local on = {}

function on.stop(self) self.close = true end

for _, name in ipairs { "reopen", "reload" } do
  on[name] = function(self, bytes) self.wanted[name] = bytes end
end

function on.request(self, bytes)
  local asked = cjson.decode(bytes)
  local request = setmetatable({ link = self, id = asked.id, path = asked.path, rest = asked.rest, unread = 0,
    query = server.query(asked.query) }, Request)
  self.open[request.id] = request
  local done, reason = xpcall(self.handlers[asked.path], debug.traceback, request)
  if done then return end
  tide.C.tide_log_text("TIDE_LOG_ERROR", ("GET %s: %s"):format(asked.path, tostring(reason)))
  request:finish(500)
end

function on.taken(self, bytes)
  local request = self.open[tonumber(bytes)]
  if request then request.unread = request.unread - 1 end
end

function on.gone(self, bytes)
  local request = self.open[tonumber(bytes)]
  if request then request.gone = true end
end

--- Called once a turn.
function Link:turn()
  self.channel:flush()
  for name, bytes in self.channel:messages() do
    if on[name] then on[name](self, bytes) end
  end
  if self.channel.ended then self.gone = true end
end

--- What the supervisor has said with "reopen" (SIGHUP) or "reload" (SIGUSR1) since this was asked last; false: nothing.
function Link:wants(name)
  local wanted = self.wanted[name]
  self.wanted[name] = nil
  return wanted or false
end

--- The end: `text`, the last snapshot as JSON (or nil), is sent with all that waits.
function Link:finish(text)
  if text then self.channel:send("snapshot", text) end
  self.channel:drain(PATIENCE)
end

function Link:free() end -- luacheck: no self

return link
