#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make demo` runs: 100,000 JSON events through scripts/clean_events.lua on a Kafka inside the program, with two
# worker processes; then a table of what happened. Fails when a single event is not accounted for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

events=${DEMO_EVENTS:-100000}
dir=build/demo

scripts/dev/install.sh demo
make --no-print-directory -j2
mkdir -p "$dir"
rm -f "$dir"/*
echo "demo: making $events JSON events"
luajit scripts/bench/make_events.lua "$events" >"$dir/events.jsonl" 2>"$dir/made"
command=(build/tidemill run scripts/clean_events.lua --mock-kafka --feed "$dir/events.jsonl" --out "$dir/out.jsonl"
  --report "$dir/report.json" --set processes=2)
echo "demo: ${command[*]}"
"${command[@]}"
LUA_PATH="./?.lua;${LUA_PATH:-;}" luajit scripts/dev/demo_table.lua "$events" "$dir"
