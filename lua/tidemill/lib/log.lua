-- SPDX-License-Identifier: MIT
-- lib/log.lua: tide.log.error | warn | info | debug (text, ...): a line of the engine's log, to standard error, by
-- --log-level and --log-format. With further arguments the text is a format of string.format.
local C = require("tidemill.run.ffi").C

local log = {}

local LONGEST = 8000

for name, level in pairs { error = C.TIDE_LOG_ERROR, warn = C.TIDE_LOG_WARN, info = C.TIDE_LOG_INFO,
  debug = C.TIDE_LOG_DEBUG } do
  log[name] = function(text, ...)
    text = tostring(text)
    if select("#", ...) > 0 then text = text:format(...) end
    C.tide_log_text(level, text:sub(1, LONGEST))
  end
end

return log
