#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `make lint`: luacheck, C formatting, a build with warnings as errors; names what is absent and goes on.
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
read -ra compiler <<<"${CC:-gcc}" # of several words, as "ccache gcc" is
for file in engine/*.c engine/*/*.c; do
  # The file of fault points is empty without them.
  # shellcheck disable=SC2046
  "${compiler[@]}" $([ "$file" != engine/base/fault.c ] || echo -DTIDE_FAULTS) -std=gnu11 -D_GNU_SOURCE -Iengine -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
    -Wmissing-prototypes -Werror $(pkg-config --cflags luajit) -fsyntax-only "$file" || status=1
done
exit $status
