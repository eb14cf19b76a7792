#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make lint` runs (with its LINT_FLAGS): luacheck, C formatting, shellcheck, a build with warnings as errors; names
# what is absent and goes on.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
status=0

if command -v luacheck >/dev/null; then
  luacheck --quiet lua scripts spec || status=1
else
  echo "lint: luacheck is absent (scripts/dev/install.sh test)" >&2
fi
if command -v clang-format >/dev/null; then
  make --no-print-directory -s format-check || status=1
else
  echo "lint: clang-format is absent (scripts/dev/install.sh test)" >&2
fi
if command -v shellcheck >/dev/null; then
  # SC2016: what stands in single quotes is for another shell; SC2317: a trap's function is reached.
  shellcheck -x -S info -e SC2016,SC2317 scripts/*/*.sh .ci/run || status=1
else
  echo "lint: shellcheck is absent (scripts/dev/install.sh test)" >&2
fi
read -ra flags <<<"$LINT_FLAGS"
read -ra compiler <<<"${CC:-gcc}" # of several words, as "ccache gcc" is
if ! command -v "${compiler[0]}" >/dev/null || ! command -v pkg-config >/dev/null; then
  echo "lint: ${compiler[0]} or pkg-config is absent (scripts/dev/install.sh build), so the C files are not looked at" >&2
  exit 69
fi
for file in engine/*.c engine/*/*.c engine/*/*/*.c; do
  # The file of fault points is empty without them.
  faults=()
  [ "$file" != engine/base/fault.c ] || faults=(-DTIDE_FAULTS)
  "${compiler[@]}" "${faults[@]}" "${flags[@]}" -std=gnu11 -D_GNU_SOURCE -Iengine -Werror -fsyntax-only "$file" ||
    status=1
done
exit $status
