/* SPDX-License-Identifier: MIT
 * engine/kafka/source/inside.h - the structs and functions that the files of the Kafka source share. The files, from the
 * bottom to the top; each calls only those above it in this list:
 *   start_offset.c  the rule that decides where reading of a partition begins
 *   partitions.c    the table of partitions
 *   events.c        the events that wait for the engine, and what it sees of the partitions
 *   commit.c        commits of offsets
 *   wake.c          says when librdkafka is to fetch again (kafka/fetch_again.h)
 *   unheard.c       finds partitions of which nothing comes, whose resume librdkafka has lost
 *   fetch.c         messages, from librdkafka's queue to the engine
 *   ends.c          the ends of partitions: END, open transactions
 *   resolve.c       asks the brokers what the rule needs to know
 *   assign.c        the calls by which partitions begin, pause and end
 *   rebalance.c     assignments and revocations, one at a time, in order
 *   recreated.c     finds out whether a topic that was deleted is there again
 *   connect.c       the client, from the check at the start to its end
 *   assignment.c    reads what a member of the group was assigned
 *   unowned.c       finds partitions that no member of the group owns
 *   control.c       the events of the client: rebalances, commits, errors
 *   source.c        what the engine calls
 *
 * How librdkafka takes part in a rebalance: after its event it waits until assign or unassign is called, and keeps the
 * membership alive meanwhile. So both may take a while here: an assignment waits until the start offsets are resolved,
 * a revocation until the engine has committed.
 *
 * Each field is written by one file, which its comment names; every file may read it. */
#ifndef TIDE_KAFKA_SOURCE_INSIDE_H
#define TIDE_KAFKA_SOURCE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/text.h"
#include "kafka/blocking.h"
#include "kafka/client.h"
#include "kafka/fetch_again.h"
#include "kafka/kafka.h"
#include "kafka/known_topics.h"
#include "kafka/source/partitions.h"
#include "kafka/source/start_offset.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct rd_kafka_topic_s;
struct rd_kafka_message_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_consumer_group_metadata_s;

/* ---- the source ---- */

/** An event on its way to the engine. */
struct tide_kafka_source_event {
    STAILQ_ENTRY(tide_kafka_source_event) next;
    struct tide_source_event event;
    uint32_t *partitions;
    char *text;
};

enum tide_kafka_rebalance_kind {
    TIDE_KAFKA_ASSIGN,
    TIDE_KAFKA_REVOKE,
    TIDE_KAFKA_LOSE,  /* the membership has ended already */
    TIDE_KAFKA_REWIND /* asked for by the engine: the partitions are assigned again at once */
};
/** A rebalance; librdkafka waits for its end, unless it is a REWIND. */
struct tide_kafka_rebalance {
    STAILQ_ENTRY(tide_kafka_rebalance) next;
    enum tide_kafka_rebalance_kind kind;
    bool incremental;
    struct rd_kafka_topic_partition_list_s *list;
    struct rd_kafka_consumer_group_metadata_s *membership; /* of an assignment */
};

enum { TIDE_KAFKA_BORROWED = 256 };
/** A record that the engine borrows until it has taken it. */
struct tide_kafka_borrowed {
    struct rd_kafka_op_s *event;
    const struct rd_kafka_message_s *record; /* the event's */
    uint32_t partition;
    struct tide_text headers; /* its memory is kept for the next record that has some */
};

enum tide_kafka_state {
    TIDE_KAFKA_NEW,
    TIDE_KAFKA_STARTING, /* the brokers and topics are looked for */
    TIDE_KAFKA_RUNNING,
    TIDE_KAFKA_CLOSING, /* it leaves the group */
    TIDE_KAFKA_DESTROYING,
    TIDE_KAFKA_CLOSED
};

enum tide_kafka_group_state {
    TIDE_KAFKA_JOINING,     /* no assignment yet */
    TIDE_KAFKA_REBALANCING, /* between the two halves of a rebalance */
    TIDE_KAFKA_SETTLED      /* all the partitions that are to come have come */
};

struct tide_kafka_source {
    struct tide_source source;

