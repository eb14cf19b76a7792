/* SPDX-License-Identifier: MIT
 * Messages of all partitions, one event each, from the data queue. At most TIDE_KAFKA_BORROWED are held
 * here; the rest waits in librdkafka, which stops fetching when its queue is full. */
#include <librdkafka/rdkafka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/headers.h"
#include "kafka/source/inside.h"
#include "shm/counters.h"
#include "shm/layout.h"

enum { LARGE_HEADERS = 65536 }; /* not worth keeping for the next message */
static const int64_t STILL_US = 30000000;

/* ---- from a message to the engine's ---- */

static uint32_t find_index(struct tide_kafka_source *source, const rd_kafka_message_t *record)
{
    if (record->rkt == source->last_handle && record->partition == source->last_number)
        return source->last_index;
    int index = tide_kafka_source_find(source, rd_kafka_topic_name(record->rkt), record->partition);
    if (index < 0)
        return UINT32_MAX;
    source->last_handle = record->rkt;
    source->last_number = record->partition;
    source->last_index = (uint32_t)index;
    return (uint32_t)index;
}

static void pack_headers(struct tide_kafka_borrowed *borrowed, const rd_kafka_message_t *record,
                         struct tide_message *message)
{
    rd_kafka_headers_t *headers;
    if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    borrowed->headers.length = 0;
    tide_kafka_headers_pack(&borrowed->headers, headers);
    message->headers = borrowed->headers.data;
    message->headers_length = (uint32_t)borrowed->headers.length;
}

