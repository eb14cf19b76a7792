/* SPDX-License-Identifier: MIT
 * engine/chain/dlq_inside.h - what the files of the dead letter queue share. Each may call only those above it:
 *   dlq_limits.c, dlq_size.c, dlq_recent.c
 *                    what is counted and learned, apart from everything else
 *   dlq_failure.c    what follows when one is not written: pauses, warnings, truncation
 *   dlq_writer.c     sends a dead letter, takes its report, sends it again
 *   dlq.c            rejects a message: checks the limits, makes the dead letter */
#ifndef TIDE_CHAIN_DLQ_INSIDE_H
#define TIDE_CHAIN_DLQ_INSIDE_H

#include "base/text.h"
#include "chain/dead_letter_file.h"
#include "chain/dlq.h"
#include "chain/dlq_limits.h"
#include "chain/dlq_recent.h"
#include "chain/dlq_size.h"
#include "chain/partition_queue.h"

struct tide_dlq {
    struct tide_dlq_plan plan; /* without its target, which the plan's owner frees */
    char *target;              /* name of the topic, or path of the file */
    struct tide_chain *chain;
    struct { /* owned by dlq.c */
        struct tide_dlq_limits limits;
        struct tide_dlq_recent recent;
        struct tide_text text; /* headers or line of the dead letter that is being made */
    } reject;
    struct { /* owned by dlq_writer.c */
        struct tide_sink *sink;
        uint16_t topic;
        struct tide_dead_letter_file file;
        struct tide_partition_queues queues;
        struct tide_dlq_size size;
    } writer;
    struct {                     /* owned by dlq_failure.c */
        int64_t since_us;        /* nothing was written since then */
        int64_t warn_us;         /* time of the next warning, while dead letters wait */
        char *text;              /* error of the last failure */
        struct tide_text packed; /* headers of the dead letter that was truncated last */
    } failure;
};

/* dlq_writer.c */

/** Opens the file or numbers the topic. Negative = TIDE_ECONFIG or TIDE_ETEMPORARY. */
int tide_dlq_writer_open(struct tide_dlq *dlq);
/** Takes a dead letter: a message as the topic gets it, or with the file's line as its value. TIDE_BUSY: not now, unless
 * the caller has the `only_copy`. Negative: it could not be written, and the plan says stop. */
int tide_dlq_writer_take(struct tide_dlq *dlq, const struct tide_message *original, bool only_copy);
/** The transaction is aborted, with what was sent in it: its reports may come or not. */
void tide_dlq_writer_aborted(struct tide_dlq *dlq);
void tide_dlq_writer_close(struct tide_dlq *dlq);

/* dlq_failure.c */

/** A dead letter was not written: warns, and sets when the queue tries again. Negative when the plan says stop. */
int tide_dlq_failed(struct tide_dlq *dlq, struct tide_partition_queue *queue,
                    const struct tide_message *dead_letter, int status, const char *text);
/** One was written: the queue is GOOD. */
void tide_dlq_recovered(struct tide_dlq *dlq, struct tide_partition_queue *queue);
/** Restarts the timer of the warning that nothing was written for N s: something was, or begins to wait. */
void tide_dlq_restart_timer(struct tide_dlq *dlq);
/** Warns when nothing was written for a while; `waiting` dead letters are not acknowledged. */
void tide_dlq_check_timer(struct tide_dlq *dlq, uint64_t waiting, int64_t now_us);
/** Truncates a dead letter that is too large, marks it and warns. The new headers stay valid until the next call. */
enum tide_truncation tide_dlq_truncate(struct tide_dlq *dlq, struct tide_message *dead_letter);
/** TIDE_EDATA when the dead letter, which is too large, stands for a group: the messages could not be found by a part of
 * their result, so it is not truncated, and the pipeline stops. */
int tide_dlq_refuse_group(const struct tide_dlq *dlq, const struct tide_message *dead_letter);

#endif
