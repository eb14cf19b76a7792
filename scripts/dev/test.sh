#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make test` runs: installs what is missing, builds, starts three real Kafkas, runs lint and all specs (or those
# that are named), stops them. The last line is the tally of run_specs.sh. Where the jars cannot be had, spec/kafka is
# skipped.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

kafka_dirs=()
finish() {
  local dir
  for dir in "${kafka_dirs[@]}"; do
    scripts/dev/kafka.sh kill "$dir"
    rm -rf "$dir"
  done
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

scripts/dev/install.sh test kafka rdkafka || exit # in one go: who cannot install is told one command
make --no-print-directory WERROR=1 -j2 all tools faults || exit
scripts/dev/prometheus.sh >/dev/null || exit # unpacked for the specs, not installed
# Three lanes of specs, each with a Kafka of its own: specs mostly wait, and two lanes leave two cores idle for a third
# of the time. The brokers' logs lie in memory where there is room: on a disk a broker that was killed takes 10 s and
# more to look through them.
room_kib=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
[ "${room_kib:-0}" -gt 4000000 ] && folder=/dev/shm || folder=${TMPDIR:-/tmp}
# The broker is started often and runs briefly: code that is compiled quickly beats code that runs quickly.
export JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC${JAVA_TOOL_OPTIONS:+ $JAVA_TOOL_OPTIONS}"
export TIDE_KAFKA_DIRS=
unset TIDE_KAFKA
for _ in 1 2 3; do
  kafka_dirs+=("$(mktemp -d "$folder/tidemill-kafka-XXXXXX")")
  scripts/dev/kafka.sh start "${kafka_dirs[-1]}" log.index.size.max.bytes=65536 >/dev/null || break
  TIDE_KAFKA_DIRS+=" ${kafka_dirs[-1]}"
done
[ -n "$TIDE_KAFKA_DIRS" ] || echo "test: no Kafka can be had here, so spec/kafka is skipped" >&2
if [ -n "$TIDE_KAFKA_DIRS" ] && TIDE_RDKAFKA=$(scripts/dev/rdkafka.sh); then
  export TIDE_RDKAFKA
else
  unset TIDE_RDKAFKA
  echo "test: no newer librdkafka can be had here, so the cooperative protocol is skipped" >&2
fi
# In the background and waited for: so an interrupt reaches the trap at once.
lint=(--lint)
[ -z "${SANITIZER:-}" ] || lint=() # it was done, or will be, without
scripts/dev/run_specs.sh "${lint[@]}" "$@" &
specs=$!
trap 'kill $specs 2>/dev/null; exit 130' INT
trap 'kill $specs 2>/dev/null; exit 143' TERM
wait $specs
