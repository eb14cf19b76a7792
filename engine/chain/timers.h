/* SPDX-License-Identifier: MIT
 * engine/chain/timers.h - event time: how far it has come in each partition, and which timers are due.
 *
 * A step with state may read a time from each message (tide_step_plan.time). Of each partition the engine keeps the
 * newest time; its **watermark** is that less `grace`. A key of a state has one timer at most, which is part of its value
 * (TIDE_STATE_TIMED): so it is accepted, stored and forgotten with the value. When the watermark has passed its time it is
 * due, and enters the lane of its key as a record (TIDE_MESSAGE_TIMER) that has the origin of a message which is not
 * complete: the one that moved the watermark, or the one that set a timer which was due at once. So that message becomes
 * complete, and a position passes it, with the timer's results and changes. What is run again sets and moves the same.
 *
 * Topics that are read together have one watermark in each of their partitions: the newest time is the earliest of what each
 * of them has as its newest one. A topic that has nothing more to read, and of which nothing came for the time `idle`, is left
 * out until its next message; that is found out with the next message of another one.
 *
 * Behind a step with several lanes messages come in another order than they have in the partition. There the time of a message
 * counts once all messages of earlier offsets, and all of its own, have come (tide_offsets_came_to): no reference of them is
 * in a step before. So a timer is due only when the watermark is past it for every message that is still to come. As long
 * as times that do not count yet would make a timer due, the last message is held (tide_task.timers.held), to be the origin
 * of it. To a step with times behind this one, what is held has not come; so it waits for the timers of this one, too. The
 * results of these have any offset, since they have that of their origin: there a time counts once all messages have come
 * that had been read when it came, and so all results that were under way then.
 *
 * Where no message comes for a while the clock may move the watermark (task_clock.c).
 *
 *   the watermark        as of a position: each rise is kept with the offset that made it, until a commit covers it. Then
 *                        it is a change of the entry TIDE_TIMERS_KEY, which is stored like any other
 *   timers, accepted     those whose change is not stored yet are in a heap here
 *   timers, stored       the store's list has them (tide_store_next_timer); it is asked once the watermark has come to the
 *                        first of them
 *   timers, taken        whose record is in flight: the entry has them, so that they are not taken again meanwhile, also
 *                        when a commit puts them into the store's list. They end with the record (accepted, rejected), or
 *                        when its partition is forgotten. One that is tried again or run again is in flight
 *   a timer record       is out of date when the key's timer is another one by then: its worker leaves it out
 *
 * What is accepted, stored and forgotten is told by states.c, what is due is asked by states_timers.c; timers.c calls
 * neither, and watermark.c calls nobody. */
#ifndef TIDE_CHAIN_TIMERS_H
#define TIDE_CHAIN_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

struct tide_state_entry;
struct tide_timers;

/** The key of the entry that holds the newest time of a partition; of topics that are read together, it is followed by the
 * topic's name. Messages whose key begins with it are rejected. */
#define TIDE_TIMERS_KEY "\0watermark"
enum { TIDE_TIMERS_KEY_LENGTH = 10 };

/** A timer whose change is accepted and not stored. */
struct tide_timer {
    int64_t at;
    struct tide_state_entry *entry; /* pinned */
    int64_t offset;
    uint32_t index;
};

/** A timer of an entry whose record is in flight. */
struct tide_taken_timer {
    struct tide_taken_timer *next;
    int64_t at;
    uint32_t index; /* of the partition that its origin is of */
};

/** A partition of a state, by the partition's number: of the topics that are read together. */
struct tide_timeline {
    uint32_t state;
    int32_t number;
    int64_t grace_ms;
    struct tide_rises **inputs; /* of each topic */
    uint32_t input_count;
    int64_t newest_ms; /* INT64_MIN = a topic had no message with a time */
    struct tide_timer *heap;
    uint32_t heap_count, heap_room;
    int64_t
        stored_ms; /* no stored timer behind `last` is due before; INT64_MIN = not known, INT64_MAX = there is none */
    int64_t last_ms; /* the stored timer that was taken last, 0 = none */
    uint32_t last_length;
    char last_key[TIDE_STORE_KEY];
};

struct tide_rise {
    int64_t offset;
    int64_t newest_ms; /* from this message on */
};

