#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make test` runs: installs what is missing, builds, starts a real Kafka, runs lint and all specs, stops Kafka.
# The last line is the tally of run_specs.sh. Where Java or the jars cannot be had, spec/kafka is skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

kafka_dir=
finish() {
  [ -z "$kafka_dir" ] || scripts/dev/kafka.sh stop "$kafka_dir"
  [ -z "$kafka_dir" ] || rm -rf "$kafka_dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/dev/install.sh build run test || exit
make --no-print-directory -j2 all tools faults || exit
# In memory where there is room: on a disk a broker that was killed takes 10 s and more to look through its logs.
room_kib=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
[ "${room_kib:-0}" -gt 4000000 ] && folder=/dev/shm || folder=${TMPDIR:-/tmp}
kafka_dir=$(mktemp -d "$folder/tidemill-kafka-XXXXXX")
# The broker is started often and runs briefly: code that is compiled quickly beats code that runs quickly.
export JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC${JAVA_TOOL_OPTIONS:+ $JAVA_TOOL_OPTIONS}"
if scripts/dev/install.sh kafka && TIDE_KAFKA=$(scripts/dev/kafka.sh start "$kafka_dir" log.index.size.max.bytes=65536); then
  export TIDE_KAFKA TIDE_KAFKA_DIR=$kafka_dir
else
  unset TIDE_KAFKA TIDE_KAFKA_DIR
  echo "test: no Kafka can be had here, so spec/kafka is skipped" >&2
fi
if [ -n "${TIDE_KAFKA:-}" ] && scripts/dev/install.sh rdkafka && TIDE_RDKAFKA=$(scripts/dev/rdkafka.sh); then
  export TIDE_RDKAFKA
else
  unset TIDE_RDKAFKA
  echo "test: no newer librdkafka can be had here, so the cooperative protocol is skipped" >&2
fi
# In the background and waited for: so an interrupt reaches the trap at once.
scripts/dev/run_specs.sh --lint "$@" &
specs=$!
trap 'kill $specs 2>/dev/null; exit 130' INT
trap 'kill $specs 2>/dev/null; exit 143' TERM
wait $specs
