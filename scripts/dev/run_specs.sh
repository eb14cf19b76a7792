#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Runs specs, each file in a busted of its own: run_specs.sh [--lint] [FILE or folder]... (all of spec/)
# Shows what a file printed if it failed. Ends with the failures and "N passed, N failed", and ", N skipped" when
# specs are pending. --lint counts `make lint` as one more.
# Fails on a failure, a crash, a file over its time, processes left behind, or nothing executed.
#   TIDE_SPEC_SECONDS   time limit of a file (360)
#   TIDE_KAFKA_DIRS     folders of running Kafkas (kafka.sh): for each of them a lane, which takes one file after another,
#                       so no two files share a Kafka. Without: one lane, with the Kafka of TIDE_KAFKA if any
#   TIDE_COUNTS=file    "passed failed skipped" is added to this file in place of the last line
#   TIDE_FAILURES=file  the failures that are told at the end are added to this file, too
#   CI=true             a pending spec counts as failed
#   SANITIZER=address   runs against the library built so; or undefined, or thread
#   VALGRIND=1          runs each file and the workers that it forks under valgrind's memcheck
# What a sanitizer or valgrind reports of any process of a file is a failure of the file.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

limit_s=${TIDE_SPEC_SECONDS:-$([ -n "${SANITIZER:-}${VALGRIND:-}" ] && echo 1800 || echo 360)}
leader=
lane_pids=()
scratch=$(mktemp -d)
lane=$scratch/lane0 # what is of this lane alone
mkdir "$lane"

export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;${LUA_PATH:-;}"
export TIDE_TALLY=$lane/tally
under=() # the command that runs a file

# Reports go to files: one that a worker writes would be lost otherwise, since the engine forks another worker and goes on.
# The build grants the sandbox of a worker that folder (TIDE_REPORTS). What a signal does is left to the specs, which send
# and expect signals; and an allocation that is too large returns NULL, as without a sanitizer.
prepare_checker() {
  export TIDE_REPORTS=$lane/reports
  local options="log_path=$TIDE_REPORTS/report:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0"
  options+=":handle_abort=0:allocator_may_return_null=1"
  mkdir "$TIDE_REPORTS"
  case ${SANITIZER:-} in
    # What LuaJIT has at the end of a process would count as leaks; make valgrind looks for those of the engine.
    address)
      under=(env TIDE_BUILD=build/asan LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
        ASAN_OPTIONS="detect_leaks=0:$options:${ASAN_OPTIONS:-}" UBSAN_OPTIONS="print_stacktrace=1:$options")
      ;;
    undefined) under=(env TIDE_BUILD=build/undefined UBSAN_OPTIONS="print_stacktrace=1:$options:${UBSAN_OPTIONS:-}") ;;
    # The places that the sanitizer has for a program's memory are fewer than those at which the kernel may put it.
    thread)
      under=(setarch -R env TIDE_BUILD=build/thread LD_PRELOAD="$(gcc -print-file-name=libtsan.so)"
        TSAN_OPTIONS="suppressions=$PWD/scripts/dev/tsan.supp:die_after_fork=0:$options:${TSAN_OPTIONS:-}")
      ;;
  esac
  [ -z "${VALGRIND:-}" ] || under=(valgrind --quiet --log-file="$TIDE_REPORTS/report.%p"
    --suppressions=scripts/dev/valgrind.supp --num-callers=30)
}

# What was reported since the last file, if anything: the first report of it.
reported() {
  local file
  for file in "$TIDE_REPORTS"/*; do
    grep -qsE 'ERROR: |WARNING: ThreadSanitizer|runtime error: |^==[0-9]+== ' "$file" && head -n 60 "$file" && break
  done
  rm -f "$TIDE_REPORTS"/*
}

# Pids of the session whose leader is $1: a spec's processes, whatever groups they have made.
session() {
  local stat line fields
  for stat in /proc/[0-9]*/stat; do
    { read -r line <"$stat"; } 2>/dev/null || continue
    read -ra fields <<<"${line##*) }" # state parent group session
    [ "${fields[3]}" != "$1" ] || [ "${fields[0]}" = Z ] || echo "${line%% *}"
  done
}

