#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Makes one peer of the benchmark ready in build/peers, by its own package manager: peers.sh NAME, a folder beside this
# file. Does nothing when that is done. Exit code 69 when it cannot be had here; the reason is the last line.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
name=${1:?peers.sh NAME}
source=scripts/bench/$name
place=build/peers/$name
log=$PWD/build/peers/$name.log

fail() {
  echo "$1"
  exit 69
}

# COMMAND...: its output is kept; of a failure the last line that says something is told.
quietly() {
  local reason
  "$@" >"$log" 2>&1 && return
  reason=$(grep -iE 'error|cannot|could not|no matching|not found|denied' "$log" | tail -n 1 | cut -c 1-160) || true
  fail "$reason (see build/peers/$name.log)"
}

# What a peer is made from, to see when that changes. A job in Python is run from where it is.
fingerprint() {
  if [ -e "$source/requirements.txt" ]; then cat "$source/requirements.txt"; else cat "$source"/*; fi
}

python() {
  quietly python3 -m venv "$place"
  quietly "$place/bin/pip" install --disable-pip-version-check --only-binary :all: -r "$source/requirements.txt"
}

kafka_streams() {
  local javac=${JAVAC:-javac}
  command -v "$javac" >/dev/null || fail "there is no Java compiler (apt: default-jdk-headless)"
  mkdir -p "$place"
  quietly mvn -q -B -f "$source/pom.xml" -DoutputDirectory="$PWD/$place" -DincludeScope=runtime \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies
  quietly "$javac" -cp "$place/*" -d "$place" "$source/Job.java"
}

benthos() {
  local go=${GO:-go}
  command -v "$go" >/dev/null || fail "there is no Go compiler"
  mkdir -p "$place"
  cp "$source"/* "$place/"
  (cd "$place" && quietly "$go" build -mod=mod -o job .)
}

mkdir -p build/peers
! cmp -s <(fingerprint) "$place.made" || exit 0
echo "bench: installing $name into $place" >&2
rm -rf "$place" "$place.made"
case $name in
  arroyo | bytewax | quix) python ;;
  kafka_streams) kafka_streams ;;
  benthos) benthos ;;
  *) fail "no peer $name" ;;
esac
fingerprint >"$place.made"