/** The rises of one partition of the source, by index. */
struct tide_rises {
    struct tide_timeline *line;
    uint32_t index;
    const char *topic; /* NULL = it is read alone */
    bool loaded;       /* what the store has is known */
    bool idle;         /* it does not hold the others */
    int64_t heard_us;  /* when its last message came, or it was assigned */
    int64_t before_ms; /* as of the first rise that is kept */
    int64_t came; /* everything before this offset has come; INT64_MAX = messages come in order */
    struct tide_rise *list;
    uint32_t count, room;
    uint32_t counted; /* of the list: those of what has come */
};

struct tide_timers *tide_timers_new(void);
/** So many topics are read together; 1 if it is not called. */
void tide_timers_topics(struct tide_timers *timers, uint32_t topics);
void tide_timers_free(struct tide_timers *timers); /* NULL is fine */
/** The step of this state reads times. */
void tide_timers_add(struct tide_timers *timers, uint32_t state, int64_t grace_ms);
bool tide_timers_has(const struct tide_timers *timers, uint32_t state);
/** Partition `index` of the source, with this number, for a state that has times. `topic` is borrowed for good. The pointer is
 * good until the end. */
struct tide_rises *tide_timers_rises(struct tide_timers *timers, uint32_t state, uint32_t index,
                                     const char *topic, int32_t number);
/** The newest time of the store is known. INT64_MIN = it has none. */
void tide_timers_loaded(struct tide_rises *rises, int64_t newest_ms);
/** False as long as the partition of a topic is missing; there is no watermark then. */
bool tide_timers_complete(const struct tide_timers *timers, const struct tide_timeline *line);

/** A message of this time was read; INT64_MIN = it counts for nothing but that it came. */
void tide_timers_rise(struct tide_rises *rises, int64_t offset, int64_t time_ms);
/** All messages before this offset have come: only their times count from now on. */
void tide_timers_came(struct tide_rises *rises, int64_t offset);
/** INT64_MIN = there is none yet. A message has that at which its step took it: timers that it makes due come after the
 * messages that were taken before, in the lane of their key, and before those that are taken after. */
int64_t tide_timers_watermark(const struct tide_timeline *line);
/** Quick, and not certain: true when a timer may be due. */
bool tide_timers_may_be_due(const struct tide_timeline *line);
/** The same once the times of all messages count that have come. */
bool tide_timers_will_be_due(const struct tide_timeline *line);

/* ---- what states.c tells ---- */

/** A change is accepted that gives the entry a timer. */
void tide_timers_set(struct tide_timers *timers, struct tide_state_entry *entry, uint32_t index,
                     int64_t offset, int64_t at);
/** The next partition, from *at = 0 on, whose newest time (before_ms) a commit at these offsets (by index, -1 = none)
 * changes; NULL = no more. Rises that are covered are kept no longer. */
const struct tide_rises *tide_timers_cover(struct tide_timers *timers, uint32_t *at,
                                           const int64_t *limits, uint32_t count);
/** The changes before these offsets are stored. */
void tide_timers_stored(struct tide_timers *timers, const int64_t *limits, uint32_t count);
/** What was not stored of the partition is dropped. */
void tide_timers_forget(struct tide_timers *timers, uint32_t index);
/** The earliest watermark of all partitions of a state; INT64_MIN = there is none. */
int64_t tide_timers_earliest(const struct tide_timers *timers, uint32_t state);

/* ---- watermark.c, for timers.c ---- */

/** tide_timers_watermark once the times of all messages count that have come. */
int64_t tide_timeline_coming(const struct tide_timeline *line);
/** A commit at this offset covers the rises before it: they are kept no longer. False = there are none. */
bool tide_rises_cover(struct tide_rises *rises, int64_t limit);

/* ---- timers whose records are in flight ---- */

/** The entry is pinned until the record ends. */
void tide_timers_take(struct tide_timers *timers, struct tide_state_entry *entry, uint32_t index,
                      int64_t at);
bool tide_timers_is_taken(const struct tide_state_entry *entry, int64_t at);
/** The record has ended. Nothing happens when there is none. */
void tide_timers_end(struct tide_timers *timers, struct tide_state_entry *entry, int64_t at);
/** The entry's records whose origins are of this partition count no more. */
void tide_timers_give_up(struct tide_timers *timers, struct tide_state_entry *entry,
                         uint32_t index);
/** Of all entries. */
uint32_t tide_timers_taken(const struct tide_timers *timers);

/* ---- the heap, for states_timers.c ---- */

/** The first timer is dropped. */
void tide_timers_pop(struct tide_timeline *line);

#endif