# Until none is left: one may fork meanwhile.
kill_session() {
  local pids
  while mapfile -t pids < <(session "$1") && [ ${#pids[@]} -gt 0 ]; do
    kill -KILL "${pids[@]}" 2>/dev/null
  done
}

finish() {
  [ ${#lane_pids[@]} -eq 0 ] || { kill "${lane_pids[@]}" 2>/dev/null && wait; }
  [ -z "$leader" ] || kill_session "$leader"
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In a session of its own, with the time limit: output goes to $lane/out. The shell lets what it runs in the
# background ignore INT and QUIT; specs send those.
run_limited() {
  setsid env --default-signal=INT,QUIT timeout --foreground -s KILL "$limit_s" "$@" \
    >"$lane/out" 2>&1 </dev/null &
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
  [ -z "$left" ] || printf '  left behind: %s\n' "${left//$'\n'/, }" >>"$lane/out"
  [ -z "$report" ] || printf '  reported:\n%s\n' "$report" >>"$lane/out"
  cat "$lane/out"
  {
    echo "${file#spec/} ($words)"
    grep -a -A 8 -E '^  (FAILED|left behind|reported)' "$lane/out" || tail -n 20 "$lane/out"
  } >>"$lane/failures"
}

run_file() {
  local file=$1 from=$EPOCHREALTIME code left report ok=0 bad=0 pending=0 elapsed words
  rm -f "$TIDE_TALLY"
  mkdir -p "$lane/tmp"
  run_limited env TMPDIR="$lane/tmp" "${under[@]}" luajit "$busted" --ignore-lua -o spec.support.tally "$file"
  code=$?
  elapsed=$(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $from }")
  if [ -s "$TIDE_TALLY" ]; then
    read -r ok bad pending <"$TIDE_TALLY"
    sed 1d "$TIDE_TALLY" >>"$lane/pendings"
  fi
  left=$(left_behind)
  kill_session "$leader"
  report=$(reported)
  rm -rf "$lane/tmp" # what a spec leaves there is not left to the machine
  leader=
  words="$ok passed"
  if [ $code = 137 ] && [ "${elapsed%.*}" -ge "$limit_s" ]; then
    bad=$((bad + 1)) words+=", stopped after $limit_s s" left=
  elif [ ! -s "$TIDE_TALLY" ] || { [ $code != 0 ] && [ "$bad" = 0 ]; }; then
    bad=$((bad + 1)) words+=", ended with code $code"
  fi
  [ -z "$left" ] || { bad=$((bad + 1)) words+=", left processes behind"; }
  [ -z "$report" ] || { bad=$((bad + 1)) words+=", a checker reports"; }
  [ "$bad" = 0 ] || words+=", $bad FAILED"
  [ "$pending" = 0 ] || words+=", $pending skipped"
  # At once, since another lane may write as well.
  words=$(printf '%-44s %6s s  %s\n' "${file#spec/}" "$elapsed" "$words" && { [ "$bad" = 0 ] || tell_failure; })
  echo "$words"
  echo "$ok $bad $pending $elapsed $file" >>"$lane/results"
}

run_lint() {
  if run_limited make -s --no-print-directory lint; then
    echo 1 0 0 >>"$lane/results"
    echo "lint: passed"
  else
    echo 0 1 0 >>"$lane/results"
    echo "lint: FAILED"
    tee -a "$lane/failures" <"$lane/out"
  fi
  leader=
}

# Takes one file after another that no other lane has taken.
run_lane() { # NUMBER [KAFKA_DIR]
  trap 'kill_session "$leader"; exit 143' TERM
  lane=$scratch/lane$1
  mkdir "$lane"
  export TIDE_TALLY=$lane/tally
  prepare_checker
  if [ -n "${2:-}" ]; then
    TIDE_KAFKA=$(<"$2/bootstrap")
    export TIDE_KAFKA TIDE_KAFKA_DIR=$2
  fi
  for i in "${!files[@]}"; do
    mkdir "$scratch/taken$i" 2>/dev/null && run_file "${files[i]}"
  done
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
mapfile -t files < <(find "$@" -name '*_spec.lua' | sort -ur) # unit last would leave the long ones to one lane
read -ra kafkas <<<"${TIDE_KAFKA_DIRS:-}"
for i in "${!kafkas[@]}"; do
  run_lane $((i + 1)) "${kafkas[i]}" &
  lane_pids+=($!)
done
[ ${#lane_pids[@]} -gt 0 ] || { run_lane 1 & lane_pids=($!); }
wait "${lane_pids[@]}"
lane_pids=()

read -r passed failed skipped files_run < <(cat "$scratch"/lane*/results | awk '{ p += $1; f += $2; s += $3; n += NF > 3 }
  END { print p + 0, f + 0, s + 0, n + 0 }')
[ "$files_run" = ${#files[@]} ] || { failed=$((failed + 1)) && echo "only $files_run of ${#files[@]} files were run"; }
if [ ${#files[@]} -gt 1 ]; then
  echo "slowest:"
  cat "$scratch"/lane*/results | awk 'NF > 3 { print "  " $4 " s  " $5 }' | sort -rn | head -n 5
fi
[ "$skipped" = 0 ] || { echo "skipped:" && sed 's/^/  /' "$scratch"/lane*/pendings | sort | uniq -c; }
if [ "${CI:-}" = true ] && [ "$skipped" -gt 0 ]; then
  echo "in CI a skipped spec is a failure"
  failed=$((failed + skipped)) skipped=0
fi
failures=$(cat "$scratch"/lane*/failures 2>/dev/null)
[ -z "$failures" ] || printf 'failed:\n%s\n' "$failures" | tee -a "${TIDE_FAILURES:-/dev/null}"
if [ -n "${TIDE_COUNTS:-}" ]; then
  echo "$passed $failed $skipped" >>"$TIDE_COUNTS"
else
  line="$passed passed, $failed failed"
  [ "$skipped" = 0 ] || line+=", $skipped skipped"
  echo "$line"
fi
[ "$failed" = 0 ] && [ $((passed + skipped)) -gt 0 ]
