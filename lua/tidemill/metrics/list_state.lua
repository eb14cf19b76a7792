-- SPDX-License-Identifier: MIT
-- metrics/list_state.lua: the metrics of keyed state (tide.keyed), as metrics/list.lua has them.
return {
  { "lookup", { kind = "memory" }, "counter", "values", "STATE_HIT", "Values of keys that were in memory.",
    family = "Values of keys that a message was given, by where they were." },
  { "lookup", { kind = "store" }, "counter", "values", "STATE_MISS",
    "Values of keys that were looked for in the store, and found there or not.",
    "Most of all: more keys are in use than the 64 MiB in memory hold, or most keys are new." },
  { "changes", nil, "counter", "changes", "STATE_CHANGES", "Changes of values that were accepted." },
  { "expired", nil, "counter", "values", "STATE_EXPIRED", "Values that were deleted from the store because they had "
    .. "expired.",
    "Far fewer than expire: the store grows. Each commit looks at 1000 values, so commit more often." },
  { "keys", nil, "gauge", "keys", "STATE_KEYS", "Keys whose value is in memory." },
  { "bytes", nil, "gauge", "bytes", "STATE_BYTES", "Memory of these keys and values.",
    "Far above 64 MiB: the changes between two commits take it; commit more often." },
  { "waiting", nil, "gauge", "changes", "STATE_WAITING", "Changes that are accepted and not stored yet." },
  { "store.bytes", nil, "gauge", "bytes", "STATE_STORE_BYTES",
    "Size of the store's file. It never shrinks: what was deleted in it is used again.",
    "Growing all the time: keys are never deleted; give them a ttl." },
  { "store.time", nil, "histogram", "seconds", "STATE_STORE_TIME",
    "Storing the changes of a commit. The engine waits for it.",
    "A large part of the time: commit less often, or take a faster disk." },
  { "restored", nil, "counter", "records", "STATE_RESTORED", "Records of changelogs that were read for partitions that "
    .. "were assigned." },
  { "restore.time", nil, "histogram", "seconds", "STATE_RESTORE_TIME",
    "From an assignment until the state of all its partitions was restored. They are not read meanwhile.",
    "Long at each start: keep state_dir, on a disk that stays, and set instance in kafka_source." },
}
