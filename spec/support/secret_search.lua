-- SPDX-License-Identifier: MIT
-- Looks for a known secret where none may be: in texts, in the files of a folder, and in processes, of which the
-- environment, the command line and the memory are searched.
local ffi = require "ffi"
local posix = require "tidemill.run.posix"
local program = require "spec.support.program"
local wait = require "spec.support.wait"

local secret_search = {}

local CHUNK = 2 ^ 20

local function contents(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return text
end

--- A secret that nobody else has: `kind` says in a failure which one was found.
function secret_search.new(kind)
  return ("canary-%s-%d-%06x"):format(kind, posix.getpid(), math.random(2 ^ 24) - 1)
end

--- The first of the secrets that a text has; nil when it has none.
function secret_search.of(text, secrets)
  for _, secret in pairs(secrets) do
    if text:find(secret, 1, true) then return secret end
  end
end

-- Searches a stretch of memory; a secret may lie across the end of a piece.
local function search_stretch(memory, from, to, secrets)
  local before = ""
  if not memory:seek("set", from) then return nil end
  while from < to do
    local piece = memory:read(math.min(CHUNK, to - from))
    if not piece then return nil end
    local found = secret_search.of(before .. piece, secrets)
    if found then return found end
    from, before = from + #piece, piece:sub(-256)
  end
end

-- Blocks are left out: they hold the messages alone, and reading one would take its memory.
local function search_memory(pid, memory, secrets)
  for line in contents(("/proc/%d/maps"):format(pid)):gmatch("[^\n]+") do
    local from, to, place = line:match("^(%x+)%-(%x+) rw%-p %x+ %S+ %d+%s*(.*)$")
    local found = from and search_stretch(memory, tonumber(from, 16), tonumber(to, 16), secrets)
    if found then return ("%s in memory (%s-%s %s)"):format(found, from, to, place) end
  end
end

--- Where one of the secrets is to be found in a process, as text; nil when nowhere. The second result is whether its
--- memory could be read: that of a process that may not be traced is kept from ordinary users.
function secret_search.in_process(pid, secrets)
  for _, name in ipairs { "environ", "cmdline" } do
    local found = secret_search.of(contents(("/proc/%d/%s"):format(pid, name)), secrets)
    if found then return found .. " in " .. name, true end
  end
  -- AddressSanitizer keeps what is freed, and the environment, and has terabytes of its own.
  if program.build == "build/asan" then return nil, true end
  local memory = io.open(("/proc/%d/mem"):format(pid), "rb")
  if not memory then return nil, false end
  memory:setvbuf("no")
  local found = search_memory(pid, memory, secrets)
  memory:close()
  return found, true
end

local function link(path)
  local target = ffi.new("char[4096]")
  local length = tonumber(posix.readlink(path, target, 4096))
  return length > 0 and ffi.string(target, length) or nil
end

-- Zygotes and workers write to standard error what a script prints. A process of which not even that is to be seen is
-- kept from this user, as its memory is.
local function may_run_user_code(pid)
  local output = link(("/proc/%d/fd/1"):format(pid))
  return output == nil or output == link(("/proc/%d/fd/2"):format(pid))
end

--- Searches the zygotes and workers among these processes. Returns how many there were, and of how many the memory
--- could be read; fails when one has a secret.
function secret_search.search(pids, secrets)
  local count, read = 0, 0
  for _, pid in ipairs(pids) do
    if may_run_user_code(pid) then
      local found, is_read = secret_search.in_process(pid, secrets)
      assert(not found, ("process %d: %s"):format(pid, found))
      count, read = count + 1, read + (is_read and 1 or 0)
    end
  end
  return count, read
end

--- Searches again and again until a process has ended; `pids` returns those that belong to it. Returns how many
--- searches there were.
function secret_search.watch(process, pids, secrets)
  local count = 0
  wait.until_true(function()
    count = count + (secret_search.search(pids(), secrets))
    return not process:running()
  end, "the end of " .. process.name)
  return count
end

--- The first file below a folder that has one of the secrets, but for those with these names; nil when none has.
function secret_search.in_files(folder, secrets, but)
  local pipe = assert(io.popen(("find %s -type f"):format(folder)))
  local found
  for path in pipe:lines() do
    if not but[path:match("[^/]*$")] then found = found or secret_search.of(contents(path), secrets) and path end
  end
  pipe:close()
  return found
end

return secret_search