    /* source.c, before the start; the strings are copies */
    struct tide_source_plan plan;
    struct tide_topics *topics;
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_blocking *blocking;
    struct tide_properties properties;
    struct tide_kafka_output output;
    bool holds; /* partitions that are assigned are held until they are released */
    int waker;

    /* connect.c */
    enum tide_kafka_state state;
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *control; /* rebalances, commits, errors */
    struct rd_kafka_queue_s *data;    /* the messages of all partitions */
    struct tide_kafka_outage *outage;
    struct tide_known_topics
        known_topics; /* of the start; fetch.c forgets those that are deleted */

    /* partitions.c */
    struct tide_kafka_partition *partitions; /* same index as source.partitions */
    uint32_t partition_count;
    uint32_t misplaced; /* so many of them are (tide_kafka_is_misplaced) */
    struct tide_kafka_topic *by_topic;
    uint32_t topic_count;

    bool failed; /* events.c; FAILED was emitted */
    struct {
        STAILQ_HEAD(, tide_kafka_source_event) queue; /* to be fetched, oldest first */
        struct tide_kafka_source_event *fetched; /* valid until the engine fetches the next one */
        uint32_t assigned;            /* ASSIGNED events in the queue: no messages before them */
        struct tide_partition *shown; /* source.partitions; `end` is written by ends.c */
        uint32_t shown_count;
    } events; /* events.c */

    struct {
        bool under_way;    /* the engine's */
        uint32_t of_start; /* so many more are, of offsets that reading began at */
        bool outlived;     /* the membership ended while one of these was under way */
    } commit;              /* commit.c */

    struct {
        struct tide_fetch_again again;
        int64_t most; /* messages in librdkafka's queue, the most since leaders were asked */
        /* so much in its queue makes librdkafka stop */
        int64_t max_messages;
        int64_t max_bytes;
        bool resumed; /* partitions were, whose leaders are not asked yet */
    } wake;           /* wake.c */

    struct {
        struct tide_kafka_borrowed records[TIDE_KAFKA_BORROWED];
        uint32_t first; /* [first, end) are borrowed */
        uint32_t end;
        uint64_t polled;  /* events that librdkafka's queue has given */
        int64_t heard_us; /* when something last came from a broker, or one was asked */
        bool passed_due;  /* for any partition */
        /* the partition of the last message, which is that of the next one mostly */
        const struct rd_kafka_topic_s *last_handle;
        int32_t last_number;
        uint32_t last_index;
    } fetch; /* fetch.c */

    struct {
        STAILQ_HEAD(, tide_kafka_rebalance) queue; /* to be served, oldest first */
        struct tide_kafka_rebalance *leaving;      /* the engine's revoke_done() is awaited */
        struct tide_kafka_resolve *resolving;      /* under way in the blocking thread */
        bool ended; /* the membership has ended, and there is no other yet */
    } rebalance;    /* rebalance.c */

    bool ended; /* ends.c; END was emitted */

    enum tide_kafka_group_state group; /* assign.c; rebalance.c on a revocation */
    struct rd_kafka_consumer_group_metadata_s *membership; /* assign.c; as of the last assignment */
    bool paused;                                           /* assign.c */

    struct {
        bool under_way; /* in the blocking thread */
        uint32_t next;  /* the partition to begin with the next time */
    } recreated;        /* recreated.c */

    bool looked_for_unowned; /* unowned.c */

    struct {
        int code; /* of librdkafka; was logged already */
        int64_t logged_us;
    } last_error; /* control.c */

    int64_t next_second_us; /* source.c */
};

/* ---- events.c ---- */

/** `indexes` and `text` are copied. */
void tide_kafka_source_emit(struct tide_kafka_source *source, enum tide_source_event_kind kind,
                            int status, const uint32_t *indexes, uint32_t count, const char *text);
