#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Prometheus and promtool for specs, without installing the package, which would start a daemon on port 9090: that of
# Debian, unpacked into build/prometheus. Prints the folder of both programs; where they are installed, that of these.
# Exit code 69: they cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
folder=$PWD/build/prometheus

fail() {
  echo "prometheus: $1" >&2
  exit 69
}

programs=(prometheus promtool)
if type -P "${programs[@]}" >/dev/null; then
  dirname "$(type -P "${programs[1]}")"
  exit
fi
if [ ! -x "$folder/usr/bin/promtool" ]; then
  command -v apt-get >/dev/null || fail "neither Prometheus nor apt-get is here"
  rm -rf "$folder" "$folder.part"
  mkdir -p "$folder.part"
  echo "prometheus: fetching Debian's package, once" >&2
  (
    cd "$folder.part"
    apt-get -qq download prometheus || { [ "$(id -u)" = 0 ] && apt-get -qq update && apt-get -qq download prometheus; }
  ) >"$folder.part/log" 2>&1 || fail "apt-get cannot download the package: $(tail -n 1 "$folder.part/log")"
  dpkg-deb -x "$folder.part"/prometheus_*.deb "$folder.part"
  rm "$folder.part"/*.deb
  mv "$folder.part" "$folder"
fi
echo "$folder/usr/bin"
