-- SPDX-License-Identifier: MIT
-- Seeds of the simulation that once failed. spec/sim/simulation_spec.lua runs each of them again. What a seed draws may
-- change with scripts/sim; the texts say what went wrong.
return {
  { 7, "a refused result of several messages did not know where it came from" },
  { 22, "a death of a worker between its last record and its report was attributed to the record after its job" },
  { 153, "results of a reduce that broke midway lost the records before them" },
  { 357, "a paused source stayed paused when what filled the step was revoked" },
  { 433, "a record that was left out of a reduce got a second dead letter" },
  { 1476, "messages taken before a failure in the same span were unknown to the tracker" },
  { 1640, "a job was given to another worker with the progress of the one before" },
  { 23, "what a dead worker had sent was held against the next one, for ever" },
  { 1692, "dead letters of several messages waited for ever once the first one's partition was lost" },
  { 5699, "a record that was begun between the timeout of its worker and the kill was attributed the timeout" },
  { 4, "exactly_once: the barrier waited for ever for messages that were queued after others which it held back" },
  { 299, "exactly_once: a result of several messages was sent although the partition of one was revoked" },
  { 103409, "a worker stayed reserved for a message that another one had run, and its lane waited for ever" },
  { 954, "exactly_once: a partition revoked right after an abort was committed, without the aborted messages" },
}
