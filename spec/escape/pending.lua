-- SPDX-License-Identifier: MIT
-- Scripts that a level is meant to stop and does not yet, by name, with the reason; `loading`: not while a transform is
-- loaded; `hooks`: transforms of hooks_spec.lua.
return {
  full = {},
  standard = {},
  hardened = {},
  loading = { descriptors_log_emptied = "the process that loads transforms has the engine's own standard error" },
  hooks = {
    ["leaves a child behind while it is loaded"] = "the run is refused, and the child stays",
    ["leaves a child behind in init"] = "the run is refused, and the child stays",
  },
}