/** FAILED, once, with the text in tide_error(). */
void tide_kafka_source_fail(struct tide_kafka_source *source, int status);
/** Reading of a partition that the engine has begins at another offset now. */
void tide_kafka_events_begin_moved(struct tide_kafka_source *source, uint32_t index);
/** The next event for the engine, or NOTHING; what it says of partitions holds for the engine from now on. */
void tide_kafka_events_next(struct tide_kafka_source *source, struct tide_source_event *event);
void tide_kafka_events_free(struct tide_kafka_source *source);

/* ---- commit.c ---- */

/** TIDE_BUSY while another one is under way; otherwise answered by a COMMITTED event. */
int tide_kafka_commit(struct tide_kafka_source *source, const struct tide_position *positions,
                      size_t count);
/** Commits offsets that were chosen for partitions to begin at; the engine does not hear of it. */
void tide_kafka_commit_start_offsets(struct tide_kafka_source *source,
                                     const struct rd_kafka_topic_partition_list_s *list);
void tide_kafka_commit_answered(struct tide_kafka_source *source, struct rd_kafka_op_s *event);
/** The membership has ended, maybe while a commit is under way. */
void tide_kafka_commit_membership_ended(struct tide_kafka_source *source);

/* ---- wake.c ---- */

/** The client is made: learns how long its queue may be. */
void tide_kafka_wake_begin(struct tide_kafka_source *source);
/** So many messages of so many bytes were taken from librdkafka's queue: makes sure that it fetches again if the queue is
 * empty, or half empty since it was full. */
void tide_kafka_wake_fetcher(struct tide_kafka_source *source, size_t taken, size_t bytes);
/** The partition was resumed. librdkafka 2.0.2 does not wake its broker's thread for that. */
void tide_kafka_wake_resumed(struct tide_kafka_source *source, uint32_t index);

/* ---- unheard.c ---- */

/** The partition was assigned or resumed, so something should come of it. */
void tide_kafka_unheard_begin(struct tide_kafka_partition *partition, int64_t now_us);
/** It did. */
void tide_kafka_unheard_end(struct tide_kafka_partition *partition);
/** Once a second: pauses and resumes those again of which nothing came for long. */
void tide_kafka_unheard_look(struct tide_kafka_source *source, int64_t now_us);

/* ---- fetch.c ---- */

/** A partition was assigned: its reading begins. */
void tide_kafka_fetch_begin(struct tide_kafka_source *source, uint32_t index,
                            const struct tide_start_question *known, int64_t offset);
/** Reading goes on elsewhere in a partition that stays assigned. */
void tide_kafka_fetch_move(struct tide_kafka_partition *partition, int64_t offset);
/** The engine has not taken all that it borrows. */
bool tide_kafka_fetch_is_any_borrowed(const struct tide_kafka_source *source);
ssize_t tide_kafka_fetch_poll(struct tide_kafka_source *source, struct tide_message *messages,
                              size_t max);
void tide_kafka_fetch_take(struct tide_kafka_source *source, size_t count);
/** Takes back the records of partitions that are not OWNED any more (all = of every partition). */
void tide_kafka_fetch_purge(struct tide_kafka_source *source, bool all);
/** Emits PASSED when it is due. */
void tide_kafka_fetch_emit_passed(struct tide_kafka_source *source);
/** Once a second: asks whether a broker is there when none was heard for long. */
void tide_kafka_fetch_ask_when_quiet(struct tide_kafka_source *source, int64_t now_us);
void tide_kafka_fetch_free(struct tide_kafka_source *source);

/* ---- ends.c ---- */

/** Emits END when it is due. */
void tide_kafka_ends_emit(struct tide_kafka_source *source);
/** The engine reads again: END will be emitted once more. */
void tide_kafka_ends_rewind(struct tide_kafka_source *source);
/** Once a second: shows the high watermarks, and warns of open transactions that have been holding messages back for long. */
void tide_kafka_ends_watch(struct tide_kafka_source *source, int64_t now_us);

/* ---- resolve.c ---- */

