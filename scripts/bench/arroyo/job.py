# SPDX-License-Identifier: MIT
"""The benchmark's job in Arroyo: job.py BOOTSTRAP IN OUT GROUP READ KEPT STARTED [name=value...].

It ends at the ends that IN has now. With processes=0 the job runs in the main process. Prints one line of JSON; seconds
run from the first message to the last acknowledgement.
"""
import json
import sys
import time

import orjson
from arroyo import Message, Topic
from arroyo.backends.kafka import KafkaConsumer, KafkaPayload, KafkaProducer
from arroyo.backends.kafka.configuration import (
    build_kafka_consumer_configuration,
    build_kafka_producer_configuration,
)
from arroyo.commit import ONCE_PER_SECOND
from arroyo.processing import StreamProcessor
from arroyo.processing.strategies import (
    CommitOffsets,
    Produce,
    ProcessingStrategyFactory,
    RunTask,
    RunTaskWithMultiprocessing,
)
from arroyo.processing.strategies.run_task_with_multiprocessing import MultiprocessingPool
from arroyo.types import FILTERED_PAYLOAD
from confluent_kafka import Consumer, TopicPartition

def transform(message: Message[KafkaPayload]):
    event = orjson.loads(message.payload.value)
    if event["level"] == "debug":
        return FILTERED_PAYLOAD
    event["v"] = event.pop("value") * 2
    event["seen"] = True
    return KafkaPayload(message.payload.key, orjson.dumps(event), message.payload.headers)


def ends_of(bootstrap: str, topic: str) -> dict:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "ends"})
    partitions = consumer.list_topics(topic).topics[topic].partitions
    ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in partitions}
    consumer.close()
    return {p: end for p, end in ends.items() if end > 0}


class First:
    """Goes before a strategy, and notes when the first message comes."""

    started = None

    def __init__(self, next_step, path):
        self.__next_step, self.__path = next_step, path
        for name in ("poll", "close", "join", "terminate"):
            setattr(self, name, getattr(next_step, name))

    def submit(self, message):
        if First.started is None:
            First.started = time.monotonic()
            open(self.__path, "a").close()
        self.__next_step.submit(message)


class CommitUntil(CommitOffsets):
    """Calls done() once all of `ends` have been reached."""

    def __init__(self, commit, ends, done):
        super().__init__(commit)
        self.__left, self.__done = dict(ends), done

    def submit(self, message):
        super().submit(message)
        for partition, offset in message.committable.items():
            if offset >= self.__left.get(partition.index, float("inf")):
                del self.__left[partition.index]
                if not self.__left:
                    self.__done()


class Factory(ProcessingStrategyFactory):
    def __init__(self, producer, topic, ends, done, started, processes, batch):
        self.pool = MultiprocessingPool(processes) if processes > 0 else None
        self.producer, self.topic, self.ends, self.done = producer, topic, ends, done
        self.started, self.batch = started, batch

    def create_with_partitions(self, commit, partitions):
        produce = Produce(
            self.producer, self.topic, CommitUntil(commit, self.ends, self.done), 100000
        )
        if not self.pool:
            return First(RunTask(transform, produce), self.started)
        task = RunTaskWithMultiprocessing(
            function=transform,
            next_step=produce,
            max_batch_size=self.batch,
            max_batch_time=1.0,
            pool=self.pool,
            input_block_size=None,
            output_block_size=None,
        )
        return First(task, self.started)

    def shutdown(self):
        if self.pool:
            self.pool.close()


def main(arguments, words) -> None:
    bootstrap, source, sink, group, _, _, started = arguments
    ends = ends_of(bootstrap, source)
    finished = []
    producer = KafkaProducer(
        build_kafka_producer_configuration(
            {"enable.idempotence": True, "linger.ms": 20, "compression.type": "none"},
            bootstrap_servers=[bootstrap]
        ),
        use_simple_futures=True,
    )
    consumer = KafkaConsumer(
        build_kafka_consumer_configuration(
            {}, group_id=group, auto_offset_reset="earliest", bootstrap_servers=[bootstrap]
        )
    )

    def done():
        finished.append(time.monotonic())
        processor.signal_shutdown()

    factory = Factory(
        producer, Topic(sink), ends, done, started, int(words["processes"]), int(words["batch"])
    )
    processor = StreamProcessor(consumer, Topic(source), factory, ONCE_PER_SECOND)
    processor.run()
    producer.close().result()
    seconds = finished[0] - First.started
    print(json.dumps({"read": sum(ends.values()), "seconds": round(seconds, 3)}))


if __name__ == "__main__":
    main(sys.argv[1:8], dict(word.split("=") for word in sys.argv[8:]))
