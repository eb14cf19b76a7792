#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make bench` runs: run.sh [PART...], all of them without; then docs/bench.md is written from the figures of all
# parts. Each part says how long it will take.
#   compare      the contenders of scripts/bench/contenders.lua in turn on a real Kafka (about 45 minutes)
#   limits       scripts/bench/limits.lua: what the figures are made of, on a real Kafka (about 10 minutes)
#   latency      scripts/bench/latency.lua, on a real Kafka (about 17 minutes)
#   state        scripts/bench/state.lua: count per key against Kafka Streams, on a real Kafka (about 8 minutes)
#   keys         scripts/bench/keys.lua: a state of ten million keys, on a real Kafka (about 8 minutes)
#   scaling      scripts/bench/scaling.lua, of which one part is on a real Kafka (about 15 minutes)
#   micro        scripts/bench/micro.lua: single costs in ns against the last record (2 minutes)
#   in-process   what has a table of its own: in_process, json, respawn, order, auto, observed (some minutes)
#   BENCH_QUICK=1            the short form of each; the document is not written
#   BENCH_MESSAGES, BENCH_MEDIUM_MESSAGES, BENCH_SLOW_MESSAGES, BENCH_ROUNDS    single settings
#   BENCH_ONLY=bare,view-2   some of what a part has (of compare, unless a part is named); the document is not written
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kafka_dir=$PWD/build/bench-kafka
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(compare limits latency state keys scaling micro)
[ -z "${BENCH_ONLY:-}" ] || [ $# -gt 0 ] || parts=(compare)

stop_kafka() {
  [ ! -d "$kafka_dir" ] || scripts/dev/kafka.sh stop "$kafka_dir"
  rm -rf "$kafka_dir"
}

# A broker for one part. Members that start together get their partitions at once, and not the first one all of them.
with_kafka() { # PROPERTY... -- COMMAND...
  local properties=()
  while [ "$1" != -- ]; do
    properties+=("$1")
    shift
  done
  stop_kafka
  mkdir -p "$kafka_dir"
  TIDE_KAFKA=$(scripts/dev/kafka.sh start "$kafka_dir" "${properties[@]}")
  export TIDE_KAFKA
  "${@:2}"
  unset TIDE_KAFKA
  stop_kafka
}

run_part() {
  case $1 in
    compare) with_kafka group.initial.rebalance.delay.ms=500 -- luajit scripts/bench/run.lua ;;
    limits) with_kafka group.initial.rebalance.delay.ms=500 -- luajit scripts/bench/limits.lua ;;
    latency) with_kafka -- luajit scripts/bench/latency.lua ;;
    state) with_kafka group.initial.rebalance.delay.ms=500 -- luajit scripts/bench/state.lua ;;
    keys) with_kafka group.initial.rebalance.delay.ms=500 -- luajit scripts/bench/keys.lua ;;
    scaling) with_kafka log.index.size.max.bytes=65536 -- luajit scripts/bench/scaling.lua ;;
    micro) luajit scripts/bench/micro.lua ;;
    in-process)
      luajit scripts/bench/in_process.lua
      luajit scripts/bench/json.lua
      luajit scripts/bench/respawn.lua
      luajit scripts/bench/order.lua
      BENCH_QUICK=1 luajit scripts/bench/auto.lua
      luajit scripts/bench/observed.lua
      ;;
    *) echo "bench: no part $1; there are compare, limits, latency, state, keys, scaling, micro, in-process" >&2 && exit 64 ;;
  esac
}

scripts/dev/install.sh bench
export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;${LUA_PATH:-;}"
make --no-print-directory -j2 all build/kafka_tool build/bare_loop build/latency build/micro build/bench/floor.so >&2
trap stop_kafka EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
began=$SECONDS
for part in "${parts[@]}"; do
  echo "bench: part $part" >&2
  run_part "$part"
done
echo "bench: all of it took $(((SECONDS - began + 59) / 60)) minutes" >&2
[ -n "${BENCH_QUICK:-}${BENCH_ONLY:-}" ] || luajit scripts/bench/report.lua
