-- SPDX-License-Identifier: MIT
-- testing/level.lua: `trust`, the level that `tidemill test --trust` gives to what is tested; nil without the flag.
return {}
