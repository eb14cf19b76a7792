#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks packaging/kubernetes against the published schemas: kubernetes.sh [FILE]... (scripts/dev/kubernetes.py). What that takes is
# fetched once, into build/kubernetes. Exit code 65: something is wrong; 69: the schemas cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
packages=(kubernetes-validate==1.37.0 cloudcoil==0.6.0 cloudcoil-models-keda==2.16.1.0 cloudcoil-models-prometheus-operator==0.80.1.0)
folder=$PWD/build/kubernetes

if [ ! -e "$folder/kubernetes_validate" ]; then
  rm -rf "$folder" "$folder.part"
  echo "kubernetes: fetching ${packages[*]}, once" >&2
  python3 -m pip install -q --disable-pip-version-check --target "$folder.part" "${packages[@]}" >&2 || {
    echo "kubernetes: pip cannot fetch the schemas" >&2
    exit 69
  }
  mv "$folder.part" "$folder"
fi
PYTHONPATH=$folder exec python3 scripts/dev/kubernetes.py "$@"
