/* SPDX-License-Identifier: MIT
 * scripts/sim/sim.h - the simulation runs a whole engine, made of the program's object files, and plays everything
 * around it: the source and the sink (their ops tables), the zygote and the workers (the other ends of the sockets of
 * proc/protocol.h, without fork) and the clock, which stands still unless it is moved. One 64-bit seed draws the settings
 * and every event, so that a run can be repeated.
 *
 * A message carries an item: the partition and index it came from, the assignment in which it was read, and its path
 * (which of the results of each step it is). How a transform behaves on it at a step is a function of the seed and the
 * item. Therefore the model knows what must come out, and checks what the engine sends, commits and counts.
 *
 * Each file may call those above it:
 *   random.c        random numbers
 *   settings.c      draws the settings of a seed
 *   folder.c        the folder of state, where engines are restarted
 *   fail.c          ends the program when a rule is broken
 *   model.c         what is right; dead_letters.c checks dead letters
 *   values.c, changelog.c   values of state, and the changelogs
 *   timers.c        timers of keyed state (keyed.h has these, too)
 *   states.c        keyed state: what workers see and write, and what the engine has
 *   results.c       writes what a worker leaves in the output block
 *   lies.c          what a worker does against the protocol
 *   lanes.c         that a job has records of one lane only
 *   transaction.c   the sink's transactions (exactly once, and where there are changelogs)
 *   changelog_sink.c   a sink of its own for changelogs
 *   source.c        the consumer group: partitions that come and go, messages, commits
 *   sink.c          the brokers: take, refuse, and acknowledge in any order across partitions
 *   workers.c       the zygote and the workers: they spawn, die, hang and break the protocol
 *   taps.c          somebody who looks on
 *   world.c         the engine, and a run from its start to its end; main.c runs seed after seed */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine_inside.h"
#include "shm/layout.h"

enum {
    MAX_PARTITIONS = 4,
    MAX_MESSAGES = 256, /* in a partition */
    MAX_STEPS = 3,
    MAX_POOLS = 2,
    MAX_WORKERS = 6,
    MAX_SLOTS = MAX_WORKERS + MAX_POOLS, /* each pool may have a spare one */
    MAX_PATHS = 64,
    MAX_KEYS = 8,
    MAX_STATES = 2, /* of the first step */
    MAX_NEWER = MAX_PARTITIONS * MAX_KEYS * MAX_STATES,
    NO_KEY = MAX_KEYS, /* the message's key is null */
    NO_LANE = MAX_WORKERS,
    MAGIC = 0x71DE,
    RATE_ALWAYS = 1024 /* a rate of N means N in 1024 */
};

struct item {
    uint16_t partition;
    uint16_t
        path; /* two bits a step, the first step's are the highest, so that it rises in the order of results */
    uint32_t epoch;
    uint32_t index; /* of the message in its partition */
};

/** The first bytes of each value; padding follows. */
struct payload {
    uint32_t magic;
    uint32_t count;
    /* The epochs, by partition, of all messages that the result stands for; 0 = it has none of that partition. A group
     * is current while one of them is. */
    uint32_t epochs[MAX_PARTITIONS];
    struct item items[];
};

/** What a transform does with a record. */
enum behaviour_kind { BEHAVIOUR_PASS, BEHAVIOUR_REJECT, BEHAVIOUR_POISON, BEHAVIOUR_HANG };
struct behaviour {
    enum behaviour_kind kind;
    uint32_t results; /* how many it returns; 0 = filtered */
    uint32_t padding; /* bytes that are added to each */
};

/** How often each thing happens in a run, as a rate. Many are 0 in most runs. */
struct rates {
    uint32_t filter, many, reject, poison, hang, large;
    uint32_t crash, idle_crash, lie, fork_fails, retry;
    uint32_t block, partial, refuse, refuse_dead_letter;
    uint32_t revoke, lose, commit_fails, jump, abort, resize, restart;
};

struct settings {
    uint64_t seed;
    uint32_t partitions;
    uint32_t messages; /* in each partition */
    uint32_t actions;  /* with faults; then the run is calm */
    struct tide_step_plan steps[MAX_STEPS];
    bool batch[MAX_STEPS]; /* the step's function takes several records at once */
    uint32_t step_count;
    uint32_t pools[MAX_POOLS];
    uint32_t pools_begin[MAX_POOLS];
    struct tide_worker_limits limits[MAX_POOLS];
    uint32_t pool_count;
    struct tide_commit_plan commit;
    struct tide_dlq_plan dlq;
    bool exactly_once;
    bool drop_groups; /* a task after a step that reduces returns nothing */
    bool has_state;   /* the first step has */
    bool has_changelog;
    bool has_timers;   /* the first state of the first step has */
    bool transactions; /* positions are committed in them: exactly once, or there are changelogs */
    uint32_t keys;
    bool null_keys; /* some messages have none */
    /* What the whole chain keeps in order; KEY: the messages of a partition and key. */
    enum tide_step_order keeps;
    bool unordered; /* a step has another order than PARTITION */
    int64_t message_timeout_us;
    struct rates rates;
};

