#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# hardening.sh FILE...: which of the measures that the Makefile's HARDENING and LINKING ask for do these programs and
# shared objects not have? A line for each that is missing, and exit code 1. readelf tells all of it.
#   What the linker did is in the program headers and the dynamic section of the file.
#   What the compiler did is looked up for each compile unit: gcc writes its options into the debug information, so
# that a single object compiled without one is found, where symbols would only tell of the whole file. Without debug
# information, and for clang, which writes no options there, only the imported symbols are judged.
set -uo pipefail

missing=0

complain() {
  echo "$file: $1"
  missing=1
}

has() { grep -qE "$1" <<<"$about"; }

linked() {
  has '^ +INTERP' && ! has 'FLAGS_1.* PIE' && complain "is not position independent (-pie)"
  has 'GNU_RELRO' || complain "lets its relocated data be written (-z relro)"
  has 'FLAGS_1.* NOW' || complain "binds functions when they are first called, so their table stays writable (-z now)"
  has 'GNU_STACK .* RW +0x' || complain "has a stack that can be executed (-z noexecstack)"
  has '\(TEXTREL\)|FLAGS.* TEXTREL' && complain "changes its code while it is loaded (-fPIC)"
  has '^ +LOAD .* RWE ' && complain "has memory that can be written and executed"
}

# gcc's options of each compile unit, one a line.
producers() {
  readelf -W --debug-dump=info --dwarf-depth=1 "$file" 2>/dev/null | sed -n 's/.*DW_AT_producer *: *\((.*): \)\?GNU C/C/p'
}

compiled() {
  local units option lacking options=(-fstack-protector-strong -fstack-clash-protection)
  has 'Machine: .*X86-64' && options+=(-fcf-protection=full)
  has 'Machine: .*AArch64' && options+=(-mbranch-protection=standard)
  units=$(producers)
  if [ -z "$units" ]; then
    has ' UND __stack_chk_fail' || complain "does not check its stack (-fstack-protector-strong)"
  else
    for option in "${options[@]}"; do
      lacking=$(grep -cvE -- " $option( |\$)" <<<"$units")
      [ "$lacking" = 0 ] || complain "has $lacking of $(wc -l <<<"$units") compile units without $option"
    done
  fi
  # A function that is fortified has a name of its own. Those that print to files have no other one then; the others keep
  # theirs where the compiler sees that the bounds hold, or cannot know them.
  if has ' UND v?f?printf(@|$)' && ! has ' UND __v?f?printf_chk(@|$)'; then
    complain "calls nothing that checks its bounds (-D_FORTIFY_SOURCE)"
  fi
}

[ $# -gt 0 ] || { echo "usage: hardening.sh FILE..." >&2 && exit 64; }
for file in "$@"; do
  about=$(readelf -W --file-header --program-headers --dynamic --dyn-syms "$file" 2>/dev/null) || {
    echo "hardening: $file is no program or shared object" >&2
    exit 66
  }
  linked
  compiled
done
exit $missing
