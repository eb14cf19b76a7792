-- SPDX-License-Identifier: MIT
-- run/tap.lua: a tap of an engine as a Lua object; it only wraps engine/chain/tap.h, which says what a sample is.
local ffi = require("ffi")
local library = require("tidemill.run.ffi")
local C = library.C

local tap = {}
local Tap = {}
Tap.__index = Tap

local FIELDS = { key = C.TIDE_TAP_KEY, header = C.TIDE_TAP_HEADER, value = C.TIDE_TAP_VALUE, topic = C.TIDE_TAP_TOPIC,
  partition = C.TIDE_TAP_PARTITION, offset = C.TIDE_TAP_OFFSET, fate = C.TIDE_TAP_FATE }

--- The fates by name: the numbers that a condition on the fate takes.
tap.fates = { forwarded = C.TIDE_FATE_FORWARDED, filtered = C.TIDE_FATE_FILTERED,
  accumulated = C.TIDE_FATE_ACCUMULATED, rejected = C.TIDE_FATE_REJECTED, retry = C.TIDE_FATE_RETRY,
  waits = C.TIDE_FATE_WAITS, dropped = C.TIDE_FATE_DROPPED }

--- How many taps an engine may have at once, and conditions one tap.
tap.MOST, tap.MOST_CONDITIONS = C.TIDE_TAPS, C.TIDE_TAP_CONDITIONS

local function conditions_of(list)
  local array = ffi.new("struct tide_tap_condition[?]", #list + 1)
  for i, condition in ipairs(list) do
    local c = array[i - 1]
    c.field, c.contains, c.name = FIELDS[condition.field], condition.contains or false, condition.name
    c.text, c.text_length = condition.text, condition.text and #condition.text or 0
    c.least, c.most = condition.least or 0, condition.most or 0
  end
  return array
end

--- Arms a tap. options: step (1 is the first step that runs in workers; 0, the default, all), rate (samples a second),
--- value_limit (bytes), conditions (an array of { field = name, contains =, name =, text =, least =, most = } as in
--- struct tide_tap_condition). Returns the tap, or nil and the reason.
function tap.arm(engine, options)
  local conditions = options.conditions or {}
  local array = conditions_of(conditions)
  local plan = ffi.new("struct tide_tap_plan", { step = options.step or 0, rate = options.rate,
    value_limit = options.value_limit, condition_count = #conditions, conditions = array })
  local taps = C.tide_engine_taps(engine.handle)
  local number = C.tide_taps_arm(taps, plan)
  if number < 0 then return nil, library.error() end
  return setmetatable({ taps = taps, number = number, sample = ffi.new "struct tide_tap_sample",
    counted = ffi.new "struct tide_tap_counts" }, Tap)
end

--- Returns the oldest sample as a line of JSON, or nil.
function Tap:take()
  if not C.tide_taps_take(self.taps, self.number, self.sample) then return nil end
  return ffi.string(self.sample.text, self.sample.length)
end

--- Returns { passed, examined, matched, sampled, lost }.
function Tap:counts()
  C.tide_taps_counts(self.taps, self.number, self.counted)
  local counts = {}
  for _, name in ipairs { "passed", "examined", "matched", "sampled", "lost" } do
    counts[name] = tonumber(self.counted[name])
  end
  return counts
end

--- The engine must still be there.
function Tap:disarm()
  C.tide_taps_disarm(self.taps, self.number)
end

return tap
