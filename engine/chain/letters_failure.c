/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/letter.h"
#include "chain/letters_inside.h"
#include "chain/offsets.h"
#include "io/source.h"
#include "shm/counters.h"
#include "shm/topics.h"

static const int64_t FIRST_PAUSE_US = 100000;
static const int64_t LONGEST_PAUSE_US = 10000000;
static const int64_t SAY_AGAIN_US = 30000000;

void tide_letters_set_failing(struct tide_letters *letters, struct tide_lane *lane, bool failing)
{
    if (lane->failing == failing)
        return;
    lane->failing = failing;
    lane->pause_us = 0;
    letters->failing += failing ? 1 : -1U;
    if (!failing && letters->failing == 0)
        tide_log(TIDE_LOG_INFO, "the dlq \"%s\" takes dead letters again", letters->target);
}

void tide_letters_name(const struct tide_letters *letters, const struct tide_message *letter,
                       char *text, size_t size)
{
    const struct tide_chain *chain = letters->chain;
    struct tide_origin first = tide_offsets_first(chain->offsets, tide_letter_origin_of(letter),
                                                  NULL);
    const struct tide_partition *from = &chain->source->partitions[first.partition];
    snprintf(text, size, "%.250s/%d/%lld", tide_topics_name(chain->topics, from->topic),
             from->number, (long long)tide_offsets_offset(chain->offsets, first));
}

/* Also when it only keeps its answer to itself, as while its replicas are too few. */
void tide_letters_say_again(struct tide_letters *letters, int64_t now_us)
{
    if (letters->waiting == 0 || now_us < letters->say_us)
        return;
    letters->say_us = now_us + SAY_AGAIN_US;
    tide_log(TIDE_LOG_WARN,
             "the dlq \"%s\" has taken nothing for %lld s; %llu dead letters wait%s%s",
             letters->target, (long long)(now_us - letters->since_us) / 1000000,
             (unsigned long long)letters->waiting, letters->failing > 0 ? ": " : "",
             letters->failing > 0 ? letters->failure : "");
}

/* What was said, or the wait for an answer, begins anew. */
void tide_letters_quiet(struct tide_letters *letters)
{
    if (letters->failing > 0)
        return;
    letters->since_us = tide_clock_us();
    letters->say_us = letters->since_us + SAY_AGAIN_US;
}

/* Says so, and sets when to try again; or ends the pipeline. */
int tide_letters_note_failure(struct tide_letters *letters, struct tide_lane *lane,
                              const struct tide_message *letter, int status, const char *text)
{
    char name[300];
    bool first = letters->failing == 0;
    char *failure = tide_copy(text); /* it may be tide_error() */
    tide_letters_name(letters, letter, name, sizeof(name));
    tide_count(letters->chain->counters, 0, TIDE_M_DLQ_FAILED, 1);
    free(letters->failure);
    letters->failure = failure;
    if (letters->plan.stop_on_failure)
        return tide_fail(status,
                         "%s: the dlq \"%s\" did not take its dead letter: %s; the pipeline stops "
                         "here (on_failure = \"stop\")",
                         name, letters->target, failure);
    if (first)
        tide_letters_quiet(letters);
    tide_letters_set_failing(letters, lane, true);
    tide_lane_pause(lane, tide_clock_us(), FIRST_PAUSE_US, LONGEST_PAUSE_US);
    if (first)
        tide_log(TIDE_LOG_WARN,
                 "%s: the dlq \"%s\" did not take its dead letter: %s; its partition waits, and it "
                 "is tried again (on_failure = \"wait\")",
                 name, letters->target, failure);
    return TIDE_OK;
}

int tide_letters_keep_whole(const struct tide_letters *letters, const struct tide_message *letter)
{
    char name[300];
    uint32_t count;
    (void)tide_offsets_first(letters->chain->offsets, tide_letter_origin_of(letter), &count);
    if (count == 1)
        return TIDE_OK;
    tide_letters_name(letters, letter, name, sizeof(name));
    return tide_fail(TIDE_EDATA,
                     "%s: the dead letter of what was made of %u messages from there on, %llu "
                     "bytes, is too large for the dlq \"%s\"; "
                     "it is not cut, since it is all that would be left of them, and the pipeline "
                     "stops here: raise the "
                     "max.message.bytes of that topic or of the output, lower max_batch_size, or "
                     "have dead letters in a file "
                     "(path)",
                     name, count, (unsigned long long)tide_message_size(letter), letters->target);
}

int tide_letters_shorten(struct tide_letters *letters, struct tide_message *letter)
{
    char name[300];
    int how = tide_letter_cut(letter, TIDE_LETTERS_FIRST_CUT, &letters->packed);
    if (how == 0 || (letters->limit > 0 && tide_message_size(letter) >= letters->limit))
        how = tide_letter_cut(letter, TIDE_LETTERS_LAST_CUT, &letters->packed);
    if (how == 0)
        return 0;
    tide_letters_name(letters, letter, name, sizeof(name));
    tide_log(
        TIDE_LOG_WARN,
        "%s: its dead letter is too large for \"%s\"; it goes there with the first %u bytes of "
        "its value, marked as truncated",
        name, letters->target, letter->value_length);
    tide_count(letters->chain->counters, 0, TIDE_M_DLQ_TRUNCATED, how == 1);
    return how;
}
