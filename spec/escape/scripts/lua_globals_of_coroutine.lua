-- SPDX-License-Identifier: MIT
-- It takes the globals of a new coroutine, which may be ours.
return { stopped_by = { "hardened" }, shown = true, attack = function()
  return coroutine.wrap(function() return rawget(getfenv(0), "io") and "it has io" end)()
end }
