/* SPDX-License-Identifier: MIT
 * Messages, from librdkafka's queue to the engine. The queues of all partitions are forwarded to one, `data`, and
 * each of its events has one record. The engine borrows records: their bytes stay librdkafka's until it has copied
 * them into a block, so a message is copied once. At most TIDE_KAFKA_BORROWED are here; the others wait in
 * librdkafka, which stops fetching when its queue is full. The queue also says where a partition ends: that is how
 * until_end knows when to stop, and how offsets after the last message (the markers of transactions) are passed.
 * Start reading at tide_kafka_fetch_poll. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/headers.h"
#include "kafka/outage.h"
#include "kafka/source/inside.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum { LARGE_HEADERS = 65536 /* bytes; not worth keeping for the next record */ };
static const int64_t QUIET_US = 5000000; /* when nothing came for so long, a broker is asked */

/* ---- where reading stands ---- */

void tide_kafka_fetch_begin(struct tide_kafka_source *source, uint32_t index,
                            const struct tide_start_question *known, int64_t offset)
{
    struct tide_kafka_partition *partition = &source->partitions[index];
    partition->read.next = partition->read.begin = offset;
    partition->read.end = known->high;
    partition->read.stop = source->plan.until_end ? known->high : -1;
    /* Even an empty partition is at its end only when a fetch has said so, which also tells of open transactions. */
    partition->read.at_end = false;
    partition->read.last_error = 0;
    partition->passed.offset = partition->read.stable = -1;
    partition->passed.due = false;
    partition->open_transaction = (struct tide_kafka_open_transaction){0};
    source->fetch.last_handle = NULL; /* librdkafka may make another one for the topic */
}

/* If nothing was read, the beginning moves too: the difference of the two is what shows that something was. */
void tide_kafka_fetch_move(struct tide_kafka_partition *partition, int64_t offset)
{
    if (partition->read.next == partition->read.begin)
        partition->read.begin = offset;
    partition->read.next = offset;
    partition->read.at_end = partition->read.stop >= 0 && offset >= partition->read.stop;
}

bool tide_kafka_fetch_is_any_borrowed(const struct tide_kafka_source *source)
{
    return source->fetch.first != source->fetch.end;
}

/* ---- from a record to a message ---- */

/* Most messages have the partition of the one before, and comparing a handle costs less than finding a name. */
static uint32_t find_index(struct tide_kafka_source *source, const rd_kafka_message_t *record)
{
    if (record->rkt == source->fetch.last_handle && record->partition == source->fetch.last_number)
        return source->fetch.last_index;
    int index = tide_kafka_partition_find(source, rd_kafka_topic_name(record->rkt),
                                          record->partition);
    if (index < 0)
        return UINT32_MAX;
    source->fetch.last_handle = record->rkt;
    source->fetch.last_number = record->partition;
    source->fetch.last_index = (uint32_t)index;
    return (uint32_t)index;
}

