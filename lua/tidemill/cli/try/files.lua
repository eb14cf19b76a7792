-- SPDX-License-Identifier: MIT
-- cli/try/files.lua: watches, for `try` and `run --watch`, the files that a pipeline is made of: its file, its
-- transforms, and the modules that these require and that lie in its folder. Which these are is read from their text,
-- since workers load them, and since a file that is missing may come. Folders are watched (inotify), not files: editors
-- write a new file and move it into place.
local bit = require("bit")
local ffi = require("ffi")
local pipeline_file = require("tidemill.plan.pipeline_file")
local text_file = require("tidemill.plan.text_file")

ffi.cdef [[
int inotify_init1(int flags);
int inotify_add_watch(int fd, const char *path, uint32_t mask);
struct tide_inotify_event { int watch; uint32_t mask, cookie, length; };
]]

local files = {}
local Files = {}
Files.__index = Files

local NONBLOCK_CLOEXEC = 0x80800
local CLOSE_WRITE, MOVED_TO, DELETE = 0x8, 0x80, 0x200
local MASK = bit.bor(CLOSE_WRITE, MOVED_TO, DELETE)
local HEAD = ffi.sizeof("struct tide_inotify_event")
local ROOM = 65536

--- Returns a watch of nothing yet; its field fd becomes readable when something may have changed. Where the kernel
--- gives none, nothing is ever changed.
function files.new()
  return setmetatable({ fd = ffi.C.inotify_init1(NONBLOCK_CLOEXEC), folders = {}, paths = {},
    bytes = ffi.new("char[?]", ROOM) }, Files)
end

-- Adds a file, and what it requires or names. A file that is not there is added too: it may come.
local function add(paths, path, folder)
  if paths[path] then return end
  paths[path] = true
  local text = text_file.read(path) or ""
  for name in text:gmatch("[\"']([^\"'\n]+%.lua)[\"']") do
    add(paths, pipeline_file.resolve(folder, name), folder)
  end
  for name in text:gmatch("require%s*%(?%s*[\"']([%w_.-]+)[\"']") do
    local base = pipeline_file.resolve(folder, (name:gsub("%.", "/")))
    for _, candidate in ipairs { base .. ".lua", base .. "/init.lua" } do
      if text_file.read(candidate) then add(paths, candidate, folder) end
    end
    if not name:find("^tidemill") then paths[base .. ".lua"] = true end
  end
end

--- From now on watches the files of a pipeline file. `pipeline`: what plan/pipeline_file.lua made of it, or nil when it
--- cannot be loaded; then the files that were known before are watched on.
function Files:watch(path, pipeline)
  local folder = pipeline_file.folder(pipeline_file.followed(path))
  if pipeline then self.paths = {} end
  add(self.paths, path, folder)
  add(self.paths, pipeline_file.followed(path), folder)
  for _, step in ipairs(pipeline and pipeline.steps or {}) do
    for _, item in ipairs(step.values.functions or {}) do
      if type(item) == "table" then add(self.paths, item.path, folder) end
    end
  end
  for one in pairs(self.paths) do
    local where = pipeline_file.folder(one)
    local watch = ffi.C.inotify_add_watch(self.fd, where, MASK)
    if watch >= 0 then self.folders[watch] = where end
  end
end

--- Takes what has happened. Returns the path of one of the files that was changed, or nil.
function Files:changed()
  local found
  while true do
    local size = tonumber(ffi.C.read(self.fd, self.bytes, ROOM))
    if size <= 0 then return found end
    local at = 0
    while at + HEAD <= size do
      local event = ffi.cast("struct tide_inotify_event *", self.bytes + at)
      local name = event.length > 0 and ffi.string(self.bytes + at + HEAD) or ""
      local path = pipeline_file.resolve(self.folders[event.watch] or ".", name)
      if self.paths[path] or self.paths["./" .. path] then found = path end
      at = at + HEAD + event.length
    end
  end
end

return files
