-- SPDX-License-Identifier: MIT
-- cli/try/commands.lua: the lines of `tidemill try` that begin with a colon. Each command is a function of the try
-- (cli/try.lua) and of what stands behind its name.

local commands = {}

local function say(try, text, ...)
  try:say(select("#", ...) > 0 and text:format(...) or text)
end

-- { name, arguments, what it does }
local HELP = {
  { ":help", "", "shows this" },
  { ":again", "", "runs the last message once more" },
  { ":next", "", "runs the next message of --input; so does an empty line" },
  { ":key", "[TEXT]", "the key of messages from now on; without TEXT none" },
  { ":header", "[NAME TEXT]", "adds a header to messages from now on; without NAME all are taken away" },
  { ":step", "[N]", "shows step N only; without N all steps" },
  { ":time", "", "says how long functions took for the last message" },
  { ":load", "", "loads the pipeline again (done by itself when a file is changed)" },
  { ":quit", "", "ends; so does Ctrl-D" },
}

function commands.help(try)
  local lines = { "A line is a message's value; JSON may be spread over several lines, and an empty line ends it.",
    'A JSON object like {"key":"k","headers":[{"name":"h","value":"1"}],"value":"v"} is a whole message.',
    "A line that begins with two colons is a value that begins with one." }
  for _, row in ipairs(HELP) do lines[#lines + 1] = ("  %-8s %-12s %s"):format(unpack(row)) end
  say(try, "%s", table.concat(lines, "\n"))
end

function commands.again(try)
  if not try.last then return say(try, "there is no message yet") end
  try:run(try.last)
end

function commands.next(try)
  try:next()
end

function commands.key(try, text)
  try.key = text ~= "" and text or nil
  say(try, "%s", try.key and "key: " .. text or "no key")
end

function commands.header(try, text)
  local name, value = text:match("^(%S+)%s?(.*)$")
  if not name then
    try.headers = {}
    return say(try, "no headers")
  end
  try.headers[#try.headers + 1] = { name, value }
  say(try, "header %s: %s", name, value)
end

function commands.step(try, text)
  if not try.loaded then return say(try, "the pipeline is not loaded, so its steps are not known") end
  local number = text == "" and 0 or tonumber(text)
  if not number or number % 1 ~= 0 or number < 0 or number > try.session.steps then
    return say(try, ":step takes a number from 1 to %d, got %s", try.session.steps, text)
  end
  try.step = number > 0 and number or nil
  say(try, "%s", try.step and ("step %d of %d"):format(number, try.session.steps) or "all steps")
end

function commands.time(try)
  if not try.seconds then return say(try, "there is no message yet") end
  say(try, "functions took %.3f ms", try.seconds * 1000)
end

function commands.load(try)
  try:load()
end

function commands.quit(try)
  try.over = true
end

--- Runs a line such as ":key abc".
function commands.run(try, line)
  local name, rest = line:match("^:(%S*)%s*(.-)%s*$")
  local command = name ~= "run" and commands[name]
  if not command then return say(try, "there is no :%s; :help shows what there is", name) end
  command(try, rest)
end

return commands
