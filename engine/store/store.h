/* SPDX-License-Identifier: MIT
 * engine/store/store.h - the values of keyed state on disk, in LMDB: one environment for each pipeline, below its
 * state_dir. The engine's thread alone opens it, after the fork; no other process has it at the same time (a lock on the
 * folder). A value belongs to (state, partition, key).
 *
 * Changes and the position of the input that they stand for are written in one transaction, so they cannot disagree:
 * after kill -9 at any moment the store holds the last transaction that was committed, all of it.
 *
 * Each commit is synced (LMDB's default). Measured with plain LMDB calls, a store of 10^6 keys with 100-byte values, a
 * virtual disk: put 2.0 us, get 0.95 us; commit of 10,000 changed keys 50 ms, with MDB_NOMETASYNC 49 ms, with MDB_NOSYNC
 * 10 ms. Without the sync a power cut may leave a store that is torn, and on files there is nothing to restore it from.
 * So neither flag is set, and a store is torn by no crash. LMDB trusts its file. So that is read once before LMDB opens it
 * (store_check.c), with a checksum of each entry: what was damaged anywhere is refused, and never a wrong value or a crash.
 * That takes 0.25 s of processor for 2 * 10^6 keys with 100-byte values (a file of 820 MiB, in memory), which threads share.
 * Damage that comes to pages while they are in use is seen in values, which are checked each time, and not in LMDB's own
 * numbers.
 *
 * A copy of what is elsewhere (a changelog) is synced only when it is closed. No end of the process tears it, since the
 * kernel has all that was written; the end of the machine may. So a file beside it, `unsynced`, names the start of the machine
 * in which it was opened (boot_id of Linux), from before the first write until it is synced:
 *   unsynced                  what it means                          when it is opened
 *   not there                 it was closed                          it is gone on with
 *   this start                the engine ended by a kill, maybe      it is gone on with
 *   another start             the machine ended meanwhile            it is emptied, and restored
 *
 * Sizes are in bytes. Failures have a text that names the folder: TIDE_ECONFIG another pipeline's store or in use,
 * TIDE_EDATA damaged, TIDE_ETEMPORARY the disk is full or fails. */
#ifndef TIDE_STORE_STORE_H
#define TIDE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tide_store;

enum {
    TIDE_STORE_KEY = 480,       /* the longest key: LMDB's are limited to 511 bytes */
    TIDE_STORE_VALUE = 1 << 20, /* the longest value, without its timer */
    TIDE_STORE_TIMER = 8,       /* what a timer adds to it ... */
    TIDE_STORE_TIMED = 0x80,    /* ... where its kind has this bit: TIDE_STATE_TIMED */
    TIDE_STORE_NAME = 64        /* the longest name of a state, with the NUL */
};

struct tide_store_key {
    uint32_t state; /* of tide_store_state() */
    int32_t partition;
    const char *bytes;
    uint32_t length;
};

struct tide_store_value {
    int64_t expires_ms; /* since the epoch; 0 = never */
    uint32_t kind;      /* enum tide_state_kind (shm/layout.h) */
    uint32_t length;
    const char *bytes; /* of a get: borrowed until the next call for this store */
};

/** When the timer of a key is due, in ms since the epoch. */
struct tide_store_timer {
    int64_t at;
    const char *key; /* borrowed until the next call for this store */
    uint32_t key_length;
};

/** How far an input was read: everything before `offset` is in the store. */
struct tide_store_position {
    int64_t offset;
    uint64_t mark; /* a hash that tells this input from another one of the same name ... */
    int64_t bytes; /* ... made of so many bytes */
};

/** Between the name of the pipeline and the topic that it reads, where there is a changelog: what files were counted into is
 * another store than that of a topic. */
#define TIDE_STORE_CHANGELOG ", with the changelog of "

/** Opens the store of a pipeline, which is made when it is not there. NULL with tide_error(). `dir` NULL: a temporary one,
 * which is gone when it is closed or the process ends. `map`: address space to begin with, 0 = plenty; it grows. */
struct tide_store *tide_store_open(const char *dir, const char *pipeline, size_t map);
/** The same of a store that is a copy of a changelog: a damaged one is set aside, as data.mdb.damaged, and an empty one is
 * opened, as it is where the machine has ended before it was synced. */
struct tide_store *tide_store_open_copy(const char *dir, const char *pipeline);
void tide_store_close(struct tide_store *store); /* NULL is fine */

/** The number of a state. `by` says what its keys are: a state that was kept by another key is refused. */
int tide_store_state(struct tide_store *store, const char *name, const char *by, uint32_t *number);

