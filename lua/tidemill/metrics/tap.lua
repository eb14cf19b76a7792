-- SPDX-License-Identifier: MIT
-- metrics/tap.lua: the live path /tap of a run (a part of the observer): arms a tap of the engine for each client and
-- sends it the samples as lines of JSON, with a line of counts once a second. A client that is too slow loses samples,
-- which is counted and told; one that goes away ends its tap. The query: step, rate, match1, match2, ...
local taps = require("tidemill.run.tap")
local tap_match = require("tidemill.metrics.tap_match")

local tap = {}
tap.__index = tap

--- Samples a second, and bytes of a value.
tap.RATE, tap.MOST_RATE, tap.VALUE_LIMIT = 10, 100, 16384

local SECRET = "this pipeline does not show its messages, as they may be secret: run it with --tap, or with "
  .. "metrics = tide.metrics { tap = true } in its file"

local function whole(text, least, most)
  local number = text:find("^%d+$") and tonumber(text)
  return number and number >= least and number <= most and number or nil
end

-- Returns what run/tap.lua takes, or nil and what is wrong with the query.
local function options_of(query)
  local texts = {}
  while query["match" .. #texts + 1] do texts[#texts + 1] = query["match" .. #texts + 1] end
  local conditions, reason = tap_match.all(texts)
  if not conditions then return nil, reason end
  local step, rate = whole(query.step or "0", 0, 1000), whole(query.rate or tostring(tap.RATE), 1, tap.MOST_RATE)
  if not step then return nil, ('step "%s" is no number of a step'):format(query.step) end
  if not rate then return nil, ('rate "%s": 1 to %d samples a second'):format(query.rate, tap.MOST_RATE) end
  return { step = step, rate = rate, value_limit = tap.VALUE_LIMIT, conditions = conditions }
end

--- A part of the observer; nil without HTTP.
function tap.new(observer)
  if not observer.server then return nil end
  local self = setmetatable({ observer = observer, open = {} }, tap)
  observer:live("/tap", function(request) self:begin(request) end)
  return self
end

--- A client asks.
function tap:begin(request)
  if not self.observer.settings.tap then return request:refuse(403, SECRET) end
  local options, reason = options_of(request.query)
  if not options then return request:refuse(400, reason) end
  local armed
  armed, reason = taps.arm(self.observer.engine, options)
  if not armed then return request:refuse(409, reason) end
  local client = { tap = armed, lost = 0 }
  self.open[request] = client
  self:tell(request, client)
end

local function finish(self, request)
  self.open[request].tap:disarm()
  self.open[request] = nil
  request:finish()
end

-- The line of counts, which also finds out whether the client is there.
function tap:tell(request, client)
  local counts = client.tap:counts()
  local line = ('{"tap":"counts","passed":%d,"examined":%d,"matched":%d,"sent":%d,"lost":%d}\n'):format(counts.passed,
    counts.examined, counts.matched, counts.sampled - client.lost, counts.lost + client.lost)
  if request:write(line) == "gone" then finish(self, request) end
end

-- Sends the samples that are there. What the client does not take is lost.
local function send(self, request, client)
  for line in function() return client.tap:take() end do
    local written = request:write(line .. "\n")
    if written == "gone" then return finish(self, request) end
    if written == "full" then client.lost = client.lost + 1 end
  end
end

function tap:turn()
  for request, client in pairs(self.open) do send(self, request, client) end
end

function tap:second()
  for request, client in pairs(self.open) do self:tell(request, client) end
end

--- The run ends, and with it the taps.
function tap:finish()
  self:turn()
  self:second()
  for request in pairs(self.open) do finish(self, request) end
end

return tap
