#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing for a purpose: install.sh [--check] [build|run|test|kafka|rdkafka|bench|clang|fuzz|tidy|valgrind|deb|dist|site|bare|demo]...
# Silent and instant when nothing is missing. Debian and its relatives, by apt, when root or with a sudo that asks no
# password. Anybody else is told the one command to type, which is complete for `make demo` and `make test` too, and
# the exit code is 69. --check installs nothing: it tells the command for these purposes.
set -euo pipefail

missing=()

have() { command -v "$1" >/dev/null 2>&1; }
# "ccache gcc" is gcc.
need_command() { have "${1##* }" || missing+=("$2"); }
need_file() { [ -e "$1" ] || missing+=("$2"); }
need_library() { { have pkg-config && pkg-config --exists "$1"; } || missing+=("$2"); }
need_lua() { { have luajit && luajit -e "require '$1'" >/dev/null 2>&1; } || missing+=("$2"); }
need_shared() { { have luajit && luajit -e "require('ffi').load('$1')" >/dev/null 2>&1; } || missing+=("$2"); }
need_runtime() { # of clang: for a sanitizer, or libFuzzer
  { have clang && compgen -G "$(clang -print-runtime-dir)/libclang_rt.$1*" >/dev/null; } || missing+=("$2")
}
need_python() { { have python3 && python3 -c "import $1" 2>/dev/null; } || missing+=("$2"); }
need_java() { # at least this version; `java -version` may print a "Picked up JAVA_TOOL_OPTIONS" first
  local version
  version=$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1) || true
  [ "${version:-0}" -ge "$1" ] || missing+=("$2")
}

# What Makefile, lua/ and scripts/ use and Debian's essential packages do not have (spec/house/packages_spec.lua).
check() {
  case $1 in
    build)
      need_command "${CC:-gcc}" gcc
      need_command cc gcc
      need_command "${CXX:-g++}" g++
      need_command make make
      need_command pkg-config pkg-config
      need_command git git
      need_file /usr/include/stdio.h libc6-dev
      need_command luajit luajit
      need_library luajit libluajit-5.1-dev
      need_library rdkafka librdkafka-dev
      need_library simdjson libsimdjson-dev
      need_library libcrypto libssl-dev
      need_library libmicrohttpd libmicrohttpd-dev
      need_library libseccomp libseccomp-dev
      need_library lmdb liblmdb-dev
      ;;
    run)
      need_lua cjson lua-cjson
      need_lua argparse lua-argparse
      need_lua busted lua-busted
      need_lua luassert lua-luassert
      need_lua say lua-say
      need_lua socket lua-socket
      need_shared libcrypto.so.3 libssl3
      need_shared libpcre2-8.so.0 libpcre2-8-0
      need_shared libxxhash.so.0 libxxhash0
      need_shared libz.so.1 zlib1g
      need_shared libzstd.so.1 libzstd1
      need_file /usr/share/javascript/chart.js/chart.min.js libjs-chart.js
      need_file /etc/ssl/certs/ca-certificates.crt ca-certificates
      ;;
    test)
      check build
      check run
      need_command busted lua-busted
      need_command luacheck lua-check
      need_command clang-format clang-format
      check clang
      need_command readelf binutils
      need_command curl curl
      need_command redis-server redis-server
      need_command pg_ctlcluster postgresql
      need_lua redis lua-redis
      need_lua luasql.postgres lua-sql-postgres
      need_command shellcheck shellcheck
      need_command mandoc mandoc
      need_command chromium chromium
      need_shared libjansson.so.4 libjansson4
      need_shared libavro.so libavro-dev # the number behind it differs from Debian to Debian
      need_shared libcurl.so.4 libcurl4
      need_command protoc protobuf-compiler
      ;;
    kafka)
      need_java 17 default-jre-headless # Kafka 4 runs on Java 17 or newer
      need_command mvn maven
      ;;
    rdkafka)
      need_python pip python3-pip
      ;;
    bench)
      check build
      check run
      check kafka
      need_python ensurepip python3-venv
      ;;
    clang)
      need_command clang clang
      need_command clang++ clang
      ;;
    fuzz)
      check build
      check run
      check clang
      need_runtime fuzzer libclang-rt-dev
      need_lua luacheck lua-check
      ;;
    tidy)
      check build
      need_command clang-tidy clang-tidy
      ;;
    valgrind)
      check test
      need_command valgrind valgrind
      ;;
    deb)
      check build
      check run
      need_file /usr/share/build-essential/essential-packages-list build-essential
      need_command dpkg-buildpackage dpkg-dev
      need_command dh debhelper
      ;;
    site)
      need_command mkdocs mkdocs
      need_command dot graphviz
      need_file /usr/share/mkdocs/themes/material mkdocs-material
      ;;
    dist)
      check build
      check run
      check rdkafka
      check keyring
      need_command objdump binutils
      need_command strip binutils
      need_command xz xz-utils
      need_command patch patch
      ;;
    keyring)
      need_file /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
      ;;
    bare)
      need_command debootstrap debootstrap
      need_command lintian lintian
      need_command openssl openssl
      check keyring
      check rdkafka
      ;;
    demo)
      check build
      check run
      ;;
    *)
      echo "usage: install.sh [--check] [build|run|test|kafka|rdkafka|bench|clang|fuzz|tidy|valgrind|deb|dist|site|bare|demo]..." >&2
      exit 64
      ;;
  esac
}

can_install() { have apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; }

# The one command to type, on a line of its own.
tell_command() {
  local sudo=
  if ! have apt-get; then
    echo "install: missing, by their Debian names: ${missing[*]}" >&2
  elif [ "$(id -u)" = 0 ] || { have sudo && sudo="sudo "; }; then
    echo "install: something is missing; please type:" >&2
  else
    echo "install: something is missing; please have root type:" >&2
  fi
  ! have apt-get ||
    echo "${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 69
}

purposes=("$@")
only_check=
if [ "${1:-}" = --check ]; then
  only_check=1
  purposes=("${@:2}")
fi
[ ${#purposes[@]} -gt 0 ] || purposes=(build run)
for purpose in "${purposes[@]}"; do
  check "$purpose"
done
[ ${#missing[@]} -gt 0 ] || exit 0

tell=$only_check
if [ -z "$only_check" ] && ! can_install; then
  tell=1
  for purpose in test kafka rdkafka; do
    check "$purpose"
  done
fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
[ -z "$tell" ] || tell_command

apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq)
[ "$(id -u)" = 0 ] || apt=(sudo "${apt[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "install: ${missing[*]}" >&2
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  echo "install: apt-get could not install: ${missing[*]}" >&2
  exit 69
fi
