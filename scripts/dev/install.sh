#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing for a purpose: install.sh [build|run|test|kafka|rdkafka|bench|demo]...
# Silent and instant when nothing is missing. Debian and its relatives, by apt, when root or with a
# sudo that asks no password; anybody else is told the one command to type, and the exit code is 69.
set -euo pipefail

missing=()

have() { command -v "$1" >/dev/null 2>&1; }
need_command() { have "$1" || missing+=("$2"); }
need_library() { { have pkg-config && pkg-config --exists "$1"; } || missing+=("$2"); }
need_lua() { { have luajit && luajit -e "require '$1'" >/dev/null 2>&1; } || missing+=("$2"); }

need_shared() { have luajit && luajit -e "require('ffi').load('$1')" >/dev/null 2>&1 || missing+=("$2"); }

need_java() { # Kafka 4 runs on Java 17 or newer
  local version
  version=$(java -version 2>&1 | sed -nE '1s/.*"([0-9]+).*/\1/p') || true
  [ "${version:-0}" -ge 17 ] || missing+=(default-jre-headless)
}

check() {
  case $1 in
    build)
      need_command gcc gcc
      need_command g++ g++
      need_command make make
      need_command pkg-config pkg-config
      [ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
      need_command luajit luajit
      need_library luajit libluajit-5.1-dev
      need_library rdkafka librdkafka-dev
      need_library simdjson libsimdjson-dev
      need_library libcrypto libssl-dev
      ;;
    run)
      need_lua cjson lua-cjson
      need_lua argparse lua-argparse
      ;;
    test)
      check build
      check run
      need_command busted lua-busted
      need_command luacheck lua-check
      need_command clang-format clang-format
      need_command g++ g++
      need_lua mpack lua-mpack
      need_shared libxxhash.so.0 libxxhash0
      need_shared libpcre2-8.so.0 libpcre2-8-0
      need_shared libzstd.so.1 libzstd1
      ;;
    kafka)
      need_java
      need_command mvn maven
      ;;
    rdkafka)
      { have python3 && python3 -m pip --version >/dev/null 2>&1; } || missing+=(python3-pip)
      ;;
    bench)
      check build
      check run
      check kafka
      { have python3 && python3 -c 'import ensurepip' 2>/dev/null; } || missing+=(python3-venv)
      ;;
    demo)
      check build
      check run
      ;;
    *)
      echo "usage: install.sh [build|run|test|kafka|rdkafka|bench|demo]..." >&2
      exit 64
      ;;
  esac
}

[ $# -gt 0 ] || set -- build run
for purpose in "$@"; do
  check "$purpose"
done
[ ${#missing[@]} -gt 0 ] || exit 0

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if ! have apt-get; then
  echo "install: missing, by their Debian names: ${missing[*]}" >&2
  exit 69
elif [ "$(id -u)" = 0 ]; then
  root=()
elif have sudo && sudo -n true 2>/dev/null; then
  root=(sudo)
else
  echo "install: something is missing; please type:" >&2
  echo "sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
  exit 69
fi

apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "install: ${missing[*]}" >&2
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  echo "install: apt-get could not install: ${missing[*]}" >&2
  exit 69
fi