/** A message of a partition. The masks have one bit for each path; all but the last two are of the present epoch. */
struct message {
    int64_t offset;
    uint32_t size;
    uint32_t epoch;
    uint64_t published[MAX_STEPS];
    uint64_t died[MAX_STEPS][4]; /* a worker died at it: [0] once or more, [1] twice or more, ... */
    uint64_t late[MAX_STEPS];    /* a worker hung at it */
    uint64_t excused
        [MAX_STEPS]; /* a worker rejected it for its size, or broke the protocol: any dead letter is right */
    uint64_t dead_letter_sent[MAX_STEPS + 1];
    uint64_t dead_lettered[MAX_STEPS + 1]; /* the dead letter was acknowledged */
    uint64_t sent;
    uint64_t refused;
    uint64_t acked;
    /* in a committed transaction, of any epoch */
    uint64_t visible;
    uint64_t visible_dead_letters[MAX_STEPS + 1];
    /* of any epoch, where the first step has state */
    uint64_t written[MAX_STATES]; /* what a worker has made of the states of its key */
    bool unsure;                  /* it may have been rejected */
    enum { FIRED_NO, FIRED_MAYBE, FIRED } fired; /* its timer was, ... */
    uint32_t fired_index;                        /* ... with the origin of this message */
    uint32_t
        due; /* when it was read, its key had a timer that was due: of the message before this index; 0 = none */
};

enum ownership {
    AWAY,
    OWNED,
    LEAVING,
    LOST /* lost, or its transaction was aborted: nothing of it counts any more */
};
struct partition {
    enum ownership state;
    bool held; /* its state is being restored */
    uint32_t epoch;
    uint32_t next;      /* index of the message to hand out next */
    uint32_t first;     /* index at which this assignment began */
    uint32_t low;       /* index of the first message of this assignment that is not complete */
    uint32_t available; /* number of messages that were written */
    int64_t committed;  /* offset */
    int64_t asked;      /* highest offset that the engine asked to commit in this assignment */
    struct
        newest { /* the newest item sent in this epoch, by key; [0] where the order is that of partitions */
        bool any;
        uint32_t index;
        uint32_t path;
    } newest[MAX_KEYS];
    struct message messages[MAX_MESSAGES];
};

struct sim {
    struct settings set;
    uint64_t random;
    int64_t now_us;
    struct tide_engine *engine;
    struct partition partitions[MAX_PARTITIONS];
    bool calm;          /* there are no more faults */
    uint64_t taken;     /* messages that the engine took */
    uint64_t completed; /* messages that were complete when their partition was revoked */
    uint64_t dropped;   /* messages that were not */
    uint64_t steps;     /* actions and turns */
    uint64_t resizes;   /* chances in this run that sizes change */
    int tap;            /* the number of the tap that is armed; 0 = none */
    bool may_fail;      /* the dlq has limits, or there is none, so that the engine may stop */
    bool over;
    int status; /* of the FAILED event */
};

extern struct sim sim;
/** A value of a state. */
struct sim_value {
    uint64_t number; /* 0 = there is none */
    int64_t timer;   /* its time; 0 = none */
    uint32_t by;     /* the index of the message that set the last one, from 1 on; 0 = none */
};

/* folder.c */
const char *sim_folder(void);
/** Makes it, or removes what it has. */
void sim_folder_empty(void);
void sim_folder_remove(void);

