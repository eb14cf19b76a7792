#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make fuzz` runs: the targets of targets/, two at a time, each from its corpus, its regressions and what was found
# on this machine before (build/fuzz/found).
#   TARGET="json units"   only these targets
#   T=60                  seconds for each
#   RUNS=10000000         so many executions for each; without T there is no limit of time then
#   TOTAL=10000000        so many with those of earlier runs here (build/fuzz/runs.tsv); a target that has them is left out,
#                         so with T the same command goes on where the last one ended
#   PLANTED=1             the planted mistakes (those of planted/, by its file names TARGET.MISTAKE) in place of the
#                         targets: each must be found within T (300)
#   JOBS=2                so many at a time
#   TIMEOUT=20            seconds that one input may take: more for a run that is stopped (SIGSTOP) now and then
#   RECORD=1              what each target has executed is added to scripts/fuzz/record.tsv, which docs/fuzzing.md shows
#                         (`make docs`)
#   TIDE_COUNTS=file      "passed failed skipped" is added to this file, as other parts of CI do; TIDE_FAILURES=file:
#                         so are the findings
# Ends with 0 when nothing was found (PLANTED=1: when all was found), else with 1. What is found lies in
# build/fuzz/findings, and the command to try it again is printed. build/fuzz/runs.tsv keeps what each run has executed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

PLANTED=${PLANTED:-}
build=build/fuzz${PLANTED:+/faults}
jobs=${JOBS:-2}
total=${TOTAL:-}
runs=${RUNS:-$total}
if [ -n "$PLANTED" ]; then seconds=300; elif [ -n "$runs" ]; then seconds=0; else seconds=60; fi
seconds=${T:-$seconds}
scratch=$(mktemp -d)
pids=()

finish() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null
  wait
  rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '%s\n' "$*"; }

# The value of a line of libFuzzer's last statistics.
statistic() { sed -n "s/^stat::$2: *//p" "$1" | tail -n 1; }

# What its last line of progress says behind a word, as cov: or ft:.
progress() { grep -a '^#' "$1" | sed -n "s/.* $2 \([0-9]*\).*/\1/p" | tail -n 1; }

executed() {
  local count
  count=$(statistic "$1" number_of_executed_units)
  [ -n "$count" ] || count=$(grep -a '^#' "$1" | sed -n 's/^#\([0-9]*\).*/\1/p' | tail -n 1)
  echo "${count:-0}"
}

# Of a target, in all runs on this machine.
executed_in_all() {
  touch build/fuzz/runs.tsv
  awk -F '\t' -v name="$1" '$2 == name { sum += $3 } END { printf "%.0f", sum }' build/fuzz/runs.tsv
}

# Folders of inputs. The first one gets what is new.
folders() {
  local folder
  for folder in "build/fuzz/found/$1" "scripts/fuzz/corpus/$1" "scripts/fuzz/regressions/$1"; do
    [ ! -d "$folder" ] || echo "$folder"
  done
}

# Runs one target in the foreground of its shell: NAME TARGET [FAULT]
fuzz() {
  local name=$1 target=$2 log=$scratch/$1.log options=(-print_final_stats=1 "-timeout=${TIMEOUT:-20}" -rss_limit_mb=3000 -close_fd_mask=3
    -interrupted_exitcode=0) # who stops a run has found nothing
  local inputs dictionary=scripts/fuzz/dictionaries/$2 from=$EPOCHREALTIME code done_before=0
  mkdir -p "build/fuzz/found/$target" "build/fuzz/findings/$name"
  mapfile -t inputs < <(folders "$target")
  # A planted mistake must be found from the corpus that everybody has, and leaves nothing in it.
  if [ -n "$PLANTED" ]; then
    mkdir "$scratch/$name"
    inputs=("$scratch/$name" "scripts/fuzz/corpus/$target")
  fi
  [ ! -f "$dictionary" ] || options+=("-dict=$dictionary")
  [ "$seconds" = 0 ] || options+=("-max_total_time=$seconds")
  [ -z "$total" ] || done_before=$(executed_in_all "$target")
  [ -z "$runs" ] || options+=("-runs=$((runs - done_before))")
  # What a long run leaks shows in its size: LeakSanitizer needs a permission that a container may not have. No input
  # frees more than a part of 16 MiB, so what is used after it was freed is seen; 256 MiB cost a third of the speed.
  ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=16:malloc_context_size=8:${ASAN_OPTIONS:-}" TIDE_FAULTS=${3:+$3=1:bug} \
    "$build/targets/$target" "${options[@]}" -max_len=4096 -artifact_prefix="build/fuzz/findings/$name/" "${inputs[@]}" \
    >"$log" 2>&1 &
  # shellcheck disable=SC2064
  trap "kill $! 2>/dev/null; exit 143" TERM
  wait $!
  code=$?
  awk "BEGIN { printf \"%d %.1f\n\", $code, $EPOCHREALTIME - $from }" >"$scratch/$name.done"
}

finding_of() { sed -n 's/.*Test unit written to //p' "$1" | tail -n 1; }

# What was found, in one line.
reason_of() {
  grep -a -m 1 -E '^fuzz: |ERROR: |runtime error: ' "$1" | sed -E 's/^==[0-9]+==//' | cut -c1-150
}

