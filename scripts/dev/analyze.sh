#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make analyze` runs (with its LINT_C_FLAGS): gcc -fanalyzer over the C files; what it finds is an error, but for the
# findings that are named below. (It does not read C++.)
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

# File, function, check, and why it is no fault. The analyzers of other versions of gcc find other things, so a line that is
# not needed is told and is no error.
accepted() {
  cat <<'END'
engine/http/http.c listen_on -Wanalyzer-null-dereference getaddrinfo gives one address at least when it succeeds
engine/proc/crash.c die_of -Wanalyzer-null-dereference it is meant to be one: the process is to end by it
engine/kafka/committed.c read_committed -Wanalyzer-malloc-leak the list of partitions owns it, librdkafka frees both
engine/kafka/committed.c tide_kafka_committed_set -Wanalyzer-malloc-leak the same
engine/kafka/committed.c tide_kafka_committed_commit -Wanalyzer-malloc-leak the same
END
}

scripts/dev/install.sh build || exit
work=$(mktemp -d)
finish() { rm -rf "$work"; }
trap finish EXIT
read -ra compiler <<<"${CC:-gcc}"
read -ra flags <<<"$LINT_C_FLAGS"
files=(engine/*.c engine/*/*.c engine/*/*/*.c lua/*/*/*.c scripts/*/*.c)

# All that gcc tells; each file has an output of its own, since several run at a time.
export LC_ALL=C
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -I FILE bash -c \
  'file=$1 out=$2/${1//\//+}; shift 2; "$@" "$file" -S -o /dev/null 2>"$out" || echo "$file:1: error: not compiled" >>"$out"' \
  analyze FILE "$work" "${compiler[@]}" "${flags[@]}" -O2 -fanalyzer -fdiagnostics-plain-output

# "file function check" of each finding, once.
cat "$work"/* | awk '
  /: In function / { split($0, part, "\47"); name = part[2] }
  / (warning|error): / { check = $NF; gsub(/[][]/, "", check); split($1, part, ":"); print part[1], name, check }
' | sort -u >"$work/found"

status=0
while read -r file name check; do
  accepted | grep -q "^$file $name $check " && continue
  status=1
  sed -n "/^$(sed 's/[/.]/\\&/g' <<<"$file"):[0-9:]* warning: .*$check/,/ warning: \|: In function/p" "$work/${file//\//+}" | head -n 40
done <"$work/found"
while read -r file name check _; do
  grep -q "^$file $name $check$" "$work/found" || echo "analyze: not found by this gcc: $file $name $check"
done < <(accepted)
[ $status = 0 ] && echo "analyze: ${#files[@]} files, $(wc -l <"$work/found") findings, all of them named as none"
exit $status
