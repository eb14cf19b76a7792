#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make valgrind` runs, under memcheck: the simulation, which has the chain and the pool in one process without LuaJIT
# (so leaks are looked for too), and the specs of what reads bytes that others wrote. It finds what AddressSanitizer does
# not: uses of memory that was never written.
#   VALGRIND_STEPS  steps of the simulation (20000)
#   VALGRIND_SPECS  files or folders of specs
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

scripts/dev/install.sh valgrind || exit
read -ra specs <<<"${VALGRIND_SPECS:-spec/unit/base/text_spec.lua spec/unit/shm/message_spec.lua spec/unit/io \
spec/flow/message_spec.lua}"
status=0
valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite --num-callers=30 \
  build/simulate --steps "${VALGRIND_STEPS:-20000}" --seed 7 || status=1
[ $status = 0 ] && echo "valgrind: the simulation: nothing to report"
VALGRIND=1 scripts/dev/run_specs.sh "${specs[@]}" || status=1
exit $status
