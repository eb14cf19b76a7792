#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make pictures` runs: docs/pictures/*.svg from the texts beside them, by Graphviz. Each follows the colours of the
# reader's system, light or dark, and has a background of its own, since a site may have other colours than the system.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../docs/pictures" || exit 70
style='<style>svg{background:#ffffff} text{fill:#24292f} path,polygon,polyline,ellipse{stroke:#57606a} polygon[fill="black"]{fill:#57606a}
.ours path{fill:#d8f0ec} .users path{fill:#fdf0d5}
@media (prefers-color-scheme: dark){svg{background:#0d1117} text{fill:#e6edf3} path,polygon,polyline,ellipse{stroke:#9198a1}
polygon[fill="black"]{fill:#9198a1} .ours path{fill:#0f4a43} .users path{fill:#5a4210}}</style>'
for text in *.dot; do
  dot -Tsvg "$text" | awk -v style="$style" '{ print } /^ viewBox=/ { print style }' >"${text%.dot}.svg"
done
