-- SPDX-License-Identifier: MIT
-- Scripts that a level is meant to stop and does not yet, by name, with the reason; `loading`: not while a transform is
-- loaded; `hooks`: transforms of hooks_spec.lua.
return {
  full = {},
  standard = {},
  hardened = {},
  loading = {},
  hooks = {},
}
