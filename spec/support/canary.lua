-- SPDX-License-Identifier: MIT
-- What hostile scripts are after, and whether they got it: a file with random words, a secret in the environment, the
-- folders around them, the processes of the run. A canary is a table:
--   root, folder    all of it; the pipeline's folder, with spec/escape in it
--   file, made      the canary file; a path beside it where nothing is
--   token           a word that is in the name of whatever scripts make elsewhere
--   words, secret   what is in the file; what the variable `variable` of the environment holds
--   port, socket    where something listens (spec/support/listeners.lua)
local listeners = require "spec.support.listeners"
local pipeline_file = require "spec.support.pipeline_file"
local program = require "spec.support.program"

local canary = {}
canary.__index = canary

canary.VARIABLE = "TIDE_SPEC_SECRET"

local random = assert(io.open("/dev/urandom", "rb"))

local function word(letter)
  return letter .. random:read(12):gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function run(command)
  assert(os.execute(command) == 0, command)
end

-- Prints the processes whose command line names the folder of the canary, and what there is of files. The name is in a
-- file, so that it is not in the command line of what looks for it.
local LOOK = [[
grep -lasF -f %s /proc/[0-9]*/cmdline
echo files
cd %s || exit
stat -c '%%n %%F %%a %%u %%g %%s %%i %%h %%Y %%Z' canary canary/* pipeline/readable
ls -A canary pipeline pipeline/scripts
cat canary/file pipeline/readable
ls -d /tmp/*%s* /dev/shm/*%s* 2>/dev/null
]]

--- Makes all of it. Its folder is one of pipeline_file, which removes it.
function canary.new()
  local self = setmetatable({ root = pipeline_file.folder(), secret = word "s", variable = canary.VARIABLE }, canary)
  self.token = word "t"
  self.folder, self.file, self.made = self.root .. "/pipeline", self.root .. "/canary/file", self.root .. "/canary/made"
  self.socket = self.root .. "/socket"
  run(("mkdir %s/pipeline && cp -r spec/escape/*.lua spec/escape/scripts %s/pipeline"):format(self.root, self.root))
  run(("cp %s/tidemill_memory.so %s/library.so"):format(program.build, self.folder))
  local compiled = string.dump(function() return function() return "bytecode ran" end end)
  write(self.folder .. "/compiled.lua", compiled)
  write(self.folder .. "/compiled.sh", "#!/bin/sh\n" .. compiled)
  run(("ln -s %s %s/old_link"):format(self.file, self.folder))
  self.port, self.close, self.was_reached = listeners.open(self.socket, self.token)
  self.look_path, self.name_path = os.tmpname(), os.tmpname()
  write(self.name_path, self.root:match "[^/]+$" .. "\n")
  write(self.look_path, LOOK:format(self.name_path, self.root, self.token, self.token))
  self:restore()
  return self
end

--- Puts the files back as they were, after a script that has escaped.
function canary:restore()
  self.words = ("%s %s\n"):format(word "c", word "c")
  run(("rm -rf %s/canary %s/link %s/hard %s/made.lua /tmp/%s /dev/shm/%s"):format(self.root, self.folder,
    self.folder, self.folder, self.token, self.token))
  run(("mkdir %s/canary"):format(self.root))
  write(self.file, self.words)
  write(self.folder .. "/readable", "may be read\n")
  self.files = select(2, self:look())
end

--- The processes of the run, { [pid] = true }, and what there is of files, as text.
function canary:look()
  local pipe = assert(io.popen("sh " .. self.look_path))
  local text = pipe:read "*a"
  pipe:close()
  local pids, processes = {}, text:match "^(.-)files\n"
  for pid in processes:gmatch "/proc/(%d+)/" do pids[tonumber(pid)] = true end
  return pids, text:sub(#processes + 1)
end

--- A word of the file, or the secret, in a text that scripts may write to; nil when there is none.
function canary:leak(text)
  for one in self.words:gmatch "%w+" do
    if text:find(one, 1, true) then return "a word of the canary file" end
  end
  return text:find(self.secret, 1, true) and "the secret" or nil
end

--- The message that has the script `name` attack this canary. `more` = what else it is told, by name.
function canary:message(name, more)
  local parts = { "attack", name }
  local told = { canary = self.file, made = self.made, folder = self.folder, token = self.token, port = self.port,
    broker = self.port, socket = self.socket, variable = self.variable }
  for key, value in pairs(more) do told[key] = value end
  for key, value in pairs(told) do parts[#parts + 1] = key .. "=" .. value end
  return table.concat(parts, " ")
end

function canary:remove()
  self.close()
  os.remove(self.look_path)
  os.remove(self.name_path)
  os.execute(("rm -rf /tmp/%s /dev/shm/%s"):format(self.token, self.token))
end

return canary