# Adds a run to the record, in the row of the target and this commit: NAME EXECUTIONS SECONDS FINDINGS
record() {
  local file=scripts/fuzz/record.tsv commit
  commit=$(git rev-parse --short HEAD)
  git diff --quiet HEAD -- . ":!$file" || commit+=-dirty
  {
    [ ! -f "$file" ] || cat "$file"
    printf '%s\t%s\t%s\t%s\t%s\n' "$1" "$commit" "$2" "$3" "$4"
  } | awk -F '\t' -v OFS='\t' '{ key = $1 OFS $2; count[key] += $3; seconds[key] += $4; findings[key] += $5 }
    END { for (key in count) printf "%s\t%.0f\t%.0f\t%d\n", key, count[key], seconds[key], findings[key] }' |
    LC_ALL=C sort >"$scratch/record"
  cp "$scratch/record" "$file"
}

row() { # NAME: of a target that has ended
  local name=$1 log=$scratch/$1.log code elapsed count all
  read -r code elapsed <"$scratch/$name.done"
  count=$(executed "$log")
  printf '%s\t%s\t%s\t%s\t%s\n' "$(date +%FT%T)" "$name" "$count" "$elapsed" "$code" >>build/fuzz/runs.tsv
  [ -z "${RECORD:-}" ] || record "$name" "$count" "$elapsed" "$([ "$code" = 0 ] && echo 0 || echo 1)"
  all=$(executed_in_all "$name")
  printf '%-16s %11s %8.0f %7s %7s %12s  %s\n' "$name" "$count" "$(awk "BEGIN { print $count / ($elapsed + 0.001) }")" \
    "$(progress "$log" cov:)" "$(progress "$log" ft:)" "$all" "$([ "$code" = 0 ] && echo none || echo FOUND)" | tee -a "$scratch/rows"
  [ "$code" = 0 ] || tell_finding "$name" "$log"
}

tell_finding() {
  local input target=${1##*:}
  input=$(finding_of "$2")
  {
    say "$1: $(reason_of "$2")"
    if [ -n "$input" ]; then
      say "  to try it again: ASAN_OPTIONS=detect_leaks=0 $build/targets/$target $input"
      say "  once it is put right: mv $input scripts/fuzz/regressions/$target/"
    else
      tail -n 5 "$2" | sed 's/^/  /'
    fi
  } | tee -a "$scratch/findings"
}

row_planted() { # TARGET FAULT
  local name=$2 log=$scratch/$2.log code elapsed found=NOT
  read -r code elapsed <"$scratch/$name.done"
  [ "$code" = 0 ] || [ -z "$(finding_of "$log")" ] || found=found
  printf '%-26s %-12s %-6s %8s s %10s  %s\n' "$2" "$1" "$found" "$elapsed" "$(executed "$log")" "$(reason_of "$log")" |
    tee -a "$scratch/rows"
  [ "$found" = found ] || say "$2: not found within $seconds s" >>"$scratch/findings"
}

# Each half a minute, how far those are that run.
watch_progress() {
  local name
  while sleep 30; do
    for name in "$@"; do
      [ ! -f "$scratch/$name.log" ] || [ -f "$scratch/$name.done" ] ||
        say "  $name: $(executed "$scratch/$name.log") executions"
    done
  done
}

all_targets() { find scripts/fuzz/targets -type f -printf '%f\n' | sed 's/[.].*//' | sort; }

# The work: lines "TARGET FAULT" (no fault without PLANTED).
list_work() {
  local target
  if [ -n "$PLANTED" ]; then
    for target in scripts/fuzz/planted/*.*; do
      target=${target##*/}
      echo "${target%%.*} bug.${target#*.}"
    done
    return
  fi
  for target in ${TARGET:-$(all_targets)}; do
    [ -e "scripts/fuzz/targets/$target.c" ] || [ -e "scripts/fuzz/targets/$target.lua" ] || {
      echo "fuzz: there is no target \"$target\"; there are:" "$(all_targets | xargs)" >&2
      return 64
    }
    [ -z "$total" ] || [ "$(executed_in_all "$target")" -lt "$total" ] || continue
    echo "$target"
  done
}

report_ended() {
  local i target fault
  for i in "${!names[@]}"; do
    [ -f "$scratch/${names[i]}.done" ] || continue
    mkdir "$scratch/${names[i]}.told" 2>/dev/null || continue
    read -r target fault <<<"${work[i]}"
    if [ -n "$PLANTED" ]; then row_planted "$target" "$fault"; else row "$target"; fi
  done
}

list_work >"$scratch/work" || exit 64
mapfile -t work <"$scratch/work"
names=()
for one in "${work[@]}"; do names+=("${one##* }"); done
if [ -n "$PLANTED" ]; then
  say "planted mistakes: each is to be found within $seconds s"
else
  printf '%-16s %11s %8s %7s %7s %12s  %s\n' target executions exec/s edges features 'in all' findings
fi
watch_progress "${names[@]}" &
pids+=($!)
for i in "${!work[@]}"; do
  while [ "$(jobs -rp | wc -l)" -gt "$jobs" ]; do
    wait -n
    report_ended
  done
  read -r target fault <<<"${work[i]}"
  fuzz "${names[i]}" "$target" "$fault" &
  pids+=($!)
done
while [ "$(jobs -rp | wc -l)" -gt 1 ]; do
  wait -n
  report_ended
done
report_ended

failed=0
if [ -s "$scratch/findings" ]; then
  failed=$(grep -c '^[a-z]' "$scratch/findings")
  say "" && tee -a "${TIDE_FAILURES:-/dev/null}" <"$scratch/findings"
fi
passed=$((${#work[@]} - failed))
if [ -n "${TIDE_COUNTS:-}" ]; then
  echo "$passed $failed 0" >>"$TIDE_COUNTS"
else
  say "$passed passed, $failed failed"
fi
[ "$failed" = 0 ]
