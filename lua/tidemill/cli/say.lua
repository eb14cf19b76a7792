-- SPDX-License-Identifier: MIT
-- cli/say.lua: words for people, on stderr. stdout is for data.
local say = {}

--- A line as it is (faults, which begin with file:line).
function say.line(text)
  io.stderr:write(text, "\n")
end

function say.lines(texts)
  for _, text in ipairs(texts) do say.line(text) end
end

--- A line that begins with the program's name.
function say.failure(text, ...)
  say.line("tidemill: " .. (select("#", ...) > 0 and text:format(...) or text))
end

return say
