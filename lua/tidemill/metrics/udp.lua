-- SPDX-License-Identifier: MIT
-- metrics/udp.lua: sends packets to a StatsD server, and never waits for it. Its name is looked up once, at the start.
-- A packet that the system does not take at once is dropped and counted. UDP tells nothing of a host that is gone;
-- where only the port is closed, the system says so at the next packet.
local socket = require("socket")

local udp = {}
local Udp = {}
Udp.__index = Udp

local SILENCE = 60 -- seconds between two lines of the log about packets that were dropped

--- address: { host, port, text }; `warn`: a function that takes a text for the log; `now`: a function that returns
--- seconds (for specs). The fields sent and dropped count packets.
function udp.new(address, warn, now)
  local self = setmetatable({ text = address.text, warn = warn, now = now or socket.gettime, sent = 0, dropped = 0,
    told = -math.huge }, Udp)
  local found, reason = socket.dns.getaddrinfo(address.host)
  local first = found and found[1]
  if not first then
    warn(("StatsD at %s: %s; no metrics are sent there in this run"):format(self.text, reason))
    return self
  end
  self.address, self.port = first.addr, address.port
  self.socket, reason = (first.family == "inet6" and socket.udp6 or socket.udp4)()
  if not self.socket then
    warn(("StatsD at %s: %s; no metrics are sent there in this run"):format(self.text, reason))
    return self
  end
  self.socket:settimeout(0)
  return self
end

-- True, or nil and the reason. Without a way to the server (no route yet) it is tried again with each packet.
local function connect(self)
  local reason
  if not self.connected then self.connected, reason = self.socket:setpeername(self.address, self.port) end
  return self.connected, reason
end

--- Sends one packet, or drops it.
function Udp:send(packet)
  local taken, reason = nil, nil
  if self.socket then taken, reason = connect(self) end
  if taken then taken, reason = self.socket:send(packet) end
  if taken then
    self.sent = self.sent + 1
    return
  end
  self.dropped = self.dropped + 1
  if not self.socket or self.now() < self.told + SILENCE then return end
  self.told = self.now()
  self.warn(("StatsD at %s: %s; packets dropped so far: %.0f"):format(self.text, reason, self.dropped))
end

function Udp:free()
  if self.socket then self.socket:close() end
  self.socket = nil
end

return udp
