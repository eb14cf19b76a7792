/* SPDX-License-Identifier: MIT
 * scripts/sim/sim.h - the simulation: a whole engine, the object files of the program, with everything around it
 * played here: source and sink (their ops tables), the zygote and the workers (the other ends of the sockets of
 * proc/mailbox.h; no fork) and the clock, which stands still unless it is moved. One 64-bit seed draws settings
 * and every event, so that a run can be repeated.
 *
 * A message carries an item: where it came from, of which assignment, and the path it took (which of the
 * results of each step). What becomes of it at a step, its fate, is a function of the seed and the item; the
 * model (model.c) therefore knows what must come out, and judges what the engine sends, commits and counts.
 *
 *   settings.c what a seed draws
 *   world.c    the engine, and a run from its start to its end
 *   source.c   the group's side: partitions that come and go, messages, commits
 *   transaction.c  what exactly once adds to it
 *   sink.c     the brokers' side: takes, refuses, acknowledges in any order across partitions
 *   workers.c  the zygote and the workers: spawn, die, hang, lie; results.c writes what a worker leaves
 *   model.c    what is right; dead_letters.c: which dead letters are */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine_inside.h"
#include "shm/layout.h"

enum {
    MOST_PARTITIONS = 4,
    MOST_MESSAGES = 256, /* of a partition */
    MOST_STEPS = 3,
    MOST_POOLS = 2,
    MOST_PLACES = 6,
    MOST_PATHS = 64,
    MAGIC = 0x71DE,
    SURELY = 1024 /* rates are of so many */
};

struct item {
    uint16_t partition;
    uint16_t path; /* two bits a step, the first step's are the highest: in order, it rises */
    uint32_t epoch;
    uint32_t index; /* of the message in its partition */
};

/** First bytes of each value; padding follows. */
struct payload {
    uint32_t magic;
    uint32_t count;
    /* Of all messages that the result stands for (a group leaves while one of them is ours): the epoch of those of
     * each partition; 0 = none. */
    uint32_t epochs[MOST_PARTITIONS];
    struct item items[];
};

enum fate_kind { FATE_PASS, FATE_REJECT, FATE_POISON, FATE_HANG };
struct fate {
    enum fate_kind kind;
    uint32_t results; /* of PASS; 0 = filtered */
    uint32_t padding; /* of each */
};

/** What a run may meet; each is a rate of SURELY. Many are 0 in most runs. */
struct rates {
    uint32_t filter, many, reject, poison, hang, large;
    uint32_t crash, idle_crash, lie, fork_fails, retry;
    uint32_t block, partial, refuse, refuse_dead_letter;
    uint32_t revoke, lose, commit_fails, jump, abort;
};

struct settings {
    uint64_t seed;
    uint32_t partitions;
    uint32_t messages; /* of each partition */
    uint32_t actions;  /* before it calms down */
    struct tide_step_plan steps[MOST_STEPS];
    bool batch[MOST_STEPS]; /* its functions take several records at once */
    uint32_t step_count;
    uint32_t pools[MOST_POOLS];
    uint32_t pool_count;
    struct tide_commit_plan commit;
    struct tide_dlq_plan dlq;
    bool exactly_once;
    int64_t message_timeout_us;
    struct rates rates;
};

/** A message of a partition; the masks have one bit a path, and are of one epoch. */
struct message {
    int64_t offset;
    uint32_t size;
    uint32_t epoch;
    uint64_t published[MOST_STEPS];
    uint64_t died[MOST_STEPS][4]; /* [0]: once at least, [1]: twice, ... */
    uint64_t late[MOST_STEPS];
    uint64_t excused[MOST_STEPS]; /* rejected by a worker for its size, or its worker lied */
    uint64_t dead_letter_sent[MOST_STEPS + 1];
    uint64_t dead_lettered[MOST_STEPS + 1]; /* its dead letter was acknowledged */
    uint64_t sent;
    uint64_t refused;
    uint64_t acked;
    /* Of all epochs: in a committed transaction. */
    uint64_t visible;
    uint64_t visible_dead_letters[MOST_STEPS + 1];
};

enum ownership {
    AWAY,
    OWNED,
    LEAVING,
    LOST /* or its transaction was aborted: nothing of it counts any more */
};
struct partition {
    enum ownership state;
    uint32_t epoch;
    uint32_t next;      /* index to lend next */
    uint32_t first;     /* index that this assignment began with */
    uint32_t low;       /* index of the first message of this assignment that is not through */
    uint32_t available; /* messages that are there */
    int64_t committed;  /* offset */
    int64_t asked;      /* the highest position of this assignment */
    bool sent_any;
    uint32_t last_index; /* of the newest item sent in this epoch */
    uint32_t last_path;
    struct message messages[MOST_MESSAGES];
};

