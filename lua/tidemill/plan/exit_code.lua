-- SPDX-License-Identifier: MIT
-- plan/exit_code.lua: the program's exit codes, for plan and command line. They are the statuses of base/status.h
-- without the minus sign, and are taken from there, so that C and Lua cannot differ.
local C = require("tidemill.run.ffi").C

local exit_code = {
  OK = C.TIDE_OK, USAGE = -C.TIDE_EUSAGE, DATA = -C.TIDE_EDATA, NO_INPUT = -C.TIDE_ENOINPUT,
  UNREACHED = -C.TIDE_EUNREACHED, INTERNAL = -C.TIDE_EINTERNAL, TEMPORARY = -C.TIDE_ETEMPORARY,
  FENCED = -C.TIDE_EFENCED, CONFIG = -C.TIDE_ECONFIG,
}

--- What they mean, for docs/commands.md, in order.
exit_code.list = {
  { exit_code.OK, "done" },
  { exit_code.USAGE, "usage: a wrong command, flag or --set" },
  { exit_code.DATA, "bad data: a bad message and no dlq, or the dlq's limits reached" },
  { exit_code.NO_INPUT, "no such input: the pipeline file, or the one of --input, cannot be read" },
  { exit_code.UNREACHED, "the broker was not reached at start" },
  { exit_code.INTERNAL, "internal: a bug, please report it" },
  { exit_code.TEMPORARY, "gave up for now: starting again is right" },
  { exit_code.FENCED, "fenced by a newer instance: do not start again" },
  { exit_code.CONFIG, "configuration: the pipeline file, a transform or a topic is wrong, or not permitted" },
  { "130, 143", "a second SIGINT or SIGTERM: left at once" },
}

return exit_code
