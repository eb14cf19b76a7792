-- SPDX-License-Identifier: MIT
-- cli/stderr.lua: texts for people go to standard error; standard output is for data.
local stderr = {}

--- A line as it is (faults, which begin with file:line). Each argument of write would go out by itself, and the lines
--- of several processes would mix.
function stderr.line(text)
  io.stderr:write(text .. "\n")
end

function stderr.lines(texts)
  for _, text in ipairs(texts) do stderr.line(text) end
end

--- A line that begins with the program's name.
function stderr.failure(text, ...)
  stderr.line("tidemill: " .. (select("#", ...) > 0 and text:format(...) or text))
end

return stderr
