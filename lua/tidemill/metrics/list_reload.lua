-- SPDX-License-Identifier: MIT
-- metrics/list_reload.lua: the metrics of reloads (docs/reload.md), as metrics/list.lua has them.
return {
  { "reload.count", nil, "counter", "reloads", "RELOAD", "How often the transforms were loaded anew and took over." },
  { "reload.error", nil, "counter", "reloads", "RELOAD_ERROR",
    "How often they were to be loaded anew and could not be: those that ran before go on.",
    "The log says why, with file and line; GET /status too." },
  { "reload.rolled_back", nil, "counter", "reloads", "RELOAD_ROLLED_BACK",
    "How often the transforms that had taken over failed more than they may, so that those before run again.",
    "The log says how often they failed and at which message; GET /status too. Those messages are dead letters." },
  { "reload.revision", nil, "gauge", "revision", "REVISION",
    "Which revision of the transforms runs: 1 at the start; a reload takes the next number, and one that is rolled "
      .. "back brings the older number again." },
}
