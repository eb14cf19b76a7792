#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make lint` runs (with its LINT_C_FLAGS and LINT_CXX_FLAGS): luacheck, C formatting, shellcheck, mandoc, the warnings of
# gcc and clang as errors; names what is absent and goes on. Warnings that only an optimizing gcc gives are errors in
# scripts/dev/test.sh, which builds with WERROR=1.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
status=0

if command -v luacheck >/dev/null; then
  luacheck --quiet lua scripts spec packaging || status=1
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
  shellcheck -x -S info -e SC2016,SC2317 scripts/*/*.sh packaging/*.sh .ci/run || status=1
else
  echo "lint: shellcheck is absent (scripts/dev/install.sh test)" >&2
fi
if command -v mandoc >/dev/null; then
  # The pages have no date (scripts/dev/man.lua).
  ! mandoc -T lint docs/man/*.[15] | grep -v ': missing date, using "": TH$' || status=1
else
  echo "lint: mandoc is absent (scripts/dev/install.sh test)" >&2
fi

have() { command -v "$1" >/dev/null; }
if ! { have gcc && have g++ && have clang && have clang++ && have pkg-config; }; then
  echo "lint: gcc, clang or pkg-config is absent (scripts/dev/install.sh test), so C and C++ are not looked at" >&2
  exit 69
fi

# Both compilers look at every file; what they warn of is an error.
look() { # COMPILER FLAGS FILE...: the compiler may be of several words, as "ccache gcc" is
  local compiler flags
  read -ra compiler <<<"$1"
  read -ra flags <<<"$2"
  printf '%s\0' "${@:3}" | xargs -0 -n 4 -P "$(nproc)" "${compiler[@]}" "${flags[@]}" -Werror -fsyntax-only
}

for compiler in "${CC:-gcc}" clang; do
  look "$compiler" "$LINT_C_FLAGS" engine/*.c engine/*/*.c engine/*/*/*.c lua/*/*/*.c scripts/*/*.c packaging/*.c || status=1
  # The file of fault points is empty without them.
  look "$compiler" "$LINT_C_FLAGS -DTIDE_FAULTS" engine/base/fault.c || status=1
done
for compiler in "${CXX:-g++}" clang++; do
  look "$compiler" "$LINT_CXX_FLAGS" engine/*/*.cpp || status=1
done
exit $status
