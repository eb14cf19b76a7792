#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make fuzz-corpus` runs: makes scripts/fuzz/corpus anew. Of the seeds (seeds.lua), the present corpus and what was
# found on this machine (build/fuzz/found), libFuzzer keeps a file for each thing that only it reaches; of each target the
# smallest ones are taken, up to MOST bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

MOST=${MOST:-36000}
build=build/fuzz
rm -rf "$build/seeds" "$build/merged"
luajit scripts/fuzz/seeds.lua "$build/seeds"
for target in ${TARGET:-$(find scripts/fuzz/targets -type f -printf '%f\n' | sed 's/[.].*//' | sort)}; do
  merged=$build/merged/$target
  mkdir -p "$merged"
  inputs=()
  for folder in "$build/seeds/$target" "scripts/fuzz/corpus/$target" "$build/found/$target"; do
    [ ! -d "$folder" ] || inputs+=("$folder")
  done
  ASAN_OPTIONS=detect_leaks=0 "$build/targets/$target" -merge=1 -max_len=4096 -close_fd_mask=3 "$merged" "${inputs[@]}" \
    2>"$build/merged/$target.log"
  rm -rf "scripts/fuzz/corpus/$target"
  mkdir -p "scripts/fuzz/corpus/$target"
  find "$merged" -type f -printf '%s %p\n' | sort -n |
    awk -v most="$MOST" '{ sum += $1 } sum <= most { print $2 }' | xargs -r cp -t "scripts/fuzz/corpus/$target"
  echo "$target: $(find "scripts/fuzz/corpus/$target" -type f | wc -l) of $(find "$merged" -type f | wc -l) files"
done
