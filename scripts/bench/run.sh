#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make bench` runs: installs what is missing, builds, starts a real Kafka, and lets the contenders run in turn.
#   BENCH_QUICK=1            300,000 messages and 3 rounds in place of 2,000,000 and 5
#   BENCH_MESSAGES, BENCH_ROUNDS, BENCH_ARROYO_MESSAGES    single settings
#   BENCH_ONLY=bare,cjson-2  some of the contenders (in-process, and the names of scripts/bench/contenders.lua)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

kafka_dir=$PWD/build/bench-kafka
finish() {
  scripts/dev/kafka.sh stop "$kafka_dir"
  rm -rf "$kafka_dir"
}

wanted() { [ -z "${BENCH_ONLY:-}" ] || [[ ,$BENCH_ONLY, == *,$1,* ]]; }

prepare_arroyo() {
  local requirements=scripts/bench/arroyo/requirements.txt venv=build/arroyo
  cmp -s "$requirements" "$venv/requirements.txt" && return
  echo "bench: installing Arroyo into $venv" >&2
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check -r "$requirements"
  cp "$requirements" "$venv/"
}

# A name that is none would leave out what was meant.
check_names() {
  local names name
  names=" in-process $(luajit -e 'for _, one in ipairs(require "scripts.bench.contenders") do io.write(one.name, " ") end')"
  for name in ${BENCH_ONLY//,/ }; do
    [[ $names == *" $name "* ]] || { echo "bench: BENCH_ONLY: no contender $name; there are:$names" >&2 && exit 64; }
  done
}

scripts/dev/install.sh bench
export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;${LUA_PATH:-;}"
[ -z "${BENCH_ONLY:-}" ] || check_names
make --no-print-directory -j2 >&2
cc -std=gnu11 -O2 -Wall -Wextra -o build/bare_loop scripts/bench/bare_loop.c -lrdkafka
! wanted in-process || luajit scripts/bench/in_process.lua
! wanted in-process || luajit scripts/bench/json.lua
! wanted in-process || luajit scripts/bench/respawn.lua
! wanted in-process || BENCH_QUICK=1 luajit scripts/bench/auto.lua
! wanted in-process || luajit scripts/bench/observed.lua
[ "${BENCH_ONLY:-}" != in-process ] || exit 0
! wanted arroyo || prepare_arroyo
rm -rf "$kafka_dir"
mkdir -p "$kafka_dir"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
TIDE_KAFKA=$(scripts/dev/kafka.sh start "$kafka_dir")
export TIDE_KAFKA
luajit scripts/bench/run.lua