/* Key and value stay where librdkafka has them. Headers are the exception, since blocks have them in another form. */
static void pack_headers(struct tide_kafka_borrowed *borrowed, const rd_kafka_message_t *record,
                         struct tide_message *message)
{
    rd_kafka_headers_t *headers;
    if (tide_kafka_headers_absent(record->payload, record->len) ||
        rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    borrowed->headers.length = 0;
    tide_kafka_headers_pack(&borrowed->headers, headers);
    message->headers = borrowed->headers.data;
    message->headers_length = (uint32_t)borrowed->headers.length;
}

static void convert(const struct tide_kafka_source *source, struct tide_kafka_borrowed *borrowed,
                    struct tide_message *message)
{
    const rd_kafka_message_t *record = borrowed->record;
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(record, &type);
    *message = (struct tide_message){
        .value = record->payload,
        .key = record->key,
        .value_length = (uint32_t)record->len,
        .key_length = (uint32_t)record->key_len,
        .topic = source->partitions[borrowed->partition].topic,
        .timestamp = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp,
        .offset = record->offset,
        .partition = record->partition,
        .target_topic = TIDE_TOPIC_NONE,
        .target_partition = TIDE_PARTITION_ANY,
        .origin.partition = (uint16_t)borrowed->partition,
    };
    pack_headers(borrowed, record, message);
}

/* ---- the events of the data queue ---- */

/* It ends the source: leaving the message out is for the operator to decide, who is told its offset. */
static void fail_for_data(struct tide_kafka_source *source, uint32_t index, int64_t offset,
                          const char *text)
{
    tide_kafka_source_fail(source,
                           tide_fail(TIDE_EDATA,
                                     "topic \"%s\" partition %d offset %lld: %s; to leave out what "
                                     "cannot be read, move the group's offset behind it",
                                     tide_kafka_partition_topic(source, index),
                                     source->partitions[index].number, (long long)offset, text));
}

/* Waiting does not help: librdkafka skips such a record, or asks for it for ever. */
static bool is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

/* The topic was deleted, or a broker did not know it for a moment: source/resolve.c finds out which, once it is
 * back. */
static bool is_missing(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

/* Every message before `offset` was given. Between it and the last message there are only markers of transactions, and
 * messages of transactions that were aborted. */
static void pass_to(struct tide_kafka_source *source, struct tide_kafka_partition *partition,
                    int64_t offset)
{
    if (partition->read.stop >= 0 && offset > partition->read.stop)
        offset = partition->read.stop; /* the messages after it are dropped */
    if (offset <= partition->read.next)
        return;
    partition->read.next = partition->passed.offset = offset;
    partition->passed.due = source->fetch.passed_due = true;
}

static void on_end_of_partition(struct tide_kafka_source *source,
                                struct tide_kafka_partition *partition, int64_t offset)
{
    tide_kafka_partition_observe(source, partition, TIDE_KAFKA_SEEN_THERE);
    if (tide_kafka_is_missing(partition))
        return; /* it is back, but maybe as another topic */
    partition->read.at_end = true;
    partition->read.stable = offset;
    pass_to(source, partition, offset);
}

/* librdkafka may report an error with each fetch, so one is logged again only after another one or a message. */
static void on_partition_error(struct tide_kafka_source *source, uint32_t index,
                               const rd_kafka_topic_partition_t *where, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    struct tide_kafka_partition *partition = &source->partitions[index];
    if (is_missing(error)) {
        tide_kafka_partition_observe(source, partition, TIDE_KAFKA_SEEN_MISSING);
        tide_known_topics_forget(&source->known_topics, where->topic);
    }
    if (error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        on_end_of_partition(source, partition, where->offset);
    } else if (error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        tide_kafka_partition_observe(source, partition, TIDE_KAFKA_SEEN_OUT_OF_RANGE);
    } else if (is_unreadable(error)) {
        fail_for_data(source, index, where->offset, rd_kafka_event_error_string(event));
    } else if (partition->read.last_error != (int)error) {
        partition->read.last_error = error;
        tide_log(TIDE_LOG_WARN, "topic \"%s\" partition %d: %s", where->topic, where->partition,
                 rd_kafka_event_error_string(event));
    }
}

/* An error of a partition that is not assigned is left over from before a rebalance. */
static void on_error(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    int index = where ? tide_kafka_partition_find(source, where->topic, where->partition) : -1;
    if (index >= 0)
        tide_kafka_unheard_end(&source->partitions[index]);
    if (index >= 0 && tide_kafka_is_assigned(&source->partitions[index]))
        on_partition_error(source, (uint32_t)index, where, event);
    if (where)
        rd_kafka_topic_partition_destroy(where);
}

/* True when the record is for the engine; otherwise it is dropped here. */
static bool is_wanted(struct tide_kafka_source *source, struct tide_kafka_partition *partition,
                      int64_t offset)
{
    if (partition->assignment != TIDE_KAFKA_OWNED)
        return false; /* it comes from before a rebalance */
    if (tide_kafka_is_missing(partition)) {
        /* The topic is back: nothing is taken before it is known to be the same one. */
        tide_kafka_partition_observe(source, partition, TIDE_KAFKA_SEEN_THERE);
        return false;
    }
    if (offset < partition->read.next) { /* the engine has it: librdkafka fetched it again */
        tide_count(source->counters, 0, TIDE_M_REFETCHED, 1);
        return false;
    }
    if (partition->read.stop >= 0 && offset >= partition->read.stop) {
        partition->read.at_end = true;
        pass_to(source, partition, partition->read.stop);
        return false;
    }
    return true;
}

/* It is paused before it is assigned (assign.c), and librdkafka may lose that (unheard.c). */
static void fail_for_held(struct tide_kafka_source *source, uint32_t index)
{
    tide_kafka_source_fail(source,
                           tide_fail(TIDE_ETEMPORARY,
                                     "topic \"%s\" partition %d: librdkafka did not pause it "
                                     "while its state is restored; start again",
                                     tide_kafka_partition_topic(source, index),
                                     source->partitions[index].number));
}

/* True when the engine may borrow the event's record; then the event is kept. */
static bool borrow(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
        on_error(source, event);
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH)
        return false;
    const rd_kafka_message_t *record = rd_kafka_event_message_next(event);
    uint32_t index = record ? find_index(source, record) : UINT32_MAX;
    if (index == UINT32_MAX)
        return false;
    struct tide_kafka_partition *partition = &source->partitions[index];
    if (partition->unheard.since_us != 0)
        tide_kafka_unheard_end(partition);
    if (!is_wanted(source, partition, record->offset))
        return false;
    if (partition->held) {
        fail_for_held(source, index);
        return false;
    }
    partition->read.next = record->offset + 1;
    partition->read.last_error = 0;
    partition->read.stable = -1;
    struct tide_kafka_borrowed *borrowed = &source->fetch.records[source->fetch.end++];
    borrowed->event = event;
    borrowed->record = record;
    borrowed->partition = index;
    return true;
}

/* ---- what the engine borrows ---- */

static size_t borrowed_count(const struct tide_kafka_source *source)
{
    return source->fetch.end - source->fetch.first;
}

/* The array is filled from its beginning only when all of it was taken, so what is borrowed lies in one piece. */
static void borrow_more(struct tide_kafka_source *source, size_t max)
{
    rd_kafka_event_t *event = NULL;
    uint64_t polled = source->fetch.polled;
    if (!tide_kafka_fetch_is_any_borrowed(source))
        source->fetch.first = source->fetch.end = 0;
    while (borrowed_count(source) < max && source->fetch.end < TIDE_KAFKA_BORROWED &&
           (event = rd_kafka_queue_poll(source->data, 0))) {
        source->fetch.polled++;
        if (!borrow(source, event))
            rd_kafka_event_destroy(event);
    }
    if (source->fetch.polled != polled)
        source->fetch.heard_us = tide_clock_us();
}

/* The bytes of a record were written by librdkafka's thread a while ago, so reading them waits for memory. What is asked
 * for now is there when this record's turn comes: both of its ends, where headers.c looks, and the rest comes along. */
static void ask_for_bytes(const struct tide_kafka_borrowed *borrowed)
{
    const char *value = borrowed->record->payload;
    if (!value)
        return;
    __builtin_prefetch(value);
    __builtin_prefetch(value + borrowed->record->len);
}

/* A queue that runs empty may mean that librdkafka has stopped fetching, hence the wake. */
ssize_t tide_kafka_fetch_poll(struct tide_kafka_source *source, struct tide_message *messages,
                              size_t max)
{
    borrow_more(source, max);
    size_t count = borrowed_count(source) < max ? borrowed_count(source) : max, bytes = 0;
    struct tide_kafka_borrowed *records = &source->fetch.records[source->fetch.first];
    for (size_t i = 0; i < count; i++) {
        if (i + TIDE_MESSAGES_AHEAD < count)
            ask_for_bytes(&records[i + TIDE_MESSAGES_AHEAD]);
        convert(source, &records[i], &messages[i]);
        bytes += messages[i].value_length + messages[i].key_length;
    }
    if (source->state == TIDE_KAFKA_RUNNING && !source->rebalance.resolving)
        tide_kafka_wake_fetcher(source, count, bytes);
    return source->failed ? 0 : (ssize_t)count;
}

static void give_back(struct tide_kafka_borrowed *borrowed)
{
    rd_kafka_event_destroy(borrowed->event);
    borrowed->event = NULL;
    if (borrowed->headers.capacity > LARGE_HEADERS)
        tide_text_free(&borrowed->headers);
}

void tide_kafka_fetch_take(struct tide_kafka_source *source, size_t count)
{
    tide_require(count <= borrowed_count(source));
    for (; count > 0; count--)
        give_back(&source->fetch.records[source->fetch.first++]);
}

/* After its REVOKED event exists, no message of a partition may come (io/source.h), not even one that was borrowed and
 * not taken. When the client is destroyed, all go back to it. */
void tide_kafka_fetch_purge(struct tide_kafka_source *source, bool all)
{
    struct tide_kafka_borrowed *records = source->fetch.records;
    uint32_t kept = source->fetch.first;
    for (uint32_t i = source->fetch.first; i < source->fetch.end; i++) {
        if (!all && source->partitions[records[i].partition].assignment == TIDE_KAFKA_OWNED) {
            /* Swapped, not copied: the memory for headers stays in the array. */
            struct tide_kafka_borrowed swap = records[kept];
            records[kept++] = records[i];
            records[i] = swap;
        } else {
            give_back(&records[i]);
        }
    }
    source->fetch.end = kept;
}

void tide_kafka_fetch_free(struct tide_kafka_source *source)
{
    for (uint32_t i = 0; i < TIDE_KAFKA_BORROWED; i++)
        tide_text_free(&source->fetch.records[i].headers);
}

/* ---- other events for the engine ---- */

void tide_kafka_fetch_emit_passed(struct tide_kafka_source *source)
{
    /* An offset counts as passed when the engine has taken every message before it. */
    if (!source->fetch.passed_due || tide_kafka_fetch_is_any_borrowed(source))
        return;
    uint32_t *indexes = tide_alloc((source->partition_count + 1) * sizeof(*indexes));
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->partition_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!partition->passed.due || partition->assignment != TIDE_KAFKA_OWNED)
            continue;
        partition->passed.due = false;
        indexes[count++] = i;
    }
    source->fetch.passed_due = false;
    if (count > 0)
        tide_kafka_source_emit(source, TIDE_SOURCE_PASSED, TIDE_OK, indexes, count, NULL);
    free(indexes);
}

/* A broker that is stopped, or whose host is gone, keeps its connections, and librdkafka notices only after a
 * minute. */
void tide_kafka_fetch_ask_when_quiet(struct tide_kafka_source *source, int64_t now_us)
{
    if (source->paused || now_us - source->fetch.heard_us < QUIET_US)
        return;
    source->fetch.heard_us = now_us;
    tide_kafka_outage_begin(source->outage);
}
