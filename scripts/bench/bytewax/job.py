# SPDX-License-Identifier: MIT
"""The benchmark's job in Bytewax: job.py BOOTSTRAP IN OUT GROUP READ KEPT STARTED [name=value...], to the ends of IN.

Each process reads its share of the partitions. Offsets are kept in snapshots once a second, which is how Bytewax
commits. Prints one line of JSON; seconds run from the first message to the last acknowledgement.
"""
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import bytewax.operators as op
import orjson
from bytewax._bytewax import init_db_dir
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

CHILD = "BENCH_CHILD"
PRODUCER = {"enable.idempotence": "true", "linger.ms": "20", "compression.codec": "none"}
count = 0


def begin(path: str) -> None:
    """Makes the file that tells when the first message came, if no other process has."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return
    os.write(file, str(time.monotonic()).encode())
    os.close(file)


def flow_of(bootstrap: str, source: str, sink: str, started: str, batch: int) -> Dataflow:
    def transform(messages):
        global count
        if count == 0:
            begin(started)
        count += len(messages)
        results = []
        for message in messages:
            event = orjson.loads(message.value)
            if event["level"] == "debug":
                continue
            event["v"] = event.pop("value") * 2
            event["seen"] = True
            results.append(KafkaSinkMessage(message.key, orjson.dumps(event)))
        return results

    flow = Dataflow("bench")
    messages = op.input("in", flow, KafkaSource([bootstrap], [source], tail=False, batch_size=batch))
    op.output("out", op.flat_map_batch("job", messages, transform), KafkaSink([bootstrap], sink, PRODUCER))
    return flow


def child(arguments, words, place: str, addresses, number: int) -> None:
    bootstrap, source, sink, _, _, _, started = arguments
    flow = flow_of(bootstrap, source, sink, started, int(words["batch"]))
    cluster_main(
        flow,
        addresses,
        number,
        epoch_interval=timedelta(seconds=1),
        recovery_config=RecoveryConfig(place),
        worker_count_per_proc=1,
    )
    print(json.dumps({"read": count, "ended": time.monotonic()}))


def free_addresses(wanted: int):
    sockets = [socket.socket() for _ in range(wanted)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = ["127.0.0.1:%d" % one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return addresses


def parent(arguments, words) -> None:
    processes = int(words["processes"])
    addresses = free_addresses(processes) if processes > 1 else []
    with tempfile.TemporaryDirectory() as place:
        init_db_dir(Path(place), processes)
        children = []
        for number in range(processes):
            environment = dict(os.environ)
            environment[CHILD] = json.dumps([place, addresses, number])
            children.append(
                subprocess.Popen([sys.executable, *sys.argv], env=environment, stdout=subprocess.PIPE)
            )
        # A process that is up before the one that it connects to says so on its standard output, before the figures.
        results = [json.loads(one.communicate()[0].splitlines()[-1]) for one in children]
    if any(one.returncode for one in children):
        sys.exit(70)
    began = float(Path(arguments[6]).read_text())
    seconds = max(result["ended"] for result in results) - began
    print(json.dumps({"read": sum(result["read"] for result in results), "seconds": round(seconds, 3)}))


def main() -> None:
    arguments, words = sys.argv[1:8], dict(word.split("=") for word in sys.argv[8:])
    if CHILD in os.environ:
        child(arguments, words, *json.loads(os.environ[CHILD]))
    else:
        parent(arguments, words)


if __name__ == "__main__":
    main()
