#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make torture` runs: a Kafka of its own, the parts in turn, the Kafka's end. What main.lua takes from the
# environment it takes too; TORTURE_PART and TORTURE_MODE may be lists, and are all parts and both modes by default. The
# part "files" (state.lua) has files in place of a Kafka, and one mode.
# Exit code: 0 when all promises held.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

export LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;${LUA_PATH:-;}"
export TORTURE_REPORT=${TORTURE_REPORT-docs/torture.md}
# The broker is started often: code that is compiled quickly beats code that runs quickly.
export JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC${JAVA_TOOL_OPTIONS:+ $JAVA_TOOL_OPTIONS}"
parts=${TORTURE_PART:-files workers reloads engines supervisor rebalances brokers state windows lanes}
modes=${TORTURE_MODE:-at_least_once exactly_once}

status=0
if [[ " $parts " == *" files "* ]]; then
  luajit scripts/torture/state.lua || status=1
  parts=$(echo " $parts " | sed 's/ files / /')
  [ -n "${parts// /}" ] || exit $status
fi

kafka_dir=$(mktemp -d)
checker=
finish() {
  [ -z "$checker" ] || kill "$checker" 2>/dev/null # its engines have the signal of their parent's death
  scripts/dev/kafka.sh stop "$kafka_dir"
  rm -rf "$kafka_dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

TIDE_KAFKA=$(scripts/dev/kafka.sh start "$kafka_dir") || exit
export TIDE_KAFKA TIDE_KAFKA_DIR=$kafka_dir
for mode in $modes; do
  for part in $parts; do
    # In the background and waited for: so an interrupt reaches the trap at once.
    TORTURE_PART=$part TORTURE_MODE=$mode luajit scripts/torture/main.lua &
    checker=$!
    wait $checker || status=1
    checker=
  done
done
exit $status
