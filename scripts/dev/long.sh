#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make long` runs: what takes too long for each run of CI (.ci/run). Each target says what it found, and a last line
# which of them failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

failed=()
run() { # make's arguments...
  local from=$SECONDS
  echo "long: make $*"
  make --no-print-directory "$@" || failed+=("$*")
  echo "long: make $*: $((SECONDS - from)) s"
}

run site
run reproducible
run tidy
run analyze
run valgrind
run threads
run test SANITIZER=undefined
run test SANITIZER=address
if [ ${#failed[@]} -gt 0 ]; then
  printf 'long: failed: make %s\n' "${failed[@]}"
  exit 1
fi
echo "long: all passed"
