#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Is what is built the same, byte for byte, whoever builds it where? reproducible.sh [TARGET]... builds this checkout (as
# it is here, changes too) twice: in folders of different names and depths, with files of different times, in other
# locales and time zones, with another umask, another number of jobs and, where root runs it, as another user. Then all
# that was built is compared, and what differs is named. The targets are those of the Makefile (all); with none, the
# version that the program says is compared with what git says of this checkout too.
# The compiler is the same one: another one may make other code. ccache is off, or one build would be the other's copy.
# The clock is the machine's: -Wdate-time is an error here, so that no file holds a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

targets=("$@")
[ $# -gt 0 ] || targets=(all)
work=$(mktemp -d /tmp/reproducible-XXXXXX) # where another user can get to
finish() { rm -rf "$work"; }
trap finish EXIT
chmod 755 "$work"

# With its history, from which the version comes.
copy() { # FOLDER TIME
  mkdir -p "$(dirname "$1")"
  git clone -q . "$1"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
  done | tar -c --null -T - | tar -x --no-same-owner -C "$1"
  find "$1" -path "$1/.git" -prune -o -type f -exec touch -d "$2" {} +
}

build() { # FOLDER UMASK JOBS USER-PREFIX... -- NAME=VALUE...
  local folder=$1 mask=$2 jobs=$3 as=()
  shift 3
  while [ "$1" != -- ]; do
    as+=("$1")
    shift
  done
  shift
  (cd "$folder" && umask "$mask" && mkdir -p "$folder/../tmp" && chmod 1777 "$folder/../tmp" &&
    "${as[@]}" env -i PATH="$PATH" HOME="$folder/../tmp" TMPDIR="$folder/../tmp" CC="${CC:-gcc}" CXX="${CXX:-g++}" \
      ${CFLAGS:+CFLAGS="$CFLAGS"} CCACHE_DISABLE=1 "$@" make -s WERROR=1 -j"$jobs" "${targets[@]}" >/dev/null)
}

one=$work/one two="$work/a longer way/to two"
copy "$one" 2001-02-03
copy "$two" 2026-05-06
other=()
if [ "$(id -u)" = 0 ]; then
  chown -R 65534:65534 "$work/a longer way"
  other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
fi
build "$one" 022 2 -- LC_ALL=C TZ=UTC
build "$two" 077 1 "${other[@]}" -- LC_ALL=C.UTF-8 LANGUAGE=de TZ=Pacific/Auckland USER=builder

find "$one/build" -type f | grep -q . || { echo "reproducible: nothing was built" >&2 && exit 70; }
if ! diff -rq "$one/build" "$two/build"; then
  echo "reproducible: two builds of ${targets[*]} differ" >&2
  exit 65
fi
if [ $# = 0 ]; then
  says=$("$one/build/tidemill" --version) is=$(git describe --tags --always --dirty)
  [[ $says == *"$is"* ]] || { echo "reproducible: the program says \"$says\", git says $is" >&2 && exit 65; }
fi
echo "reproducible: $(find "$one/build" -type f | wc -l) files of two builds are equal"
