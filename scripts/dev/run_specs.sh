#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs specs, each file in a busted of its own: run_specs.sh [--lint] [FILE or folder]... (all of spec/)
# Shows what a file printed if it failed. Ends with the failures and "N passed, N failed", and ", N skipped" when
# specs are pending. --lint counts `make lint` as one more.
# Fails on a failure, a crash, a file over its time, processes left behind, or nothing executed.
#   TIDE_SPEC_SECONDS   time limit of a file (240)
#   CI=true             a pending spec counts as failed
#   SANITIZER=address   runs against the library built so; or undefined
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

limit_s=${TIDE_SPEC_SECONDS:-240}
passed=0 failed=0 skipped=0
seconds=()
pendings=()
leader=
scratch=$(mktemp -d)

export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;${LUA_PATH:-;}"
export TIDE_TALLY=$scratch/tally
spec_env=()
case ${SANITIZER:-} in
address) spec_env=(TIDE_BUILD=build/asan LD_PRELOAD="$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}") ;;
undefined) spec_env=(TIDE_BUILD=build/undefined UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}") ;;
esac

# Pids of the session whose leader is $1: a spec's processes, whatever groups they have made.
session() {
  local stat line fields
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    read -ra fields <<<"${line##*) }" # state parent group session
    [ "${fields[3]}" != "$1" ] || [ "${fields[0]}" = Z ] || echo "${line%% *}"
  done
}

kill_session() {
  local pids
  mapfile -t pids < <(session "$1")
  [ ${#pids[@]} -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null
}

finish() {
  [ -z "$leader" ] || kill_session "$leader"
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In a session of its own, with the time limit: output goes to $scratch/out. The shell lets what it runs in the
# background ignore INT and QUIT; specs send those.
run_limited() {
  setsid env --default-signal=INT,QUIT timeout --foreground -s KILL "$limit_s" "$@" \
    >"$scratch/out" 2>&1 </dev/null &
  leader=$!
  wait "$leader"
}

# What a file leaves behind; the dying get a moment.
left_behind() {
  local pids until=$((SECONDS + 3))
  while mapfile -t pids < <(session "$leader") && [ ${#pids[@]} -gt 0 ] && [ $SECONDS -lt $until ]; do
    sleep 0.05
  done
  for pid in "${pids[@]}"; do
    echo "$pid $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | cut -c1-100)"
  done
}

# What the file printed, now; and once more at the end its failures, which would be far up by then.
tell_failure() {
  [ -z "$left" ] || printf '  left behind: %s\n' "${left//$'\n'/, }" >>"$scratch/out"
  cat "$scratch/out"
  {
    echo "${file#spec/} ($words)"
    grep -a -A 8 -E '^  (FAILED|left behind)' "$scratch/out" || tail -n 20 "$scratch/out"
  } >>"$scratch/failures"
}

run_file() {
  local file=$1 from=$EPOCHREALTIME code left ok=0 bad=0 pending=0 elapsed words
  rm -f "$TIDE_TALLY"
  run_limited env "${spec_env[@]}" luajit "$busted" --ignore-lua -o spec.support.tally "$file"
  code=$?
  elapsed=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $from }")
  if [ -s "$TIDE_TALLY" ]; then
    read -r ok bad pending <"$TIDE_TALLY"
    mapfile -t -O ${#pendings[@]} pendings < <(sed 1d "$TIDE_TALLY")
  fi
  left=$(left_behind)
  kill_session "$leader"
  leader=
  words="$ok passed"
  if [ $code = 137 ] && [ "${elapsed%.*}" -ge "$limit_s" ]; then
    bad=$((bad + 1)) words+=", stopped after $limit_s s" left=
  elif [ ! -s "$TIDE_TALLY" ] || { [ $code != 0 ] && [ "$bad" = 0 ]; }; then
    bad=$((bad + 1)) words+=", ended with code $code"
  fi
  [ -z "$left" ] || { bad=$((bad + 1)) words+=", left processes behind"; }
  [ "$bad" = 0 ] || words+=", $bad FAILED"
  [ "$pending" = 0 ] || words+=", $pending skipped"
  printf '%-44s %6s s  %s\n' "${file#spec/}" "$elapsed" "$words"
  [ "$bad" = 0 ] || tell_failure
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + pending))
  seconds+=("$elapsed $file")
}

run_lint() {
  if run_limited make -s --no-print-directory lint; then
    passed=$((passed + 1))
    echo "lint: passed"
  else
    failed=$((failed + 1))
    echo "lint: FAILED"
    tee -a "$scratch/failures" <"$scratch/out"
  fi
  leader=
}

if [ "${1:-}" = --lint ]; then
  shift
  run_lint
fi
busted=$(command -v busted) || {
  echo "run_specs: busted is missing (scripts/dev/install.sh test)" >&2
  exit 69
}
[ $# -gt 0 ] || set -- spec
mapfile -t files < <(find "$@" -name '*_spec.lua' | sort -u)
for file in "${files[@]}"; do
  run_file "$file"
done

if [ ${#seconds[@]} -gt 1 ]; then
  echo "slowest:"
  printf '%s\n' "${seconds[@]}" | sort -rn | head -n 5 | sed 's/ / s  /; s/^/  /'
fi
[ ${#pendings[@]} -eq 0 ] || { echo "skipped:" && printf '  %s\n' "${pendings[@]}" | sort | uniq -c; }
if [ "${CI:-}" = true ] && [ $skipped -gt 0 ]; then
  echo "in CI a skipped spec is a failure"
  failed=$((failed + skipped)) skipped=0
fi
[ ! -s "$scratch/failures" ] || { echo "failed:" && cat "$scratch/failures"; }
line="$passed passed, $failed failed"
[ $skipped = 0 ] || line+=", $skipped skipped"
echo "$line"
[ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ]
