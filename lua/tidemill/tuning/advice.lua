-- SPDX-License-Identifier: MIT
-- tuning/advice.lua: the advisor of a running pipeline, as a part of its observer (metrics/observer.lua): once a second
-- it judges the last ten seconds, and at the end the whole run, and fills in snapshot.verdict.
local advisor = require("tidemill.tuning.advisor")
local window = require("tidemill.tuning.window")

local advice = {}
advice.__index = advice

local SECONDS = 10 -- of a window: long enough for a batch of slow messages, short enough to see what has changed

function advice.new(observer)
  return setmetatable({ setting = window.setting(observer.plan), seen = {}, since = 0 }, advice)
end

-- What a window needs of a snapshot: the rest of it need not be kept.
local function kept(snapshot)
  return { metrics = snapshot.metrics, totals = snapshot.totals, time = snapshot.time }
end

-- For how long the verdict has been the same.
local function age(self, verdict, time)
  local name = ("%s %s"):format(verdict.limit, verdict.step or "")
  if name ~= self.name then self.name, self.since = name, time end
  return (time - self.since) / 1000
end

--- Once a second.
function advice:second(snapshot)
  local verdict = advisor.judge(window.of(self.seen[1], snapshot, self.setting))
  verdict.since = age(self, verdict, snapshot.time)
  snapshot.verdict = verdict
  self.seen[#self.seen + 1] = kept(snapshot)
  if #self.seen > SECONDS then table.remove(self.seen, 1) end
end

--- At the end: the verdict on the whole run.
function advice:finish(snapshot)
  local whole = window.of(nil, snapshot, self.setting)
  snapshot.verdict = advisor.judge(whole)
  snapshot.verdict.since = whole.seconds
end

return advice
