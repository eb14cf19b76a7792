#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Puts the program below $DESTDIR$PREFIX, and takes it away again: place.sh install BUILD_FOLDER, place.sh uninstall.
# share/tidemill/manifest lists what was put there, by paths from PREFIX: files, and the folders that were made for them
# (with a / behind). Nothing that it does not list is ever removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${PREFIX:?}"
to=${DESTDIR:-}$PREFIX
manifest=share/tidemill/manifest
made=()

put() { # MODE FILE PATH
  local folder
  folder=$(dirname "$3")
  until [ -d "$to/$folder" ]; do
    made+=("$folder/") # the last one may be PREFIX itself: ./
    [ "$folder" != . ] || break
    folder=$(dirname "$folder")
  done
  install -D -m "$1" "$2" "$to/$3"
  echo "$3" >>"$list"
}

put_all() { # FOLDER TARGET find's tests...; files with their paths from FOLDER
  local file
  while read -r file; do
    put 644 "$1/$file" "$2/$file"
  done < <(cd "$1" && find . "${@:3}" -type f -printf '%P\n' | sort)
}

put_text() { # PATH; from standard input
  cat >"$text"
  put 644 "$text" "$1"
}

put_completion() { # SHELL PATH BUILD_FOLDER
  "$3/tidemill" completion "$1" | put_text "$2"
}

# Below /usr Debian's zsh looks into another folder, since this one is the administrator's.
zsh_folder() {
  [ "$PREFIX" = /usr ] && echo share/zsh/vendor-completions || echo share/zsh/site-functions
}

# The unit in packaging/ is that of PREFIX=/usr/local.
put_unit() { # PATH
  local unit prefix=${PREFIX//%/%%}
  unit=$(<packaging/tidemill@.service)
  printf '%s\n' "${unit//"/usr/local/bin/"/"${prefix// /\\x20}/bin/"}" | put_text "$1"
}

# Files first, then the folders that are empty by then, the deepest first.
take_away() {
  local path
  [ -e "$to/$manifest" ] || return 0
  while read -r path; do
    case $path in
      /* | ../* | */../*) echo "place: $to/$manifest: not a path of ours: $path" >&2 && exit 65 ;;
      */) ;;
      *) rm -f -- "$to/$path" ;;
    esac
  done <"$to/$manifest"
  grep '/$' "$to/$manifest" | LC_ALL=C sort -r >"$list" || true
  rm -f -- "$to/$manifest"
  while read -r path; do
    rmdir --ignore-fail-on-non-empty -- "$to/${path#./}" 2>/dev/null || true
  done <"$list"
}

list=$(mktemp) text=$(mktemp)
trap 'rm -f "$list" "$text"' EXIT
case ${1:-} in
  install)
    take_away # what an older version had
    : >"$list"
    put 755 "$2/tidemill" bin/tidemill
    for library in "$2"/*.so; do
      put 644 "$library" "lib/tidemill/${library##*/}"
    done
    put_all lua share/tidemill/lua -name '*.lua'
    put_all lua/tidemill/dashboard share/tidemill/lua/tidemill/dashboard
    put_all scripts share/tidemill/scripts -maxdepth 1
    put_all scripts/samples share/tidemill/scripts/samples
    put_all engine share/tidemill/include -name '*.h'
    put_all docs/monitoring share/tidemill/monitoring
    put_all docs/man share/man/man1 -name '*.1'
    put_all docs/man share/man/man5 -name '*.5'
    put_completion bash share/bash-completion/completions/tidemill "$2"
    put_completion zsh "$(zsh_folder)/_tidemill" "$2"
    put_completion fish share/fish/vendor_completions.d/tidemill.fish "$2"
    put_unit lib/systemd/system/tidemill@.service
    { cat "$list" && printf '%s\n' "${made[@]}"; } | LC_ALL=C sort -u >"$to/$manifest"
    ;;
  uninstall)
    [ -e "$to/$manifest" ] || echo "place: nothing to remove: there is no $to/$manifest" >&2
    take_away
    ;;
  *)
    echo "usage: place.sh install BUILD_FOLDER | place.sh uninstall; PREFIX and DESTDIR from the environment" >&2
    exit 64
    ;;
esac