/** A job: where to begin with some partitions. */
struct tide_kafka_resolve {
    struct tide_blocking_job job; /* done is the owner's */
    struct tide_kafka_source *source;
    enum tide_resolve_reason reason; /* one for all of its partitions */
    bool incremental;
    bool dropped; /* the answer is not wanted any more; read and written atomically */
    struct rd_kafka_consumer_group_metadata_s *membership; /* of the assignment; NULL = as before */
    struct rd_kafka_topic_partition_list_s
        *list; /* REWOUND, MISPLACED: with the positions; afterwards with the answers */
    struct tide_start_question *questions; /* for each element of `list` */
    /* the answer */
    bool *commit; /* for each element: the offset is to be committed at once */
    int status;
    char text[1024];
};
/** Takes over `list`. `done` takes over the job, in the engine's thread. */
struct tide_kafka_resolve *tide_kafka_resolve_new(struct tide_kafka_source *source,
                                                  struct rd_kafka_topic_partition_list_s *list,
                                                  enum tide_resolve_reason reason,
                                                  void (*done)(struct tide_blocking_job *job));
/** The answer is not wanted any more. NULL is fine. */
void tide_kafka_resolve_drop(struct tide_kafka_resolve *resolve);
bool tide_kafka_resolve_is_dropped(const struct tide_kafka_resolve *resolve);
void tide_kafka_resolve_free(struct tide_kafka_resolve *resolve);

/* ---- assign.c ---- */

/** Assigns the partitions at the offsets that were resolved, and tells the engine; or, if they were misplaced, assigns
 * them again. */
int tide_kafka_assign(struct tide_kafka_source *source, struct tide_kafka_resolve *answer);
int tide_kafka_assign_give_back(struct tide_kafka_source *source,
                                const struct rd_kafka_topic_partition_list_s *list,
                                bool incremental);
/** The messages of a partition that is held may come. */
void tide_kafka_assign_release(struct tide_kafka_source *source, uint32_t index);
/** Answers an assignment that comes too late, since the source leaves: librdkafka takes either call for "none". */
void tide_kafka_assign_decline(struct tide_kafka_source *source,
                               const struct rd_kafka_topic_partition_list_s *list,
                               bool incremental);
void tide_kafka_assign_pause(struct tide_kafka_source *source, bool paused);
/** Resumes the partitions that are LEAVING: a pause would outlive the assignment. */
void tide_kafka_assign_resume_leaving(struct tide_kafka_source *source);
void tide_kafka_assign_free(struct tide_kafka_source *source);

/* ---- rebalance.c ---- */

/** An event of librdkafka: an assignment or a revocation. */
void tide_kafka_rebalance_event(struct tide_kafka_source *source, struct rd_kafka_op_s *event);
/** Begins what is due: the next rebalance, or resolving the start offsets of misplaced partitions. */
void tide_kafka_rebalance_serve(struct tide_kafka_source *source);
/** The engine's revoke_done(). */
void tide_kafka_rebalance_done(struct tide_kafka_source *source);
/** The engine's rewind(); it comes after the rebalances that wait. */
void tide_kafka_rebalance_rewind(struct tide_kafka_source *source);
/** The client ends: none of the rebalances will be served. */
void tide_kafka_rebalance_drop(struct tide_kafka_source *source);

/* ---- recreated.c ---- */

/** Once a second: asks whether a missing topic is there again. */
void tide_kafka_recreated_look(struct tide_kafka_source *source);

/* ---- connect.c ---- */

int tide_kafka_connect_start(struct tide_kafka_source *source);
/** Joins the group with the plan's topics; a member joins again. */
int tide_kafka_connect_subscribe(struct tide_kafka_source *source);
/** Leaves the group. */
void tide_kafka_connect_close(struct tide_kafka_source *source);
/** While it leaves the group: destroys the client once it has left. */
void tide_kafka_connect_poll_close(struct tide_kafka_source *source);
/** False: the client hangs, so nothing that it uses may be freed. */
bool tide_kafka_connect_free(struct tide_kafka_source *source);

/* ---- unowned.c ---- */

/** After the first assignment of a static member, once: makes sure that partitions without an owner get one. */
void tide_kafka_unowned_look(struct tide_kafka_source *source);

/* ---- control.c ---- */

/** Serves all events that the client has. */
void tide_kafka_control_drain(struct tide_kafka_source *source);

#endif
