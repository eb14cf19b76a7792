/* SPDX-License-Identifier: MIT */
#include "chain/suspects.h"

#include <stdlib.h>
#include <string.h>

#include "base/status.h"

enum { MOST_RECORDS = 100 }; /* of one message that are condemned */

/* A condemned record, with its bytes behind the struct. */
struct condemned {
    struct condemned *next;
    struct tide_message record;
    char *text;
};

struct suspect {
    struct suspect *next;
    uint32_t partition;
    int64_t offset;
    uint32_t refusals;
    bool cleared;
    uint32_t count;
    struct condemned *records;
};

struct tide_suspects {
    struct suspect *first;
};

struct tide_suspects *tide_suspects_new(void)
{
    return tide_alloc(sizeof(struct tide_suspects));
}

bool tide_suspects_none(const struct tide_suspects *suspects)
{
    return !suspects->first;
}

static struct suspect *find(const struct tide_suspects *suspects, uint32_t partition,
                            int64_t offset)
{
    struct suspect *suspect = suspects->first;
    while (suspect && (suspect->partition != partition || suspect->offset != offset))
        suspect = suspect->next;
    return suspect;
}

static bool same_bytes(const char *a, uint32_t a_length, const char *b, uint32_t b_length)
{
    return !a == !b && (!a || (a_length == b_length && memcmp(a, b, a_length) == 0));
}

static const struct condemned *condemned(const struct suspect *suspect,
                                         const struct tide_message *record)
{
    const struct condemned *known = suspect->records;
    while (known && !(known->record.target_topic == record->target_topic &&
                      same_bytes(known->record.value, known->record.value_length, record->value,
                                 record->value_length) &&
                      same_bytes(known->record.key, known->record.key_length, record->key,
                                 record->key_length)))
        known = known->next;
    return known;
}

enum tide_verdict tide_suspects_judge(const struct tide_suspects *suspects, uint32_t partition,
                                      int64_t offset, struct tide_message *record,
                                      const char **text)
{
    const struct suspect *suspect = find(suspects, partition, offset);
    const struct condemned *known = suspect ? condemned(suspect, record) : NULL;
    if (known) {
        *text = known->text;
        record->target_partition = known->record.target_partition;
    }
    return known                          ? TIDE_VERDICT_CONDEMNED
           : !suspect || suspect->cleared ? TIDE_VERDICT_FREE
                                          : TIDE_VERDICT_SUSPECT;
}

int tide_suspects_refused(struct tide_suspects *suspects, uint32_t partition, int64_t offset,
                          const struct tide_message *record, const char *text, bool alone)
{
    struct suspect *suspect = find(suspects, partition, offset);
    if (!suspect) {
        suspect = tide_alloc(sizeof(*suspect));
        *suspect = (struct suspect){suspects->first, partition, offset, 0, false, 0, NULL};
        suspects->first = suspect;
    }
    suspect->refusals++;
    suspect->cleared = false;
    if (!alone || condemned(suspect, record))
        return TIDE_OK;
    if (++suspect->count > MOST_RECORDS)
        return tide_fail(TIDE_EDATA,
                         "offset %lld: more than %d of its outputs are refused by the broker, the "
                         "last with: %s",
                         (long long)offset, MOST_RECORDS, text);
    struct condemned *known = tide_alloc(sizeof(*known) + tide_message_size(record) + 1);
    tide_message_copy(&known->record, record, (char *)(known + 1));
    known->text = tide_copy(text);
    known->next = suspect->records;
    suspect->records = known;
    return TIDE_OK;
}

/* Of a message that was refused a second time, one good record proves nothing for the others. */
void tide_suspects_cleared(struct tide_suspects *suspects, uint32_t partition, int64_t offset)
{
    struct suspect *suspect = find(suspects, partition, offset);
    if (suspect && suspect->refusals == 1)
        suspect->cleared = true;
}

static void free_suspect(struct suspect *suspect)
{
    while (suspect->records) {
        struct condemned *known = suspect->records;
        suspect->records = known->next;
        free(known->text);
        free(known);
    }
    free(suspect);
}

void tide_suspects_settle(struct tide_suspects *suspects, uint32_t partition, int64_t position)
{
    for (struct suspect **at = &suspects->first; *at;) {
        struct suspect *suspect = *at;
        if (suspect->partition == partition && suspect->offset < position) {
            *at = suspect->next;
            free_suspect(suspect);
        } else {
            at = &suspect->next;
        }
    }
}

void tide_suspects_free(struct tide_suspects *suspects)
{
    while (suspects && suspects->first) {
        struct suspect *suspect = suspects->first;
        suspects->first = suspect->next;
        free_suspect(suspect);
    }
    free(suspects);
}
