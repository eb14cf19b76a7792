-- SPDX-License-Identifier: MIT
-- cli/exit_code.lua: the program's exit codes (sysexits.h) and what they mean.
local exit_code = {
  OK = 0, USAGE = 64, DATA = 65, NO_INPUT = 66, UNREACHED = 69, INTERNAL = 70, TEMPORARY = 75, FENCED = 76,
  CONFIG = 78,
}

--- For the documents, in order.
exit_code.list = {
  { "0", "done" },
  { "64", "usage: a wrong command, flag or --set" },
  { "65", "bad data: a bad message and no dlq, or the dlq's limits reached" },
  { "66", "no such input: the pipeline file, or the one of --input, cannot be read" },
  { "69", "the broker was not reached at start" },
  { "70", "internal: a bug, please report it" },
  { "75", "gave up for now: starting again is right" },
  { "76", "fenced by a newer instance: do not start again" },
  { "78", "configuration: the pipeline file, a transform or a topic is wrong, or not permitted" },
  { "130, 143", "a second SIGINT or SIGTERM: left at once" },
}

return exit_code
