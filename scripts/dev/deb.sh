#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make deb` runs: a Debian package of this checkout, for the Debian that it runs on, as build/tidemill_VERSION_ARCH.deb.
# packaging/debian is its debian/ folder; what is built in build/ already is not built again. The version is git's; a
# checkout that has no tag is 0.1.0~git and the time of its commit, so that a later one is an upgrade.
#   DEB_MAINTAINER  "Name <address>" of who answers for the package
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
stage=$top/build/deb/tidemill

version_of() {
  local described
  described=$(git describe --tags --dirty 2>/dev/null) || described=
  described=${described#v}
  if [[ $described == [0-9]* ]]; then
    echo "${described//-/+}"
  elif git rev-parse -q --verify HEAD >/dev/null 2>&1; then
    git log -1 --date=format:%Y%m%d%H%M --format=0.1.0~git%cd.%h
  else
    echo 0.1.0
  fi
}

# Of the commit, so that the package of a commit is the same each time.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}
export SOURCE_DATE_EPOCH

version=$(version_of)
rm -rf build/deb
mkdir -p "$stage"
cp -R packaging/debian "$stage/debian"
maintainer=${DEB_MAINTAINER:-$(sed -n 's/^Maintainer: //p' packaging/debian/control)}
sed -i "s/^Maintainer: .*/Maintainer: ${maintainer//\//\\/}/" "$stage/debian/control"
printf '%s\n' "tidemill ($version) unstable; urgency=medium" "" \
  "  * What is new stands in CHANGELOG.md, which is changelog.gz in the package." "" \
  " -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")" >"$stage/debian/changelog"
(cd "$stage" && TOP=$top dpkg-buildpackage --build=binary --no-sign >"$top/build/deb/log" 2>&1) || {
  tail -n 30 build/deb/log >&2
  exit 70
}
rm -f build/tidemill_*.deb
mv build/deb/tidemill_*.deb build/
rm -rf "$stage"
package=$(find build -maxdepth 1 -name 'tidemill_*.deb')
if command -v lintian >/dev/null; then
  # As root lintian warns of that, which is no news here.
  lintian --fail-on error,warning --allow-root "$package"
fi
echo "$package"
