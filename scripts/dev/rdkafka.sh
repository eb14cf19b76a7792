#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A librdkafka newer than the distribution's, for the specs of what older ones cannot do: that of the Python package
# confluent-kafka, unpacked into build/rdkafka. Prints the folder of its librdkafka.so.1, for LD_LIBRARY_PATH.
# Exit code 69: it cannot be had.
set -euo pipefail
version=2.16.1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$PWD/build/rdkafka/$version

fail() {
  echo "rdkafka: $1" >&2
  exit 69
}

if [ ! -e "$folder/librdkafka.so.1" ]; then
  python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing (apt: python3-pip)"
  rm -rf "$folder.part"
  mkdir -p "$folder.part"
  echo "rdkafka: fetching confluent-kafka $version, once" >&2
  python3 -m pip download -q --no-deps --only-binary :all: -d "$folder.part" "confluent-kafka==$version" >&2 ||
    fail "pip cannot fetch confluent-kafka $version"
  python3 -m zipfile -e "$folder.part"/*.whl "$folder.part"
  library=$(find "$folder.part" -name 'librdkafka-*.so*' | head -n 1)
  [ -n "$library" ] || fail "confluent-kafka $version holds no librdkafka"
  mv "$library" "$folder.part/librdkafka.so.1"
  rm -rf "$folder"
  mv "$folder.part" "$folder"
fi
echo "$folder"
