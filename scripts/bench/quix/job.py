# SPDX-License-Identifier: MIT
"""The benchmark's job in Quix Streams: job.py BOOTSTRAP IN OUT GROUP READ KEPT STARTED [name=value...].

Runs as many processes of one group as told, until READ messages are read. Prints one line of JSON; seconds run from the
first message to the last acknowledgement and commit.
"""
import json
import multiprocessing
import sys
import tempfile
import threading
import time

import orjson
from quixstreams import Application

PRODUCER = {"enable.idempotence": True, "linger.ms": 20, "compression.codec": "none"}


def watch(app, counts, read):
    while sum(counts) < read:
        time.sleep(0.02)
    app.stop()


def run(number, barrier, counts, times, arguments):
    bootstrap, source, sink, group, read, _, started = arguments
    count = 0

    def transform(value):
        nonlocal count
        if count == 0:
            times[number] = time.monotonic()
            open(started, "a").close()
        count += 1
        counts[number] = count
        event = orjson.loads(value)
        if event["level"] == "debug":
            return []
        event["v"] = event.pop("value") * 2
        event["seen"] = True
        return [orjson.dumps(event)]

    with tempfile.TemporaryDirectory() as place:
        app = Application(
            broker_address=bootstrap,
            consumer_group=group,
            auto_offset_reset="earliest",
            commit_interval=1.0,
            producer_extra_config=PRODUCER,
            state_dir=place,
            loglevel="WARNING",
            auto_create_topics=False,
            use_changelog_topics=False,
        )
        incoming = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
        outgoing = app.topic(sink, value_serializer="bytes", key_serializer="bytes")
        frame = app.dataframe(incoming)
        frame = frame.apply(transform, expand=True)
        frame.to_topic(outgoing)
        threading.Thread(target=watch, args=(app, counts, int(read)), daemon=True).start()
        barrier.wait()
        app.run()


def main(arguments, words):
    processes = int(words["processes"])
    context = multiprocessing.get_context("fork")
    counts = context.RawArray("q", processes)
    times = context.RawArray("d", processes)
    barrier = context.Barrier(processes)
    children = [
        context.Process(target=run, args=(number, barrier, counts, times, arguments)) for number in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    ended = time.monotonic()
    if any(child.exitcode for child in children):
        sys.exit(70)
    began = min(moment for moment in times if moment > 0)
    print(json.dumps({"read": sum(counts), "seconds": round(ended - began, 3)}))


if __name__ == "__main__":
    main(sys.argv[1:8], dict(word.split("=") for word in sys.argv[8:]))