struct sim {
    struct settings set;
    uint64_t random;
    int64_t now_us;
    struct tide_engine *engine;
    struct partition partitions[MOST_PARTITIONS];
    bool calm;        /* faults are over */
    uint64_t taken;   /* messages the engine took */
    uint64_t through; /* of those whose partition went away */
    uint64_t dropped;
    uint64_t steps; /* actions and turns */
    bool may_fail;  /* a reject met the dlq's limits, or there is none */
    bool over;
    int status; /* of the FAILED event */
};

extern struct sim sim;

/* random.c */
uint32_t sim_roll(uint32_t below);
bool sim_chance(uint32_t rate);
/** False once it is calm. */
bool sim_fault(uint32_t rate);
uint64_t sim_mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* settings.c */
void sim_draw(uint64_t seed);
void sim_print(FILE *file);

/* world.c */
void sim_run(uint64_t seed, bool verbose);

/* source.c, sink.c, workers.c: `open` puts them around the engine, `act` lets something happen */
void sim_source_open(void);
void sim_source_act(void);
/** Tells END once everything is read. True when it did. */
bool sim_source_end(void);
/** Whether a transaction is ending whose positions nobody knows yet (the group does not tell them then). */
bool sim_sink_undecided(void);
/** The transaction was aborted: what was read since the last commit is nobody's. */
void sim_source_void(void);
/* transaction.c */
void sim_transaction_open(struct tide_sink_ops *ops);
void sim_transaction_act(void);
/** One is ending or being aborted: nothing is taken. */
bool sim_transaction_busy(void);
bool sim_transaction_aborting(void);
void sim_transaction_add(const struct payload *payload, bool dead_letter, uint32_t level);
/** It was refused. */
void sim_transaction_remove(const struct payload *payload, bool dead_letter, uint32_t level);
size_t sim_sink_pending(void);
void sim_sink_open(void);
void sim_sink_act(void);
void sim_workers_open(void);
void sim_workers_act(void);

/* main.c */
/** The engine broke a rule: prints it with the seed and the settings, and ends the program. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* results.c: what a worker does with records */
struct place {
    bool alive;
    bool ready; /* it said hello */
    uint32_t generation;
    bool busy;
    bool entered;
    bool stuck;
    bool lied;
    bool full;
    bool retried; /* what it wrote last asks to be tried again */
    struct tide_job job;
    uint32_t at; /* record to run next */
    const struct tide_record *record;
    uint32_t bytes;
    uint32_t last_result; /* byte where it begins */
    int64_t moved_us;
    uint32_t idle_deaths; /* in a row */
};
/** The first record of a job. */
const struct tide_record *sim_first(const struct tide_job *job);
const struct payload *sim_payload(const struct tide_record *record);
const struct tide_record *sim_next(const struct tide_record *record);
/** Writes what the fate of a record says, or that it is to be tried again. False = the block is full. */
bool sim_write_record(struct place *place);
/** The same for what a whole batch makes. False = the block is full; else all is written. */
bool sim_write_reduced(struct place *place);
void sim_publish(struct place *place, uint32_t next);

/* model.c, dead_letters.c */
/** Where a step's two bits are in a path. */
static inline uint32_t sim_shift(uint32_t level)
{
    return 2 * (MOST_STEPS - 1 - level);
}
static inline uint64_t sim_bit(uint32_t path)
{
    return 1ULL << path;
}
/** What stands at that level stands for several messages. */
bool sim_is_group(uint32_t level);
/** One of the messages that the result stands for is ours. */
bool sim_current(const struct payload *payload);
struct fate sim_fate(const struct item *item, uint32_t level);
struct message *sim_message(const struct item *item);
/** Whether the item is of the present assignment of a partition that is not away. */
bool sim_present(const struct item *item);
void sim_died(const struct payload *payload, uint32_t level);
void sim_mark(const struct payload *payload, uint32_t level, size_t mask);
void sim_check_send(const struct tide_message *message);
/** Returns the level that it is about: a step, or their number for what the sink refused. */
uint32_t sim_check_dead_letter(const struct tide_message *message);
/** The items of a value; fails when it holds none. */
const struct payload *sim_value(const struct tide_message *message);
void sim_check_commit(const struct tide_position *positions, size_t count);
/** A result or a dead letter of a transaction that is about to be committed. */
void sim_check_covered(const struct payload *payload, const struct tide_position *positions,
                       size_t count);
/** It can be seen now. */
void sim_visible(const struct payload *payload, bool dead_letter, uint32_t level);
void sim_check_turn(void);
void sim_acked(const struct payload *payload, bool dead_letter, uint32_t level);
/** All messages before it are through; moves partition.low. */
uint32_t sim_low(struct partition *partition);
void sim_forget(struct partition *partition);
void sim_check_end(void);

#endif
