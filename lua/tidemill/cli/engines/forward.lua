-- SPDX-License-Identifier: MIT
-- cli/engines/forward.lua: the live requests of several engines, /tap, /profile and /state: the supervisor hands each
-- to the engines that it is for, and their answers to the client. A tap and a state are for all that run, or for the
-- one that the query names (engine=2); a profile is for one (engine=1 without a word).
--
-- Nobody waits: a part of an answer that the client does not take yet waits here, and the engine, which hears when it
-- is taken, sends no more than a few ahead (cli/engines/link.lua).
local cjson = require("cjson.safe").new()

local forward = {}
local Forward = {}
Forward.__index = Forward

local COUNTS = { "passed", "examined", "matched", "sent", "lost" } -- of a tap's line of counts
local LIVE = { { "/tap" }, { "/profile", "text/plain" }, { "/state/" } }

-- The engines that a request is for; or nil and the reason.
local function engines_of(self, path, query)
  local number, running = tonumber(query.engine), {}
  if query.engine and not (number and self.engines[number]) then
    return nil, ("engine=%s: there are the engines 1 to %d"):format(query.engine:sub(1, 40), #self.engines)
  end
  if path == "/profile" then number = number or 1 end
  for _, one in ipairs(self.engines) do
    if one.state == "RUNNING" and (not number or one.number == number) then running[#running + 1] = one end
  end
  if #running > 0 then return running end
  return nil, number and ("engine %d does not run now"):format(number) or "no engine runs now"
end

-- The query without `engine`, percent-encoded again.
local function query_text(query)
  local parts = {}
  for name, value in pairs(query) do
    if name ~= "engine" then
      parts[#parts + 1] = name .. "=" .. value:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end)
    end
  end
  return table.concat(parts, "&")
end

local function begin(self, request)
  local engines, reason = engines_of(self, request.path, request.query)
  if not engines then
    if request.path == "/profile" then -- its reader looks for a code
      request:write(("error\t75\t%s\n"):format(reason))
      return request:finish()
    end
    return request:refuse(409, reason)
  end
  self.last = self.last + 1
  local open = { id = self.last, request = request, left = {}, count = 0, waiting = {}, counts = {} }
  self.open[open.id] = open
  local asked = cjson.encode { id = open.id, path = request.path, rest = request.rest,
    query = query_text(request.query) }
  for _, one in ipairs(engines) do
    open.left[one.number], open.count = one, open.count + 1
    one.channel:send("request", asked)
  end
end

--- server: metrics/server.lua; engines: those of the supervisor, with number, state and channel.
function forward.new(server, engines)
  local self = setmetatable({ engines = engines, open = {}, last = 0 }, Forward)
  for _, live in ipairs(LIVE) do server:live(live[1], function(request) begin(self, request) end, live[2]) end
  return self
end

local function close(self, open, code, text)
  self.open[open.id] = nil
  if text and not open.written then open.request:refuse(code, text) else open.request:finish(code) end
end

-- An engine's part of the answer is complete. With the last one the answer is.
local function complete(self, open, number, code, text)
  if not open.left[number] then return end
  open.left[number], open.count, open.code, open.text = nil, open.count - 1, code, text
  if open.count == 0 and #open.waiting == 0 then close(self, open, open.code, open.text) end
end

-- A line of counts of one engine becomes one of all of them.
local function summed(open, number, text)
  local counts = text:sub(1, 15) == '{"tap":"counts"' and cjson.decode(text)
  if not counts then return text end
  local parts = {}
  open.counts[number] = counts
  for i, name in ipairs(COUNTS) do
    local sum = 0
    for _, one in pairs(open.counts) do sum = sum + (one[name] or 0) end
    parts[i] = ('"%s":%.0f'):format(name, sum)
  end
  return ('{"tap":"counts",%s}\n'):format(table.concat(parts, ","))
end

-- The client has left.
local function leave(self, open)
  for _, one in pairs(open.left) do one.channel:send("gone", tostring(open.id)) end
  close(self, open, 200)
end

local function deliver(self, open)
  while open.waiting[1] do
    local first = open.waiting[1]
    local written = open.request:write(first.text)
    if written == "gone" then return leave(self, open) end
    if written == "full" then return end
    open.written = true
    table.remove(open.waiting, 1)
    if open.left[first.one.number] then first.one.channel:send("taken", tostring(open.id)) end
  end
  if open.count == 0 then close(self, open, open.code, open.text) end
end

--- An engine has sent a message of the name answer, finish or refuse.
function Forward:message(one, name, bytes)
  local id, rest = bytes:match("^(%d+) (.*)$")
  local open = self.open[tonumber(id)]
  if not open then return end
  if name == "answer" then
    table.insert(open.waiting, { one = one, text = summed(open, one.number, rest) })
    return deliver(self, open)
  end
  local code, text = rest:match("^(%d+) ?(.*)$")
  complete(self, open, one.number, tonumber(code), name == "refuse" and text or nil)
end

--- An engine has ended: what it had not answered stays unanswered.
function Forward:lost(one)
  for _, open in pairs(self.open) do complete(self, open, one.number, 200) end
end

--- Called at each turn: offers what waits again, and finds out who has left.
function Forward:turn()
  for _, open in pairs(self.open) do
    if open.request:write("") == "gone" then leave(self, open) else deliver(self, open) end
  end
end

return forward
