/* SPDX-License-Identifier: MIT
 * The reader of changelogs. It uses librdkafka's calls for single partitions, since the group and its assignment are the
 * source's. All partitions go to one queue, of which many records are taken at once. Start reading at
 * tide_changelog_poll. */
#include <librdkafka/rdkafka.h>

#include "base/clock.h"
#include "base/grow.h"
#include "base/log.h"
#include "base/status.h"
#include "kafka/changelog_inside.h"
#include "shm/layout.h"

enum { MANY = 16 };
static const int64_t OPEN_US =
    5000000; /* an open transaction that is waited for so long is logged */
static const int64_t WAKE_US = 10000;

/* ---- reading ---- */

static struct tide_changelog_part *find(struct tide_kafka_changelog *changelog, uint32_t topic,
                                        int32_t partition)
{
    for (uint32_t i = 0; i < changelog->part_count; i++) {
        struct tide_changelog_part *part = &changelog->parts[i];
        if (part->topic == topic && part->partition == partition)
            return part;
    }
    return NULL;
}

static int start(struct tide_kafka_changelog *changelog, struct tide_changelog_part *part)
{
    int64_t from = part->next < 0 ? RD_KAFKA_OFFSET_BEGINNING : part->next;
    if (part->next < 0)
        part->next = 0;
    if (rd_kafka_consume_start_queue(changelog->handles[part->topic], part->partition, from,
                                     changelog->records) == 0) {
        part->state = TIDE_CHANGELOG_READING;
        return TIDE_OK;
    }
    part->state = TIDE_CHANGELOG_IDLE;
    return tide_fail(TIDE_ETEMPORARY, "topic \"%s\" partition %d cannot be read: %s",
                     changelog->topics[part->topic], part->partition,
                     rd_kafka_err2str(rd_kafka_last_error()));
}

/* One is read at a time, and where there are many some more, since each takes a while to begin. */
static int start_next(struct tide_kafka_changelog *changelog)
{
    uint32_t reading = 0, most = 1 + changelog->part_count / MANY;
    int status = TIDE_OK;
    for (uint32_t i = 0; i < changelog->part_count; i++)
        reading += changelog->parts[i].state == TIDE_CHANGELOG_READING;
    for (uint32_t i = 0; i < changelog->part_count && reading < most && status == TIDE_OK; i++) {
        if (changelog->parts[i].state != TIDE_CHANGELOG_WAITING)
            continue;
        status = start(changelog, &changelog->parts[i]);
        reading++;
    }
    return status;
}

int tide_changelog_read(struct tide_changelog *base, uint32_t state, uint32_t index,
                        int32_t partition, int64_t offset)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    if (partition < 0 || (uint32_t)partition >= changelog->partitions)
        return tide_fail(TIDE_ECONFIG,
                         "topic \"%s\" has a partition %d, its changelog \"%s\" had only %u at the "
                         "start: make that anew with as many; the state begins empty then",
                         changelog->input, partition, changelog->topics[state],
                         changelog->partitions);
    struct tide_changelog_part *part = find(changelog, state, partition);
    if (!part) {
        tide_grow(&changelog->parts, &changelog->part_count, changelog->part_count + 1,
                  sizeof(*changelog->parts));
        part = &changelog->parts[changelog->part_count - 1];
    }
    *part = (struct tide_changelog_part){
        TIDE_CHANGELOG_WAITING, state, index, partition, offset, 0, false};
    return start_next(changelog);
}

static void stop(struct tide_kafka_changelog *changelog, struct tide_changelog_part *part)
{
    if (part->state == TIDE_CHANGELOG_READING)
        rd_kafka_consume_stop(changelog->handles[part->topic], part->partition);
    part->state = TIDE_CHANGELOG_IDLE;
}

void tide_changelog_stop(struct tide_changelog *base, uint32_t index)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    for (uint32_t i = 0; i < changelog->part_count; i++)
        if (changelog->parts[i].index == index)
            stop(changelog, &changelog->parts[i]);
}

bool tide_changelog_busy(struct tide_changelog *base)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    for (uint32_t i = 0; i < changelog->part_count; i++)
        if (changelog->parts[i].state != TIDE_CHANGELOG_IDLE)
            return true;
    return false;
}

static int64_t high_of(const struct tide_kafka_changelog *changelog,
                       const struct tide_changelog_part *part)
{
    int64_t low = 0, high = -1;
    rd_kafka_get_watermark_offsets(changelog->client, changelog->topics[part->topic],
                                   part->partition, &low, &high);
    return high;
}

int64_t tide_changelog_left(struct tide_changelog *base)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    int64_t left = 0;
    for (uint32_t i = 0; i < changelog->part_count; i++) {
        const struct tide_changelog_part *part = &changelog->parts[i];
        int64_t high = part->state == TIDE_CHANGELOG_READING ? high_of(changelog, part) : 0;
        if (high > part->next)
            left += high - part->next;
    }
    return left;
}

/* The end of what is stable. Where more is there, it is of a transaction that is not ended yet: its end will be another end
 * of the partition. */
static void on_end(struct tide_kafka_changelog *changelog, struct tide_changelog_part *part,
                   int64_t offset)
{
    int64_t now_us = tide_clock_us();
    part->next = offset;
    if (offset >= high_of(changelog, part)) {
        rd_kafka_consume_stop(changelog->handles[part->topic], part->partition);
        part->state = TIDE_CHANGELOG_ENDED;
        return;
    }
    if (part->open_us == 0)
        part->open_us = now_us;
    if (part->logged || now_us - part->open_us < OPEN_US)
        return;
    part->logged = true;
    tide_log(TIDE_LOG_WARN,
             "topic \"%s\" partition %d: a transaction is open at offset %lld, maybe of an engine "
             "that was killed; waiting until the broker ends it (30 s; with `instance` in "
             "kafka_source it is ended at once)",
             changelog->topics[part->topic], part->partition, (long long)offset);
}

