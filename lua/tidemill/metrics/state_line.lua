-- SPDX-License-Identifier: MIT
-- metrics/state_line.lua: the value of a key in a state as a line of JSON, for `tidemill state` and GET
-- /state/NAME/KEY: {"state":,"partition":,"key":,"value":,"expires_ms":,"timer_ms":}. What is no text is in base64, and
-- its name ends in _base64.
local bit = require("bit")
local ffi = require("ffi")
local base64 = require("tidemill.lib.base64")
local json = require("tidemill.run.json")
local C = require("tidemill.run.ffi").C

local state_line = {}

local encode = json.encode

-- A string of Lua as a member.
local function member(name, text)
  local done, quoted = pcall(encode, text)
  if done then return ('"%s":%s'):format(name, quoted) end
  return ('"%s_base64":"%s"'):format(name, base64.encode(text))
end

-- Of the value: its kind and its bytes, without the timer that may stand before them.
local function parts_of(value)
  local bytes = ffi.string(value.bytes, value.length)
  if bit.band(value.kind, C.TIDE_STATE_TIMED) == 0 then return value.kind, bytes end
  return value.kind - C.TIDE_STATE_TIMED, bytes:sub(C.TIDE_STORE_TIMER + 1)
end

local function value_of(kind, bytes)
  if kind == C.TIDE_STATE_STRING then return member("value", bytes) end
  if kind == C.TIDE_STATE_NUMBER then
    return '"value":' .. encode(ffi.cast("const double *", ffi.cast("const char *", bytes))[0])
  end
  return '"value":' .. (kind == C.TIDE_STATE_NONE and "null" or bytes)
end

--- value: struct tide_store_value. Without `whole` the line has the number of its bytes in place of the value.
function state_line.of(state, partition, key, value, whole)
  local expires = value.expires_ms > 0 and (',"expires_ms":%.0f'):format(tonumber(value.expires_ms)) or ""
  local at, kind, bytes = tonumber(C.tide_store_timer_of(value)), parts_of(value)
  return ('{"state":"%s","partition":%d,%s,%s%s%s}\n'):format(state, partition, member("key", key),
    whole and value_of(kind, bytes) or ('"bytes":%d'):format(#bytes), expires,
    at > 0 and (',"timer_ms":%.0f'):format(at) or "")
end

--- True when the value is there at this moment (ms since the epoch).
function state_line.lives(value, now_ms)
  return value.expires_ms <= 0 or value.expires_ms > now_ms
end

return state_line
