-- SPDX-License-Identifier: MIT
-- metrics/list_reload.lua: the metrics of reloads and their canaries (docs/reload.md), as metrics/list.lua has them.
return {
  { "reload.count", nil, "counter", "reloads", "RELOAD", "How often new transforms were loaded and took over." },
  { "reload.error", nil, "counter", "reloads", "RELOAD_ERROR",
    "How often a reload was refused: the present transforms go on.",
    "The log says why, with file and line; GET /status too." },
  { "reload.rolled_back", nil, "counter", "reloads", "RELOAD_ROLLED_BACK",
    "How often a reload was rolled back, because the new transforms failed more often than the setting reload allows.",
    "The log and GET /status say how often they failed, and at which message. Those messages are dead letters." },
  { "reload.revision", nil, "gauge", "revision", "REVISION",
    "Which revision of the transforms runs: 1 at the start; each reload takes the next number, and a rollback brings "
      .. "back the older one." },
  { "canary.share", nil, "gauge", "share", "CANARY_SHARE",
    "The share of the batches that the next transforms run as well, before a reload lets them take over; 0 while there "
      .. "is no canary." },
  { "canary.compared", nil, "counter", "messages", "CANARY_COMPARED",
    "Messages that both the present transforms and those of a canary have run, in all steps." },
  { "canary.differing", nil, "counter", "messages", "CANARY_DIFFERING",
    "Of those, the messages whose results or changes of state differ.",
    "With --compare the first one refuses the reload, and the log names it. Without it you have to judge." },
  { "canary.rejected", nil, "counter", "messages", "CANARY_REJECTED",
    "Of those, the messages that only the transforms of the canary reject.",
    "More than max_rejected and max_rejected_ratio of tide.reload refuse the reload." },
}
