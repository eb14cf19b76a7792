/* SPDX-License-Identifier: MIT
 * engine/chain/step.h - the interface of a step of the chain: Arroyo's strategy, with its five verbs submit, poll, close,
 * join and terminate. A step forwards messages by calling submit of `next`; there are no callbacks. No verb blocks. */
#ifndef TIDE_CHAIN_STEP_H
#define TIDE_CHAIN_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/plan.h"
#include "chain/slow.h"
#include "shm/message.h"

struct tide_block;
struct tide_canary;
struct tide_retry_wait;
struct tide_sizes;
struct tide_step;
struct tide_sink;
struct tide_source;
struct tide_pool;
struct tide_tally;

/** What the steps of one chain share; owned by the engine. */
struct tide_chain {
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_topics *topics;
    struct tide_offsets *offsets;
    struct tide_dlq *dlq;
    struct tide_bad_records *bad_records; /* exactly once; else NULL */
    struct tide_taps *taps;               /* NULL = none can be armed */
    struct tide_states *states;           /* NULL = no step has state */
    struct tide_sink *changelog;          /* writes what the states have; NULL = nothing does */
    struct tide_source *source;           /* names the partitions */
    uint32_t topic_count;                 /* that are read together into one state; else 1 */
    bool
        progress; /* something happened in this turn, so the chain is polled again before the loop waits */
    /* A transaction is about to end (chain/commit.h): only what it still needs may be sent, see
     * tide_offsets_in_transaction(). */
    bool send_only_needed;
    int64_t retry_timeout_us; /* of a message that asks for tide.retry; 0 = for ever */
    bool exactly_once;        /* what is sent is in a transaction of the sink */
    bool
        unordered; /* a step does not keep the order of partitions, so later messages may be complete before earlier ones */
    /* A transaction is about to end, for which all that was taken has to be complete, since a step is unordered: nothing
     * more is read, and batches are sealed. */
    bool all_needed;
    bool has_lanes;        /* a step that is made has several lanes */
    bool has_times;        /* a step that is made reads times */
    bool canaries;         /* there may be canaries (chain/canary.h): steps have room for one */
    int64_t refused_us;    /* when the first step did not take a message last */
    bool source_idle;      /* the source had nothing more at its last poll */
    struct tide_slow slow; /* the slowest messages of the last minute */
};

struct tide_step_ops {
    /* Takes messages in order and returns how many; fewer than `count` = backpressure: the caller keeps the rest and
     * offers it again after the next poll. Negative = none was taken, and the pipeline cannot go on. The messages are
     * borrowed for the call. The reference (chain/offsets.h) of each message taken belongs to the step now. */
    ssize_t (*submit)(struct tide_step *step, const struct tide_message *messages, size_t count,
                      int64_t now_us);
    /* Does what is due. Negative = the pipeline cannot go on. */
    int (*poll)(struct tide_step *step, int64_t now_us);
    /* No message will be submitted any more, so an open batch is sealed. May be called again. */
    void (*close)(struct tide_step *step, int64_t now_us);
    /* True when the step has no message left. After close, the engine polls until it is true. */
    bool (*join)(struct tide_step *step);
    /* When poll has to be called at the latest, although nothing else happens; INT64_MAX = never. */
    int64_t (*deadline_us)(struct tide_step *step);
    /* Drops the messages that are left, and frees the step. */
    void (*terminate)(struct tide_step *step);

    /* What the present revision of the transforms has done here (chain/tally.h). NULL where nothing is rejected. */
    struct tide_tally *(*tally)(struct tide_step *step);

    /* The rest is NULL where a step has no batches. */

    /* Block `index`, from 0, of the step's shared memory (shm/block.h says whose it is); NULL past the last one. */
    struct tide_block *(*block)(const struct tide_step *step, uint32_t index);
    /* A number that changes whenever a message gets on in this step. */
    uint64_t (*progress)(const struct tide_step *step);

    /* Its canary; NULL = it has no room for one. */
    struct tide_canary *(*canary)(const struct tide_step *step);

    /* The sizes that hold now, and new ones; TIDE_ECONFIG = one is out of its range, and nothing is changed. */
    void (*get_sizes)(const struct tide_step *step, struct tide_sizes *sizes);
    int (*set_sizes)(struct tide_step *step, const struct tide_sizes *sizes, int64_t now_us);

    /* The message that has been tried again for longest; false when none waits for tide.retry. */
    bool (*retry_wait)(const struct tide_step *step, struct tide_retry_wait *wait);

    /* NULL on a step that has no watermark. It is moved (TIDE_MESSAGE_TICK); the message has a reference of the caller's. */
    void (*tick)(struct tide_step *step, const struct tide_message *message);

    /* NULL where join is always true. Describes what the step waits for, for the stuck detector. False when the wait is
     * meant to be. */
    bool (*waits)(const struct tide_step *step, char *text, size_t size);
};

/** First member of every step. */
struct tide_step {
    const struct tide_step_ops *ops;
    struct tide_step *next; /* NULL for the last */
    struct tide_chain *chain;
    uint32_t number; /* in the plan, from 0 */
    uint32_t row;    /* of the counters */
};

/* Verbs of a step that keeps no message (step_pass.c). */
ssize_t tide_step_pass_submit(struct tide_step *step, const struct tide_message *messages,
                              size_t count, int64_t now_us);
int tide_step_pass_poll(struct tide_step *step, int64_t now_us);
void tide_step_pass_close(struct tide_step *step, int64_t now_us);
bool tide_step_pass_join(struct tide_step *step);
int64_t tide_step_pass_deadline_us(struct tide_step *step);

struct tide_step *tide_step_noop_new(struct tide_chain *chain);
/** Touches the file at most once a second, as long as the pipeline is well. */
struct tide_step *tide_step_healthcheck_new(struct tide_chain *chain, const char *path);
/** The last step: sends messages to the sink (NULL = throws them away, which counts as produced) and handles its
 * delivery reports, and those of the sink that writes the dlq's topic (NULL, the same sink, or another one). */
struct tide_step *tide_step_produce_new(struct tide_chain *chain, struct tide_sink *sink,
                                        struct tide_sink *dlq_sink);
/** Messages that were acknowledged. */
uint64_t tide_step_produce_count(const struct tide_step *step);

#endif
