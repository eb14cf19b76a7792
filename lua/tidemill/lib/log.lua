-- SPDX-License-Identifier: MIT
-- lib/log.lua: tide.log.error | warn | info | debug (text, ...) writes a line of the engine's log to standard error,
-- subject to --log-level and --log-format. With further arguments the text is a format of string.format; when it does
-- not suit its arguments, text and arguments are logged as they are, so that no message is rejected for a log line.
local C = require("tidemill.run.ffi").C
local result = require("tidemill.run.result")

local log = {}

local LONGEST = 8000

-- tostring() may call a __tostring, which may fail.
local function text_of(value)
  local done, text = pcall(tostring, value)
  return done and type(text) == "string" and text or "a " .. type(value) .. " without text"
end

local function formatted(text, ...)
  local done, line = pcall(string.format, text, ...)
  if done then return line end
  local parts = { text }
  for i = 1, select("#", ...) do parts[i + 1] = text_of((select(i, ...))) end
  return table.concat(parts, " ") .. " (" .. line .. ")"
end

for name, level in pairs { error = C.TIDE_LOG_ERROR, warn = C.TIDE_LOG_WARN, info = C.TIDE_LOG_INFO,
  debug = C.TIDE_LOG_DEBUG } do
  log[name] = function(text, ...)
    text = text_of(text)
    if select("#", ...) > 0 then text = formatted(text, ...) end
    C.tide_log_text(level, result.cut(text, LONGEST))
  end
end

return log
