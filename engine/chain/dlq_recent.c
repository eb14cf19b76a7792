/* SPDX-License-Identifier: MIT
 * Counts dead letters by reason and keeps the last ten, for people who look at a running pipeline. Texts are copied and
 * cut, so that a pipeline whose messages are all bad pays a small and fixed price for each. The reason and the error come
 * from a worker, which is not trusted: a reason that is not in the table is counted as "other". */
#include "chain/dlq_recent.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "chain/dead_letter.h"

static const char *const reasons[TIDE_DLQ_REASONS] = {
    "error",   "bad_return", "rejected",      "too_large", "crash", "memory",
    "timeout", "cpu",        "retry_timeout", "refused",   "other",
};

const char *tide_dlq_recent_reason(uint32_t index)
{
    return index < TIDE_DLQ_REASONS ? reasons[index] : NULL;
}

static uint32_t reason_index(const char *name)
{
    uint32_t index = 0;
    while (index < TIDE_DLQ_REASONS - 1 && (!name || strcmp(name, reasons[index]) != 0))
        index++;
    return index;
}

/* Appends `from` (NULL is empty) to the text in `to`, which has room for `size` bytes with its NUL. */
static void append(char *to, size_t size, const char *from)
{
    static const char cut[] = "...";
    size_t length = strlen(to), left = from ? strnlen(from, size) : 0;
    size_t end = size - sizeof(cut); /* the text must not be longer, so that the dots fit */
    while (left > 0) {
        size_t valid = tide_utf8_length(from, left), bytes = valid > 0 ? valid : 1;
        if (length + bytes > end) {
            memcpy(to + (length < end ? length : end), cut, sizeof(cut));
            return;
        }
        memcpy(to + length, valid > 0 ? from : "?", bytes);
        length += bytes;
        from += bytes;
        left -= bytes;
    }
    to[length] = '\0';
}

void tide_dlq_recent_note(struct tide_dlq_recent *recent, const struct tide_reject *reject,
                          const char *topic)
{
    struct tide_dlq_recent_letter *letter = &recent->letters[recent->total % TIDE_DLQ_RECENT];
    uint32_t reason = reason_index(reject->reason);
    letter->time_ms = tide_clock_wall_ms();
    letter->partition = reject->message->partition;
    letter->offset = reject->message->offset;
    letter->topic[0] = letter->stage[0] = letter->reason[0] = letter->error[0] = '\0';
    append(letter->topic, sizeof(letter->topic), topic);
    append(letter->stage, sizeof(letter->stage), reject->stage);
    append(letter->reason, sizeof(letter->reason), reasons[reason]);
    append(letter->error, sizeof(letter->error), reject->error);
    if (reject->cause) {
        append(letter->error, sizeof(letter->error), " (");
        append(letter->error, sizeof(letter->error), reject->cause);
        append(letter->error, sizeof(letter->error), ")");
    }
    recent->total++;
    recent->reasons[reason]++;
}