/** Opens a store to read it, while no engine has it: nothing is made or written. NULL with tide_error() and the status:
 * TIDE_ENOINPUT when there is none yet, TIDE_ETEMPORARY when an engine has it. */
struct tide_store *tide_store_look(const char *dir, const char *pipeline, int *status);

/** A state of the store. */
struct tide_store_state {
    uint32_t number;
    uint32_t length;
    const char
        *text; /* "NAME, by WHAT", without an end; borrowed until the next call for this store */
};
/** The state of the next number above `after` (-1: the first one). 1 = found, 0 = none is left, negative = failed. */
int tide_store_next_state(struct tide_store *store, int64_t after, struct tide_store_state *state);

/** A way through the values of a state, by partition and key. Zero it, and set `state`. */
struct tide_store_walk {
    uint32_t state;
    int32_t partition; /* from this one on ... */
    bool one;          /* ... and no further */
    bool begun;
    struct tide_store_key key; /* of the value; its bytes are in `bytes` */
    char bytes[TIDE_STORE_KEY];
};
/** The next value. 1 = found, 0 = none is left, negative = failed. */
int tide_store_next(struct tide_store *store, struct tide_store_walk *walk,
                    struct tide_store_value *value);
/** Bytes of the store's file. */
uint64_t tide_store_bytes(struct tide_store *store);
/** Opens a store that tide_store_look could read, to drop states of it: nobody else has it meanwhile. */
struct tide_store *tide_store_change(const char *dir, const char *pipeline, int *status);
/** Deletes a state: its values, timers and name, and with `input` (its changelog; NULL = none) how far that was read into
 * it. In several transactions, which are synced; after a failure it may be called again. */
int tide_store_drop(struct tide_store *store, uint32_t number, const char *input);
/** Empties the store: states, positions, and whose it is. In one transaction of its own, which is synced. */
int tide_store_empty(struct tide_store *store);
/** The keys of this state may have timers: from now on puts and deletes keep the list of them (tide_store_next_timer). Those
 * that are there are gone through, to count them. */
int tide_store_has_timers(struct tide_store *store, uint32_t number);
/** How many timers there are of such a state, in all partitions of the store. */
uint64_t tide_store_timers(const struct tide_store *store, uint32_t number);
/** The time of the value's timer; 0 = it has none. */
int64_t tide_store_timer_of(const struct tide_store_value *value);

/** 1 = found, 0 = there is none, negative = failed. */
int tide_store_get(struct tide_store *store, const struct tide_store_key *key,
                   struct tide_store_value *value);
int tide_store_get_position(struct tide_store *store, const char *input, int32_t partition,
                            struct tide_store_position *position);
/** The timer of the partition that follows `timer` (at 0: the first), by time and key. Of values that were committed. */
int tide_store_next_timer(struct tide_store *store, uint32_t state, int32_t partition,
                          struct tide_store_timer *timer);

/** A transaction: begin, changes, commit. A call that fails has ended it. TIDE_BUSY: the map was full and has grown now,
 * the transaction has to begin again. */
int tide_store_begin(struct tide_store *store);

/** A change in the order of the store, in which changes take the least time and touch the fewest pages. */
struct tide_store_order {
    struct tide_store_key key;
    uint32_t index;
};
/** By state, partition and key; those of one key by their index. */
void tide_store_sort(struct tide_store_order *list, size_t count);
/** Both are changes of one key. */
bool tide_store_is_same(const struct tide_store_order *one, const struct tide_store_order *other);

int tide_store_put(struct tide_store *store, const struct tide_store_key *key,
                   const struct tide_store_value *value);
int tide_store_delete(struct tide_store *store, const struct tide_store_key *key);
int tide_store_put_position(struct tide_store *store, const char *input, int32_t partition,
                            const struct tide_store_position *position);
/** How many values were deleted so far since they had expired. */
uint64_t tide_store_expired(const struct tide_store *store);
/** Deletes at most `most` values of a state in a partition; `deleted` is how many, with TIDE_OK. */
int tide_store_clear(struct tide_store *store, uint32_t state, int32_t partition, uint32_t most,
                     uint32_t *deleted);
/** Deletes values that have expired among the next `most` ones, going round. */
int tide_store_sweep(struct tide_store *store, int64_t now_ms, uint32_t most);
int tide_store_commit(struct tide_store *store);
/** Ends the transaction, if there is one, without its changes. */
void tide_store_rollback(struct tide_store *store);
/** Of bytes: it finds damage, and protects from nobody. The same in each version, since it is in stores. */
uint64_t tide_store_hash(uint64_t seed, const char *bytes, size_t length);

#endif
