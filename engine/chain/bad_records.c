/* SPDX-License-Identifier: MIT
 * The records that the broker refuses (exactly_once). They are remembered by content, not by number: after an abort the
 * transform runs again and may make its results in another order, or others altogether. Every list here is short, since
 * it holds only messages of refused batches that are not committed yet, so it is searched from its beginning.
 * The records of a refused batch are not bisected, but sent one at a time: each half that has a bad record would cost
 * another abort and another run of everything, while a good record that is sent alone costs one round trip.
 * Start reading at tide_bad_records_refused. */
#include "chain/bad_records.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/status.h"
#include "shm/message_list.h"

enum { MAX_BAD_RECORDS = 100 }; /* of one message */

/* A record that was refused alone. */
struct bad_record {
    struct tide_message_item item;
    char *text; /* the broker's reason */
};

/* A message of a refused batch. */
struct tested {
    SLIST_ENTRY(tested) next;
    uint32_t partition;
    int64_t offset;
    uint32_t refusals;
    bool passed;
    struct tide_message_list bad; /* of struct bad_record */
};

struct tide_bad_records {
    SLIST_HEAD(, tested) messages;
};

struct tide_bad_records *tide_bad_records_new(void)
{
    return tide_alloc(sizeof(struct tide_bad_records));
}

bool tide_bad_records_empty(const struct tide_bad_records *list)
{
    return SLIST_EMPTY(&list->messages);
}

/* A message is known by partition and offset, as its origin is another one each time that it is read. */
static struct tested *find_message(const struct tide_bad_records *list, uint32_t partition,
                                   int64_t offset)
{
    struct tested *message = SLIST_FIRST(&list->messages);
    while (message && (message->partition != partition || message->offset != offset))
        message = SLIST_NEXT(message, next);
    return message;
}

/* An empty value and null are two things in Kafka: a null deletes a key where the topic is compacted. */
static bool same_bytes(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
    return !a == !b && (!a || (a_length == b_length && memcmp(a, b, a_length) == 0));
}

/* Headers and the timestamp are not compared, since they may differ from one run of the transform to the next. */
static bool same_record(const struct tide_message *a, const struct tide_message *b)
{
    return a->target_topic == b->target_topic &&
           same_bytes(a->value, a->value_length, b->value, b->value_length) &&
           same_bytes(a->key, a->key_length, b->key, b->key_length);
}

static const struct bad_record *find_bad(const struct tested *message,
                                         const struct tide_message *record)
{
    const struct tide_message_item *item = STAILQ_FIRST(&message->bad.items);
    while (item && !same_record(&item->message, record))
        item = STAILQ_NEXT(item, next);
    return (const struct bad_record *)(const void *)item;
}

enum tide_send_rule tide_bad_records_rule(const struct tide_bad_records *list, uint32_t partition,
                                          int64_t offset, struct tide_message *record,
                                          const char **text)
{
    const struct tested *message = find_message(list, partition, offset);
    const struct bad_record *bad = message ? find_bad(message, record) : NULL;
    if (!bad)
        return !message || message->passed ? TIDE_SEND_FREELY : TIDE_SEND_ALONE;
    *text = bad->text;
    record->target_partition =
        bad->item.message.target_partition; /* for the dead letter, which names it */
    return TIDE_SEND_DEAD_LETTER;
}

/* The record is copied, since its bytes belong to the sink until its report is handled. */
static void add_bad(struct tested *message, const struct tide_message *record, const char *text)
{
    struct tide_message_item *item = tide_message_item_new(record, sizeof(struct bad_record));
    ((struct bad_record *)(void *)item)->text = tide_copy(text);
    tide_message_list_append(&message->bad, item);
}

int tide_bad_records_refused(struct tide_bad_records *list, uint32_t partition, int64_t offset,
                             const struct tide_message *record, const char *text, bool alone)
{
    struct tested *message = find_message(list, partition, offset);
    if (!message) {
        message = tide_alloc(sizeof(*message));
        message->partition = partition;
        message->offset = offset;
        SLIST_INSERT_HEAD(&list->messages, message, next);
    }
    message->refusals++;
    message->passed = false; /* what passed was another of its records */
    if (!alone || find_bad(message, record))
        return TIDE_OK;
    /* A transform whose output differs in each run (it has a time in it) would abort transactions for ever. */
    if (message->bad.count >= MAX_BAD_RECORDS)
        return tide_fail(TIDE_EDATA,
                         "offset %lld: more than %d of its outputs are refused by the broker, the "
                         "last with: %s",
                         (long long)offset, MAX_BAD_RECORDS, text);
    add_bad(message, record, text);
    return TIDE_OK;
}

/* Once a message was refused a second time, one good record proves nothing about its others: they stay tested. */
void tide_bad_records_acknowledged(struct tide_bad_records *list, uint32_t partition,
                                   int64_t offset)
{
    struct tested *message = find_message(list, partition, offset);
    if (message && message->refusals == 1)
        message->passed = true;
}

static void free_message(struct tested *message)
{
    struct tide_message_item *item;
    while ((item = tide_message_list_take(&message->bad))) {
        free(((struct bad_record *)(void *)item)->text);
        free(item);
    }
    free(message);
}

/* Only a commit forgets: before it another abort may make the message run again, for a reason of its own, and what is
 * bad must be known then. */
void tide_bad_records_committed(struct tide_bad_records *list, uint32_t partition, int64_t position)
{
    struct tested *next;
    for (struct tested *message = SLIST_FIRST(&list->messages); message; message = next) {
        next = SLIST_NEXT(message, next);
        if (message->partition != partition || message->offset >= position)
            continue;
        SLIST_REMOVE(&list->messages, message, tested, next);
        free_message(message);
    }
}

void tide_bad_records_free(struct tide_bad_records *list)
{
    while (list && !SLIST_EMPTY(&list->messages)) {
        struct tested *message = SLIST_FIRST(&list->messages);
        SLIST_REMOVE_HEAD(&list->messages, next);
        free_message(message);
    }
    free(list);
}