/* Errors that librdkafka gets over are logged by the source's client too, so they are left out. */
static int on_error(struct tide_kafka_changelog *changelog, struct tide_changelog_part *part,
                    const rd_kafka_message_t *record)
{
    switch (record->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        on_end(changelog, part, record->offset);
        return TIDE_OK;
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
        return tide_fail(TIDE_EDATA,
                         "topic \"%s\" partition %d does not have the offset %lld, up to which "
                         "state_dir has it: it was deleted or made anew; with another "
                         "state_dir the state is what the topic has",
                         changelog->topics[part->topic], part->partition, (long long)part->next);
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
        return tide_fail(TIDE_EDATA, "topic \"%s\" partition %d offset %lld: %s",
                         changelog->topics[part->topic], part->partition, (long long)record->offset,
                         rd_kafka_message_errstr(record));
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return tide_fail(TIDE_ETEMPORARY, "topic \"%s\" partition %d cannot be read: %s",
                         changelog->topics[part->topic], part->partition,
                         rd_kafka_message_errstr(record));
    default:
        return TIDE_OK;
    }
}

void tide_changelog_give_back(struct tide_kafka_changelog *changelog)
{
    for (size_t i = 0; i < changelog->borrowed_count; i++)
        rd_kafka_message_destroy(changelog->borrowed[i]);
    changelog->borrowed_count = 0;
}

static struct tide_changelog_part *part_of(struct tide_kafka_changelog *changelog,
                                           struct tide_changelog_part *last,
                                           const rd_kafka_message_t *record)
{
    if (last && record->rkt == changelog->handles[last->topic] &&
        record->partition == last->partition)
        return last;
    for (uint32_t i = 0; i < changelog->topic_count; i++)
        if (record->rkt == changelog->handles[i])
            return find(changelog, i, record->partition);
    return NULL;
}

/* Outages are logged by the source's client, and lead to nothing here. Before the start is over its job polls the queue. */
static void drop_events(struct tide_kafka_changelog *changelog)
{
    rd_kafka_event_t *event;
    while (changelog->status == 1 && (event = rd_kafka_queue_poll(changelog->events, 0)))
        rd_kafka_event_destroy(event);
}

/* ---- the fetcher ---- */

/* Where it has stopped since the queue was full: the leaders of some partitions that are read, in turn. */
static void wake_fetcher(struct tide_kafka_changelog *changelog)
{
    struct tide_fetch_again_of chosen = {.count = 0};
    if (!tide_fetch_again_may_ask(&changelog->again, WAKE_US))
        return;
    for (uint32_t i = 0; i < changelog->part_count && chosen.count < TIDE_FETCH_AGAIN_MOST; i++) {
        const struct tide_changelog_part *part =
            &changelog->parts[changelog->again.next++ % changelog->part_count];
        if (part->state != TIDE_CHANGELOG_READING)
            continue;
        chosen.topics[chosen.count] = changelog->topics[part->topic];
        chosen.numbers[chosen.count++] = part->partition;
    }
    if (chosen.count > 0)
        tide_fetch_again_ask(&changelog->again, changelog->blocking, changelog->client, &chosen);
}

ssize_t tide_changelog_poll(struct tide_changelog *base, struct tide_message *records, size_t max)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    struct tide_changelog_part *part = NULL;
    size_t count = 0;
    tide_changelog_give_back(changelog);
    drop_events(changelog);
    ssize_t got = rd_kafka_consume_batch_queue(changelog->records, 0, changelog->borrowed,
                                               max < TIDE_CHANGELOG_MOST ? max
                                                                         : TIDE_CHANGELOG_MOST);
    changelog->borrowed_count = got > 0 ? (size_t)got : 0;
    wake_fetcher(changelog);
    for (size_t i = 0; i < changelog->borrowed_count; i++) {
        const rd_kafka_message_t *record = changelog->borrowed[i];
        part = part_of(changelog, part, record);
        if (!part || part->state != TIDE_CHANGELOG_READING)
            continue; /* it was stopped */
        if (record->err) {
            int status = on_error(changelog, part, record);
            if (status < 0)
                return status;
            continue;
        }
        part->next = record->offset + 1;
        part->open_us = 0;
        records[count++] = (struct tide_message){
            .key = record->key,
            .value = record->payload,
            .key_length = (uint32_t)record->key_len,
            .value_length = (uint32_t)record->len,
            .offset = record->offset,
            .partition = record->partition,
            .origin = {.sequence = part->topic, .partition = (uint16_t)part->index},
        };
    }
    int status = start_next(changelog);
    return status < 0 ? status : (ssize_t)count;
}

bool tide_changelog_ended(struct tide_changelog *base, uint32_t *index)
{
    struct tide_kafka_changelog *changelog = tide_changelog_of(base);
    for (uint32_t i = 0; i < changelog->part_count; i++) {
        if (changelog->parts[i].state != TIDE_CHANGELOG_ENDED)
            continue;
        bool reads = false;
        *index = changelog->parts[i].index;
        for (uint32_t j = 0; j < changelog->part_count; j++)
            reads |= changelog->parts[j].index == *index &&
                     (changelog->parts[j].state == TIDE_CHANGELOG_READING ||
                      changelog->parts[j].state == TIDE_CHANGELOG_WAITING);
        if (reads)
            continue;
        tide_changelog_stop(base, *index);
        return true;
    }
    return false;
}
