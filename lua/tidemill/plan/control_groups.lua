-- SPDX-License-Identifier: MIT
-- plan/control_groups.lua: finds the control groups that this process is in (docker --cpus and --memory, CPUQuota= and
-- MemoryMax= of systemd), of both versions.
local text_file = require("tidemill.plan.text_file")

local control_groups = {}

local function add_with_parents(folders, root, path)
  while true do
    folders[#folders + 1] = root .. path
    if path == "" then return end
    path = path:match("^(.*)/[^/]*$") or ""
  end
end

--- Returns the folders of the groups by which a controller ("cpu", "memory") limits this process, and of those that
--- they are in; a container sees its own group as the root. `root` and `groups` are for specs: /sys/fs/cgroup and the
--- text of /proc/self/cgroup.
function control_groups.folders(controller, root, groups)
  root, groups = root or "/sys/fs/cgroup", groups or text_file.read("/proc/self/cgroup") or ""
  local folders = {}
  for controllers, path in groups:gmatch("%d+:([^:\n]*):(/[^\n]*)") do
    local version2 = controllers == ""
    if version2 or ("," .. controllers .. ","):find("," .. controller .. ",", 1, true) then
      add_with_parents(folders, version2 and root or root .. "/" .. controller, path == "/" and "" or path)
    end
  end
  return folders
end

return control_groups
