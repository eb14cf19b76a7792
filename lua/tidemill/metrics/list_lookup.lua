-- SPDX-License-Identifier: MIT
-- metrics/list_lookup.lua: the metrics of lookup tables (run/lookups.lua), as metrics/list.lua has them.
return {
  { "lookup.read", nil, "counter", "files", "LOOKUP_READ",
    "Files of lookup tables that were read: at the start, and each time that a file was changed.",
    "GET /status names each table, its rows, its bytes and when it was read." },
  { "lookup.error", nil, "counter", "files", "LOOKUP_ERROR",
    "Files of lookup tables that could not be read. The rows that were read before stay.",
    "The log says file, line and what is wrong there." },
  { "lookup.time", nil, "histogram", "seconds", "LOOKUP_TIME", "Time that reading a file of a lookup table took." },
  { "lookup.rows", nil, "gauge", "rows", "LOOKUP_ROWS", "Rows of all lookup tables.",
    "Far fewer than before: a file was cut, or written only in part." },
  { "lookup.bytes", nil, "gauge", "bytes", "LOOKUP_BYTES",
    "Shared memory of all lookup tables. While one is read anew there are two versions of it.", nil },
}
