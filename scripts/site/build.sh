#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make site` runs: README, docs/ and the texts beside them as static HTML with search, into build/site/out, by
# MkDocs. A link to a page that is not there ends it. The pages are copied, since links of README begin with docs/ and
# those of docs/ lead out of it; on the site all pages stand beside each other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70
site=build/site
theme=/usr/share/mkdocs/themes/material
[ -d "$theme" ] || { echo "site: $theme is missing (scripts/dev/install.sh site)" >&2 && exit 69; }
rm -rf "$site"
mkdir -p "$site/pages"
cp -r docs/. "$site/pages"
rm -rf "$site/pages/man"
cp README.md "$site/pages/index.md"
cp ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md "$site/pages"
cp -r packaging "$site/pages/packaging"
cp scripts/site/extra.css "$site/pages"
mkdir "$site/pages/scripts"
cp scripts/*.lua "$site/pages/scripts"
find "$site/pages" -maxdepth 1 -name '*.md' -exec sed -i -E \
  -e 's|\]\(\.\./|](|g' -e 's|\]\(docs/|](|g' -e 's|\]\(README\.md|](index.md|g' {} +
cp scripts/site/mkdocs.yml "$site/mkdocs.yml"
mkdocs build --config-file "$site/mkdocs.yml" >"$site/log" 2>&1 || {
  grep -v "INFO" "$site/log" >&2
  exit 70
}
echo "$site/out/index.html"
