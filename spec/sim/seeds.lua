-- SPDX-License-Identifier: MIT
-- Seeds of the simulation that once failed: each is run again by spec/sim/simulation_spec.lua. What a seed draws
-- changes with scripts/sim; the words say what went wrong.
return {
  { 7, "a refused result of several messages had no place it came from" },
  { 22, "a worker that died between its last record and its report was blamed for the record behind its job" },
  { 153, "results of a reduce that broke midway lost the records before them" },
  { 357, "a paused source stayed paused when what filled the step was revoked" },
  { 433, "a record that was left out of a reduce got a second dead letter" },
  { 1476, "messages taken before a failure in the same span were unknown to the tracker" },
  { 1640, "a work was given again with the progress of the worker before" },
  { 23, "what a dead worker had sent was held against the next one, for ever" },
  { 1692, "dead letters of several messages waited for ever once the first one's partition was lost" },
  { 5699, "a record that was begun after its worker was found late, and before it was killed, was called a timeout" },
  { 4, "exactly once: what a cut waited for stood behind what it did not let go, for ever" },
  { 299, "exactly once: a result of several messages left although one of them was somebody else's by then" },
  { 954, "exactly once: a partition revoked right after an abort was committed, without what was thrown away" },
}
