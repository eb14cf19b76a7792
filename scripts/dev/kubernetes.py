# SPDX-License-Identifier: MIT
"""Checks packaging/kubernetes (or the files that are named) against published schemas: Kubernetes' own by
kubernetes-validate, those of PodMonitor and ScaledObject by cloudcoil's models, which are made from the definitions that the
two projects publish. Ends with 65 when something is wrong. scripts/dev/kubernetes.sh fetches what it takes."""
import glob
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda.v1alpha1 import ScaledObject
from cloudcoil.models.prometheus_operator.v1 import PodMonitor

MODELS = {("keda.sh/v1alpha1", "ScaledObject"): ScaledObject, ("monitoring.coreos.com/v1", "PodMonitor"): PodMonitor}
OURS = {"Kustomization"}  # a file of kustomize, which no cluster sees


def unknown(given, known, path):
    """What the model has dropped since it has no such field."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            if name not in known:
                yield f"{path}.{name}: no such field"
            else:
                yield from unknown(value, known[name], f"{path}.{name}")
    elif isinstance(given, list) and isinstance(known, list):
        for number, (one, other) in enumerate(zip(given, known)):
            yield from unknown(one, other, f"{path}[{number}]")


def faults(document):
    model = MODELS.get((document["apiVersion"], document["kind"]))
    try:
        if model is None:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
            return
        made = model.model_validate(document)
        yield from unknown(document, made.model_dump(by_alias=True, exclude_unset=True, mode="json"), document["kind"])
    except Exception as problem:  # each of the two has classes of its own
        yield str(problem)


def main(paths):
    count, wrong = 0, 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            documents = [document for document in yaml.safe_load_all(file) if document]
        for document in documents:
            if document["kind"] in OURS:
                continue
            count += 1
            for fault in faults(document):
                wrong += 1
                print(f"{path}: {document['kind']}: {fault}", file=sys.stderr)
    if count == 0:
        print("kubernetes: nothing to check", file=sys.stderr)
        return 66
    if not wrong:
        print(f"kubernetes: {count} objects are as Kubernetes {kubernetes_validate.latest_version()} and the operators want them")
    return 65 if wrong else 0


sys.exit(main(sys.argv[1:] or sorted(glob.glob("packaging/kubernetes/*.yaml"))))
