-- SPDX-License-Identifier: MIT
-- metrics/list_reload.lua: the metrics of reloads (docs/reload.md), as metrics/list.lua has them.
return {
  { "reload.count", nil, "counter", "reloads", "RELOAD", "How often the transforms were loaded anew and took over." },
  { "reload.error", nil, "counter", "reloads", "RELOAD_ERROR",
    "How often they were to be loaded anew and could not be: those that ran before go on.",
    "The log says why, with file and line; GET /status too." },
  { "reload.revision", nil, "gauge", "revision", "REVISION",
    "Which revision of the transforms runs: 1 at the start, one more with each reload." },
}
