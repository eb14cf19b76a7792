-- SPDX-License-Identifier: MIT
-- A page of the documents, played: its files (a block that begins with "-- PATH") are written and its commands (lines
-- of console blocks that begin with "$ ") are typed into one shell, in order. A command that only looks, at a pipeline
-- that runs meanwhile, is typed again until its answer is that of the text, for a minute at most.
local files = require "spec.house.files"
local installed = require "spec.support.installed"
local process = require "spec.support.process"

local page = {}

local LOOKING = { "curl ", "grep ", "tidemill dlq list", "tidemill record" }

local HEAD = [[
trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT
trap 'exit 143' TERM
here=$PWD
type() { eval "$2" >"$here/$1.out" 2>&1; }
look() {
  for try in {1..600}; do
    type "$1" "$2"
    cmp -s "$here/$1.out" "$here/$1.wanted" && return
    sleep 0.1
  done
}
]]

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

-- Without the time that something took.
local function timeless(text)
  return (text:gsub(": %d+%.%d+ seconds", ""))
end

local function looks(command)
  for _, head in ipairs(LOOKING) do
    if command:sub(1, #head) == head then return true end
  end
  return false
end

-- The shell's script, and the commands { typed =, answer = } in order.
local function script_of(text)
  local script, commands = { HEAD }, {}
  for language, block in text:gmatch "\n```(%l+)\n(.-\n)```" do
    local path, rest = block:match "^%-%- (%S+%.%l+)\n(.*)$"
    if path then
      script[#script + 1] = ("cat >%s <<'END'\n%sEND\n"):format(path, path:find "%.lua$" and block or rest)
    end
    for typed, answer in (language == "console" and block or ""):gmatch "%$ ([^\n]+)\n([^$]*)" do
      commands[#commands + 1] = { typed = typed, answer = answer }
      script[#script + 1] = ("%s %d %s\n"):format(looks(typed) and "look" or "type", #commands, quote(typed))
    end
  end
  return table.concat(script), commands
end

--- Types the commands of such a text in a folder: what it shows, what came, and what the shell said beside it.
--- env is added to the environment; the folder `bin` comes first in PATH.
function page.play(text, folder, bin, env)
  local script, commands = script_of(text)
  local path = { bin, os.getenv "PATH" }
  if text:find("$ curl", 1, true) then path[#path + 1] = installed.curl():match "^(.*)/" end
  for i, command in ipairs(commands) do write(("%s/%d.wanted"):format(folder, i), command.answer) end
  env.PATH = table.concat(path, ":")
  env.LD_PRELOAD = false -- a sanitizer's library, with which curl does not end
  local _, _, err = process.run({ "bash", "-c", script }, { cwd = folder, timeout = 240, env = env })
  local wanted, found = {}, {}
  for i, command in ipairs(commands) do
    local typed = "$ " .. command.typed .. "\n"
    wanted[i], found[i] = typed .. command.answer, typed .. files.read(("%s/%d.out"):format(folder, i))
  end
  return timeless(table.concat(wanted)), timeless(table.concat(found)), err
end

return page
