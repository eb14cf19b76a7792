-- SPDX-License-Identifier: MIT
-- metrics/list_reload.lua: the metrics of reloads and their canaries (docs/reload.md), as metrics/list.lua has them.
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
  { "canary.share", nil, "gauge", "share", "CANARY_SHARE",
    "The share of the batches that the next transforms run as well, before a reload lets them take over; 0 while there "
      .. "is no canary." },
  { "canary.compared", nil, "counter", "messages", "CANARY_COMPARED",
    "Messages of a step that the transforms that run and those of a canary have both run." },
  { "canary.differing", nil, "counter", "messages", "CANARY_DIFFERING",
    "Of those, the messages whose results or changes of state differ.",
    "With --compare the first one refuses the reload, and the log names it. Without, it is for you to judge." },
  { "canary.rejected", nil, "counter", "messages", "CANARY_REJECTED",
    "Of those, the messages that the transforms of the canary reject and those that run do not.",
    "More than max_rejected and max_rejected_ratio of tide.reload refuse the reload." },
}