/* fail.c */
/** The engine broke a rule: prints it with the seed and the settings, and ends the program. */
void sim_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* random.c */
uint32_t sim_roll(uint32_t below);
bool sim_chance(uint32_t rate);
/** As sim_chance, but false once the run is calm. */
bool sim_fault(uint32_t rate);
uint64_t sim_mix(uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* settings.c */
void sim_draw(uint64_t seed);
void sim_print(FILE *file);

/* taps.c */
/** After a turn of the engine. */
void sim_look_on(void);

/* world.c */
void sim_run(uint64_t seed, bool verbose);

/* source.c, sink.c, workers.c: `open` puts them around the engine, `act` lets one thing happen */
void sim_source_open(void);
void sim_source_act(void);
/** Emits END once everything is read. True when it did. */
bool sim_source_end(void);
void sim_sink_open(void);
void sim_sink_act(void);
void sim_workers_open(void);
void sim_workers_act(void);

/* transaction.c */
void sim_transaction_open(struct tide_sink_ops *ops);
void sim_transaction_act(void);
/** The engine is gone: a commit that was under way has arrived or not, and else all is aborted. */
void sim_transaction_orphaned(void);
/** A transaction is ending or being aborted: the sink takes nothing. */
bool sim_transaction_busy(void);
bool sim_transaction_aborting(void);
/** A transaction is ending, and whether its positions are committed is not known yet. The group does not assign then. */
bool sim_transaction_undecided(void);
void sim_transaction_add(const struct payload *payload, bool dead_letter, uint32_t level);
/** A record of the transaction was refused. */
void sim_transaction_remove(const struct payload *payload, bool dead_letter, uint32_t level);

/* what a worker does with records */
struct worker {
    bool alive;
    bool ready; /* it has sent its hello */
    uint32_t generation;
    bool busy;
    bool entered;                      /* it runs the job */
    bool stuck;                        /* it hangs; or it has run the job, and reports next */
    bool lied;                         /* it broke the protocol in this job */
    bool full;                         /* the output block is full */
    bool retried;                      /* the result that it wrote last asks for tide.retry */
    struct sim_value made[MAX_STATES]; /* what it wrote with the record */
    struct tide_job job;
    uint32_t lane; /* of the job, where lanes are by key */
    uint32_t at;   /* index of the record to run next */
    const struct tide_record *record;
    uint32_t bytes;
    uint32_t last_result; /* byte at which it begins */
    int64_t progress_us;
    uint32_t idle_deaths; /* deaths in a row before the hello */
    uint32_t
        put_off; /* partitions of which a record of this job is to be tried again, and what follows it */
    uint32_t newer_count; /* states that it has written in this job */
    struct {
        uint32_t number;
        struct sim_value value;
    } newer[MAX_NEWER];
};
/* results.c */

/** The first record of a job. */
const struct tide_record *sim_first(const struct tide_job *job);
const struct payload *sim_payload(const struct tide_record *record);
const struct tide_record *sim_next(const struct tide_record *record);
/** Writes the results of a record, or that it is to be tried again. False = the block is full. */
bool sim_write_record(struct worker *worker);
/** Writes the results of a whole batch. False = the block is full, and a part of them is written. */
bool sim_write_reduced(struct worker *worker);
void sim_publish(struct worker *worker, uint32_t next);

/* lanes.c */
/** The lane of the records of a job, or NO_LANE: they may be in any, or the step has no lanes by key. */
uint32_t sim_lane_of_job(const struct tide_job *job);

/* lies.c */

/** Spoils the results that the worker has written: it has lied from now on. */
void sim_spoil_results(struct worker *worker);
/** One more lie, in the words that say where the worker is, or by its socket; or none. */
void sim_lie_otherwise(const struct worker *worker, int socket);

/* model.c, dead_letters.c */

/** Where a step's two bits are in a path. */
static inline uint32_t sim_shift(uint32_t level)
{
    return level < MAX_STEPS ? 2 * (MAX_STEPS - 1 - level) : 0;
}
static inline uint64_t sim_bit(uint32_t path)
{
    return 1ULL << path;
}
/** The number of the message's key, or NO_KEY. */
uint32_t sim_key(uint32_t partition, uint32_t index);
/** The key's one letter. */
const char *sim_key_text(uint32_t key);
/** True if a result at that level stands for several messages. */
bool sim_is_group(uint32_t level);
/** True if one of the messages that the result stands for is of an assignment that holds. */
bool sim_current(const struct payload *payload);
struct behaviour sim_behaviour(const struct item *item, uint32_t level);
struct message *sim_message(const struct item *item);
/** True if the item is of the present assignment of a partition that is not revoked. */
bool sim_present(const struct item *item);
void sim_died(const struct payload *payload, uint32_t level);
void sim_mark(const struct payload *payload, uint32_t level, size_t mask);
void sim_check_send(const struct tide_message *message);
/** Returns the level of the dead letter: the index of a step, or the number of steps for what the sink refused. */
uint32_t sim_check_dead_letter(const struct tide_message *message);
/** Returns the items of a value; fails when it has none. */
const struct payload *sim_value(const struct tide_message *message);
void sim_check_commit(const struct tide_position *positions, size_t count);
/** Checks a result or a dead letter of a transaction that is about to be committed. */
void sim_check_covered(const struct payload *payload, const struct tide_position *positions,
                       size_t count);
/** Its transaction is committed, so that consumers can read it. */
void sim_visible(const struct payload *payload, bool dead_letter, uint32_t level);
void sim_check_turn(void);
void sim_acked(const struct payload *payload, bool dead_letter, uint32_t level);
/** The index of the first message that is not complete; moves partition.low there. */
uint32_t sim_low(struct partition *partition);
/** The partition is revoked: counts its messages that are complete, and the others, which are read again. */
void sim_forget(struct partition *partition);
/** The transaction was aborted: what was read since the last commit counts no more, in any partition. */
void sim_void(void);
void sim_check_end(void);

#endif
