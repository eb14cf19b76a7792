/* SPDX-License-Identifier: MIT
 * engine/chain/step.h - the strategy interface: Arroyo's five verbs in the manner of write(2). A step
 * hands on to `next`; nobody calls back. No verb blocks. */
#ifndef TIDE_CHAIN_STEP_H
#define TIDE_CHAIN_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/plan.h"
#include "shm/message.h"

struct tide_step;
struct tide_sink;
struct tide_source;
struct tide_pool;

/** What the steps of one chain share; owned by the engine. */
struct tide_chain {
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_topics *topics;
    struct tide_offsets *offsets;
    struct tide_dlq *dlq;
    struct tide_suspects *suspects; /* exactly once; else NULL */
    struct tide_source *source;     /* names the partitions */
    bool
        progress; /* A step forwarded messages in this turn: the next one must be polled before the loop waits. */
    /* A transaction is about to end (chain/commit.h): only what it still needs may be sent, see
     * tide_offsets_owed(). */
    bool cutting;
    int64_t retry_timeout_us; /* of a message that asks for tide.retry; 0 = for ever */
    bool exactly_once;        /* what is sent is in a transaction of the sink */
    bool source_idle;         /* the source had nothing more at its last poll */
};

struct tide_step_ops {
    /* Takes messages in order and returns how many; fewer than `count` = busy: the caller keeps the
     * rest and tries again after the next poll. Negative = none was taken, and the pipeline cannot go
     * on. The span is lent for the call. Each taken message's hold (chain/offsets.h) is the step's now. */
    ssize_t (*submit)(struct tide_step *step, const struct tide_message *messages, size_t count,
                      int64_t now_us);
    /* Does what is due. Negative = the pipeline cannot go on. */
    int (*poll)(struct tide_step *step, int64_t now_us);
    /* Seals what is open: no message will be submitted any more. */
    void (*close)(struct tide_step *step, int64_t now_us);
    /* True when nothing that was taken is left here. After close, poll until it is. */
    bool (*join)(struct tide_step *step);
    /* When poll has to be called next although nothing else happens; INT64_MAX = not. */
    int64_t (*deadline_us)(struct tide_step *step);
    /* Frees the step, and drops what is left in it. */
    void (*terminate)(struct tide_step *step);
};

/** First member of every step. */
struct tide_step {
    const struct tide_step_ops *ops;
    struct tide_step *next; /* NULL for the last */
    struct tide_chain *chain;
    uint32_t number; /* in the plan, from 0 */
    uint32_t row;    /* of the counters */
};

struct tide_step *tide_step_noop_new(struct tide_chain *chain);
/** Touches the file while the pipeline moves, at most once a second. */
struct tide_step *tide_step_healthcheck_new(struct tide_chain *chain, const char *path);
/** The last step: hands to the sink (NULL drops) and takes its reports, and those of the sink that writes the
 * dlq's topic (NULL, the same, or another). */
struct tide_step *tide_step_produce_new(struct tide_chain *chain, struct tide_sink *sink,
                                        struct tide_sink *dlq_sink);
/** Messages that were acknowledged. */
uint64_t tide_step_produce_count(const struct tide_step *step);

#endif
