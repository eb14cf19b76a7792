-- SPDX-License-Identifier: MIT
-- metrics/list_table.lua: the metrics of tables of topics (tide.table), as metrics/list.lua has them.
return {
  { "table.read", nil, "counter", "messages", "TABLE_READ",
    "Messages read from the topics of tables: the whole topics at the start, then new messages.",
    "GET /status names each table, its rows, its bytes and its lag." },
  { "table.invalid", nil, "counter", "messages", "TABLE_INVALID",
    "Messages of tables' topics without a key, which make no row, or with a value that is not JSON: a message that "
      .. "reads such a row is rejected.",
    "The log has partition and offset of the first one, and what is wrong." },
  { "table.time", nil, "histogram", "seconds", "TABLE_TIME", "Time until a table was complete at the start." },
  { "table.rows", nil, "gauge", "rows", "TABLE_ROWS", "Rows of all tables.",
    "Far fewer than before: tombstones came, or the topic is not compacted and lost messages." },
  { "table.bytes", nil, "gauge", "bytes", "TABLE_BYTES", "Shared memory of all tables.",
    "Near max_bytes: the pipeline stops when it is full." },
  { "table.lag", nil, "gauge", "messages", "TABLE_LAG", "Offsets of tables' topics that are still to be read.",
    "Growing: the topic is written faster than the engine reads it, or workers hold old rows in long batches." },
}