static void convert(struct tide_kafka_source *source, struct tide_kafka_borrowed *borrowed,
                    const rd_kafka_message_t *record, struct tide_message *message)
{
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

/* ---- events of the data queue ---- */

static void fail_for_data(struct tide_kafka_source *source, uint32_t index, int64_t offset,
                          const char *text)
{
    tide_kafka_source_fail(source,
                           tide_fail(TIDE_EDATA,
                                     "topic \"%s\" partition %d offset %lld: %s; to leave out what "
                                     "cannot be read, move the group's offset behind it",
                                     tide_kafka_source_topic(source, index),
                                     source->partitions[index].number, (long long)offset, text));
}

/* librdkafka goes on behind a record that it cannot read, or asks for it for ever. */
static bool is_unreadable(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
           error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

/* Everything before `offset` was given; between it and the last message lie markers of transactions, or what was aborted. */
static void pass(struct tide_kafka_source *source, struct tide_kafka_partition *partition,
                 int64_t offset)
{
    if (partition->target >= 0 && offset > partition->target)
        offset = partition->target; /* messages behind it are dropped */
    if (offset <= partition->next)
        return;
    partition->next = partition->passed = offset;
    partition->passed_due = source->passed_due = true;
}

/* Of a topic that was deleted, or of one that a broker did not know for a moment: source/resolve.c tells once it is back. */
static bool is_gone(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
           error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
           error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

static void on_error(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = rd_kafka_event_error(event);
    rd_kafka_topic_partition_t *where = rd_kafka_event_topic_partition(event);
    int index = where ? tide_kafka_source_find(source, where->topic, where->partition) : -1;
    struct tide_kafka_partition *partition = index < 0 ? NULL : &source->partitions[index];
    bool assigned = partition && tide_kafka_is_assigned(partition);
    if (assigned && is_gone(error)) {
        partition->missing = true;
        tide_known_topics_forget(&source->known_topics, where->topic);
    }
    if (assigned && partition->missing && error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition->out_of_range = true;
    } else if (assigned && error == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        partition->at_end = true;
        partition->stable = where->offset;
        pass(source, partition, where->offset);
    } else if (assigned && error == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        partition->out_of_range = true;
    } else if (assigned && is_unreadable(error)) {
        fail_for_data(source, (uint32_t)index, where->offset, rd_kafka_event_error_string(event));
    } else if (assigned && partition->last_error != error) {
        partition->last_error = error;
        tide_log(TIDE_LOG_WARN, "topic \"%s\" partition %d: %s", where->topic, where->partition,
                 rd_kafka_event_error_string(event));
    }
    if (where)
        rd_kafka_topic_partition_destroy(where);
}

/* True when the event is a message for the engine, which is borrowed now. */
static bool borrow(struct tide_kafka_source *source, rd_kafka_event_t *event)
{
    if (rd_kafka_event_type(event) != RD_KAFKA_EVENT_FETCH) {
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            on_error(source, event);
        return false;
    }
    const rd_kafka_message_t *record = rd_kafka_event_message_next(event);
    uint32_t index = record ? find_index(source, record) : UINT32_MAX;
    if (index == UINT32_MAX)
        return false;
    struct tide_kafka_partition *partition = &source->partitions[index];
    if (partition->assignment != TIDE_KAFKA_OWNED)
        return false;         /* from before a rebalance */
    if (partition->missing) { /* it is back: nothing is taken before it is known to be the same */
        partition->out_of_range = true;
        return false;
    }
    if (record->offset < partition->next) {
        tide_count(source->counters, 0, TIDE_M_REFETCHED, 1);
        return false;
    }
    if (partition->target >= 0 && record->offset >= partition->target) {
        partition->at_end = true;
        pass(source, partition, partition->target);
        return false;
    }
    partition->next = record->offset + 1;
    partition->last_error = 0;
    partition->stable = -1;
    struct tide_kafka_borrowed *borrowed = &source->borrowed[source->borrowed_end];
    borrowed->event = event;
    borrowed->partition = index;
    convert(source, borrowed, record, &source->messages[source->borrowed_end]);
    source->borrowed_end++;
    return true;
}

ssize_t tide_kafka_fetch_poll(struct tide_kafka_source *source, struct tide_message *messages,
                              size_t max)
{
    rd_kafka_event_t *event;
    if (source->borrowed_first == source->borrowed_end)
        source->borrowed_first = source->borrowed_end = 0;
    if (max > TIDE_KAFKA_BORROWED)
        max = TIDE_KAFKA_BORROWED;
    while (source->borrowed_end - source->borrowed_first < max &&
           source->borrowed_end < TIDE_KAFKA_BORROWED &&
           (event = rd_kafka_queue_poll(source->data, 0))) {
        source->heard_us = tide_clock_us();
        if (!borrow(source, event))
            rd_kafka_event_destroy(event);
    }
    size_t count = source->borrowed_end - source->borrowed_first;
    if (count == 0 && source->state == TIDE_KAFKA_RUNNING && !source->resolving)
        tide_kafka_wake_fetcher(source);
    if (count > max)
        count = max;
    memcpy(messages, &source->messages[source->borrowed_first], count * sizeof(*messages));
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
    tide_require(count <= source->borrowed_end - source->borrowed_first);
    for (; count > 0; count--)
        give_back(&source->borrowed[source->borrowed_first++]);
}

void tide_kafka_fetch_purge(struct tide_kafka_source *source, bool all)
{
    uint32_t kept = source->borrowed_first;
    for (uint32_t i = source->borrowed_first; i < source->borrowed_end; i++) {
        if (!all &&
            source->partitions[source->borrowed[i].partition].assignment == TIDE_KAFKA_OWNED) {
            struct tide_kafka_borrowed swap =
                source->borrowed[kept]; /* with its room for headers */
            source->borrowed[kept] = source->borrowed[i];
            source->borrowed[i] = swap;
            source->messages[kept++] = source->messages[i];
        } else {
            give_back(&source->borrowed[i]);
        }
    }
    source->borrowed_end = kept;
}

/* Once the engine has taken all that was given before. */
static void emit_passed(struct tide_kafka_source *source)
{
    if (!source->passed_due || source->borrowed_first != source->borrowed_end)
        return;
    uint32_t *indexes = tide_alloc((source->partition_count + 1) * sizeof(*indexes));
    uint32_t count = 0;
    for (uint32_t i = 0; i < source->shown_count; i++) {
        struct tide_kafka_partition *partition = &source->partitions[i];
        if (!partition->passed_due || partition->assignment != TIDE_KAFKA_OWNED)
            continue;
        partition->passed_due = false;
        source->shown[i].passed = partition->passed;
        indexes[count++] = i;
    }
    source->passed_due = false;
    if (count > 0)
        tide_kafka_source_emit(source, TIDE_SOURCE_PASSED, TIDE_OK, indexes, count, NULL);
    free(indexes);
}

/* What a reader of committed messages does not get lies between the last stable offset and the high watermark. Neither is
 * asked for: both came with the last answer to a fetch. */
static bool holds_back(const struct tide_kafka_source *source, uint32_t index, int64_t *high)
{
    const struct tide_kafka_partition *partition = &source->partitions[index];
    int64_t low;
    return partition->stable >= 0 && source->borrowed_first == source->borrowed_end &&
           rd_kafka_queue_length(source->data) == 0 &&
           !rd_kafka_get_watermark_offsets(source->client, tide_kafka_source_topic(source, index),
                                           partition->number, &low, high) &&
           *high > partition->stable;
}

static void say_held_back(const struct tide_kafka_source *source, uint32_t index, int64_t high)
{
    const struct tide_kafka_partition *partition = &source->partitions[index];
    tide_log(TIDE_LOG_WARN,
             "topic \"%s\" partition %d: a transaction that has not ended begins at offset %lld: "
             "what is there up to %lld is %s",
             tide_kafka_source_topic(source, index), partition->number,
             (long long)partition->stable, (long long)high,
             source->plan.until_end ? "not read (until_end stops before it)" : "read once it has");
}

void tide_kafka_fetch_still(struct tide_kafka_source *source, uint32_t index, int64_t now_us)
{
    struct tide_kafka_partition *partition = &source->partitions[index];
    int64_t high;
    if (source->paused || !holds_back(source, index, &high)) {
        partition->still_us = 0;
        partition->still_logged = false;
        return;
    }
    if (partition->still_us == 0)
        partition->still_us = now_us;
    if (!partition->still_logged && now_us - partition->still_us >= STILL_US)
        say_held_back(source, index, high);
    partition->still_logged |= now_us - partition->still_us >= STILL_US;
}

void tide_kafka_fetch_end(struct tide_kafka_source *source)
{
    emit_passed(source);
    if (!source->plan.until_end || source->ended || !source->settled ||
        source->borrowed_first != source->borrowed_end || source->assigned_waiting > 0 ||
        source->resolving || source->leaving || source->rebalances)
        return;
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].assignment == TIDE_KAFKA_OWNED && !source->partitions[i].at_end)
            return;
    int64_t high;
    for (uint32_t i = 0; i < source->partition_count; i++)
        if (source->partitions[i].assignment == TIDE_KAFKA_OWNED && holds_back(source, i, &high))
            say_held_back(source, i, high);
    source->ended = true;
    tide_kafka_source_emit(source, TIDE_SOURCE_END, TIDE_OK, NULL, 0, NULL);
}
