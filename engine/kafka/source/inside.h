/* SPDX-License-Identifier: MIT
 * engine/kafka/source/inside.h - inside of the Kafka source, shared by its files:
 *   source/source.c     what the engine calls
 *   source/control.c    events of the client: errors, commits
 *   source/connect.c    the client, from the check at the start to its end
 *   source/rebalance.c  assignments and revocations, one at a time, in order
 *   source/assign.c     the calls that begin and end partitions
 *   source/resolve.c     where a partition begins; runs in the blocking thread
 *   source/recreated.c       what is deleted is looked for
 *   source/fetch.c      messages, from the data queue to the engine
 *
 * librdkafka's side of a rebalance: after its event it waits until assign or unassign was called,
 * and keeps the membership alive meanwhile. So both may take a while here: an assignment waits for
 * source/resolve.c, a revocation for the engine's commit. */
#ifndef TIDE_KAFKA_SOURCE_INSIDE_H
#define TIDE_KAFKA_SOURCE_INSIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "kafka/client.h"
#include "kafka/kafka.h"
#include "kafka/known_topics.h"
#include "kafka/reach.h"

struct rd_kafka_s;
struct rd_kafka_queue_s;
struct rd_kafka_op_s;
struct rd_kafka_topic_s;
struct rd_kafka_topic_partition_list_s;
struct rd_kafka_consumer_group_metadata_s;

enum tide_kafka_assignment {
    TIDE_KAFKA_UNASSIGNED,
    TIDE_KAFKA_PENDING, /* assigned; the ASSIGNED event is not fetched yet */
    TIDE_KAFKA_OWNED,
    TIDE_KAFKA_LEAVING /* the REVOKED or LOST event exists; revoke_done() is awaited */
};

struct tide_kafka_partition {
    uint16_t topic;
    int32_t number;
    enum tide_kafka_assignment assignment;
    int64_t next;        /* offset from which the next message comes */
    int64_t target;      /* until_end: the end that it had when it was assigned */
    int64_t epoch_start; /* `next` when it was assigned: nothing was read while they are equal */
    int64_t end;         /* that it had when it was assigned */
    bool at_end;         /* until_end */
    int64_t passed;  /* everything before it is read, by the last end of partition; -1 = none yet */
    bool passed_due; /* to be queued */
    int64_t stable;  /* where it ended at last, no message since; else -1 */
    int64_t
        still_us; /* since when there is more behind `stable`: an open transaction; 0 = there is not */
    bool still_logged;
    bool paused; /* resuming one that is not would rewind it (librdkafka before 2.4.0) */
    bool
        out_of_range; /* librdkafka says that its offset is out of range, or it was missing and is back */
    bool missing;   /* librdkafka says that there is no such topic or partition */
    bool committed; /* the group has had an offset of it: were there none now, it is another */
    int last_error; /* queued already */
};

/** Index of partitions by their number. */
struct tide_kafka_topic {
    uint16_t topic;
    const struct rd_kafka_topic_s *handle; /* last seen with messages; only compared */
    uint32_t *index;                       /* start in `partitions` plus one, by partition number */
    uint32_t capacity;
};

struct tide_kafka_source_event {
    struct tide_kafka_source_event *next;
    struct tide_source_event event;
    uint32_t *partitions;
    char *text;
};

/** A rebalance that librdkafka waits for. */
struct tide_kafka_rebalance {
    struct tide_kafka_rebalance *next;
    bool assign;
    bool incremental;
    bool lost;
    bool rewind; /* asked for by the engine: the partitions are assigned again at once */
    struct rd_kafka_topic_partition_list_s *list;
    struct rd_kafka_consumer_group_metadata_s *membership; /* of an assignment */
};

enum { TIDE_KAFKA_BORROWED = 256 };
struct tide_kafka_borrowed {
    struct rd_kafka_op_s *event;
    uint32_t partition;
    struct tide_text headers; /* kept for the next message that has some */
};

enum tide_kafka_state {
    TIDE_KAFKA_NEW,
    TIDE_KAFKA_STARTING, /* brokers and topics are looked for */
    TIDE_KAFKA_RUNNING,
    TIDE_KAFKA_CLOSING, /* leaving the group */
    TIDE_KAFKA_DESTROYING,
    TIDE_KAFKA_CLOSED
};

struct tide_kafka_source {
    struct tide_source source;
    struct tide_source_plan plan; /* with strings of its own */
    struct tide_topics *topics;
    struct tide_loop *loop;
    struct tide_counters *counters;
    struct tide_blocking *blocking;
    struct tide_properties properties;
    struct tide_kafka_output output;       /* with strings of its own */
    struct tide_known_topics known_topics; /* at the start */

    enum tide_kafka_state state;
    bool failed;
    struct rd_kafka_s *client;
    struct rd_kafka_queue_s *control; /* rebalances, commits, errors */
    struct rd_kafka_queue_s *data;    /* messages of all partitions */
    int waker;
    struct tide_kafka_outage *outage;
    int64_t next_second_us;
    int64_t heard_us; /* when something last came by the data queue, or was asked for */
    int last_error;   /* queued already, and when */
    int64_t last_error_us;

    struct tide_kafka_partition *partitions; /* index = that of source.partitions */
    uint32_t partition_count;
    struct tide_partition *shown; /* source.partitions: grows when an ASSIGNED event is fetched */
    uint32_t shown_count;
    struct tide_kafka_topic *by_topic;
    uint32_t topic_count;
    /* of the last message: the next is of the same, mostly */
    const struct rd_kafka_topic_s *last_handle;
    int32_t last_number;
    uint32_t last_index;

    struct tide_kafka_source_event *events; /* to be fetched, oldest first */
    struct tide_kafka_source_event **events_end;
    struct tide_kafka_source_event *fetched; /* borrowed to the engine */
    uint32_t assigned_waiting;               /* ASSIGNED events among them: no messages before */

    struct tide_kafka_rebalance *rebalances; /* to be served, oldest first */
    struct tide_kafka_rebalance *leaving;    /* the engine's revoke_done() is awaited */
    struct tide_kafka_resolve *resolving;    /* under way in the blocking thread */
    struct rd_kafka_consumer_group_metadata_s *membership; /* as of the last assignment */
    bool ever_assigned;
    bool settled; /* not between the two halves of a rebalance */
    bool committing;
    bool outlived; /* the commit last asked for was under way when the membership ended */
    bool paused;
    bool waking; /* under way in the blocking thread */
    int64_t woken_us;
    uint32_t wake_from;
    bool looking; /* whether what is missing is back: under way in the blocking thread */
    uint32_t look_from;
    bool ended;      /* the END event was given */
    bool passed_due; /* of any partition */

    struct tide_kafka_borrowed borrowed[TIDE_KAFKA_BORROWED];
    struct tide_message messages[TIDE_KAFKA_BORROWED]; /* of `borrowed` */
    uint32_t borrowed_first;
    uint32_t borrowed_end;
};

/* source/wake.c */

/** The queue is empty: sees to it that librdkafka fetches again. */
void tide_kafka_wake_fetcher(struct tide_kafka_source *source);

/* source/unowned.c */

/** After the first assignment of a static member: sees to it that partitions which nobody owns are shared out. */
void tide_kafka_unowned_look(struct tide_kafka_source *source);

/* source/recreated.c */

/** Once a second: asks whether a topic of which partitions are missing is there again; those are out_of_range then. */
void tide_kafka_recreated_look(struct tide_kafka_source *source);

/* source/source.c */

/** Takes over nothing; `indexes` and `text` are copied. */
void tide_kafka_source_emit(struct tide_kafka_source *source, enum tide_source_event_kind kind,
                            int status, const uint32_t *indexes, uint32_t count, const char *text);
/** FAILED, once, with the text in tide_error(). */
void tide_kafka_source_fail(struct tide_kafka_source *source, int status);
/** The start of a partition, made when it is new. Negative: too many. */
int tide_kafka_source_find(struct tide_kafka_source *source, const char *name, int32_t number);
const char *tide_kafka_source_topic(const struct tide_kafka_source *source, uint32_t index);

/* source/control.c */

/** Serves all that the client has to say. */
void tide_kafka_control_drain(struct tide_kafka_source *source);

/* source/connect.c */

int tide_kafka_connect_start(struct tide_kafka_source *source);
/** Joins the group with the plan's topics; a member joins again. */
int tide_kafka_connect_subscribe(struct tide_kafka_source *source);
/** Leaves the group. */
void tide_kafka_connect_close(struct tide_kafka_source *source);
/** While it leaves: goes on once it has left. */
void tide_kafka_connect_closing(struct tide_kafka_source *source);
/** False: the client hangs, so nothing it uses may be freed. */
bool tide_kafka_connect_free(struct tide_kafka_source *source);

/* source/assign.c */

/** Given to the engine, and not on its way back. */
bool tide_kafka_is_assigned(const struct tide_kafka_partition *partition);
/** Assigns what was resolved, and tells the engine; or sets right what was out_of_range. */
int tide_kafka_assign_resolved(struct tide_kafka_source *source, struct tide_kafka_resolve *answer);
int tide_kafka_assign_give_back(struct tide_kafka_source *source,
                                const struct rd_kafka_topic_partition_list_s *list,
                                bool incremental);
/** An assignment that comes too late: it leaves, and librdkafka takes either call for "none". */
void tide_kafka_assign_decline(struct tide_kafka_source *source,
                               const struct rd_kafka_topic_partition_list_s *list,
                               bool incremental);
/** Is a partition out of range while it runs? */
bool tide_kafka_any_out_of_range(const struct tide_kafka_source *source);
/** Asks where to go on with those. */
int tide_kafka_assign_ask_again(struct tide_kafka_source *source);

/* source/rebalance.c */

/** The group's protocol is cooperative: partitions come and go one by one. */
bool tide_kafka_is_incremental(const struct tide_kafka_source *source);
void tide_kafka_rebalance_event(struct tide_kafka_source *source, struct rd_kafka_op_s *event);
/** Begins what is due: the next rebalance, or setting right what is out_of_range. */
void tide_kafka_rebalance_serve(struct tide_kafka_source *source);
void tide_kafka_rebalance_done(struct tide_kafka_source *source); /* the engine's revoke_done() */
/** The engine's rewind(): behind the rebalances that wait. */
void tide_kafka_rebalance_rewind(struct tide_kafka_source *source);
/** The answer of source/resolve.c; takes it over. */
void tide_kafka_rebalance_resolved(struct tide_kafka_source *source,
                                   struct tide_kafka_resolve *answer);
void tide_kafka_rebalance_drop(struct tide_kafka_source *source);

/* source/resolve.c */

/** Where to begin, of one partition. */
struct tide_kafka_start {
    int64_t offset;
    int64_t end; /* the high watermark */
    /* to be committed: by "latest", else a rebalance before the first commit would skip */
    bool to_commit;
    bool committed; /* it has a committed offset */
    /* what was known of the partition when the question was made */
    bool was_committed;
    bool was_missing; /* librdkafka said that there is no such partition */
    bool was_read;    /* something of it */
    bool added;       /* it was not there when the source began */
};
struct tide_kafka_resolve {
    struct tide_blocking_job job;
    struct tide_kafka_source *source;
    struct tide_blocking *blocking;
    struct rd_kafka_s *client;
    bool dropped; /* the answer is not wanted any more (read and written atomically) */
    /* the list's offsets are out of range, so they say; else ask for the committed ones */
    bool out_of_range;
    bool incremental;
    bool rewind; /* the partitions are assigned still: they begin again */
    struct rd_kafka_consumer_group_metadata_s *membership; /* of the assignment; NULL = as before */
    const struct tide_source_plan *plan;                   /* the source's */
    struct rd_kafka_topic_partition_list_s *list;
    /* the answer */
    struct tide_kafka_start *starts; /* as `list` */
    int status;
    char text[1024];
};
/** Takes over `list`. */
struct tide_kafka_resolve *tide_kafka_resolve_new(struct tide_kafka_source *source,
                                                  struct rd_kafka_topic_partition_list_s *list,
                                                  bool out_of_range);
void tide_kafka_resolve_free(struct tide_kafka_resolve *resolve);

/* source/fetch.c */

ssize_t tide_kafka_fetch_poll(struct tide_kafka_source *source, struct tide_message *messages,
                              size_t max);
void tide_kafka_fetch_take(struct tide_kafka_source *source, size_t count);
/** Drops what is borrowed of partitions that are not owned any more (all = of every one). */
void tide_kafka_fetch_purge(struct tide_kafka_source *source, bool all);
/** Gives PASSED, and END when it is due. */
void tide_kafka_fetch_end(struct tide_kafka_source *source);
/** Once a second: says what an open transaction holds back for long. */
void tide_kafka_fetch_still(struct tide_kafka_source *source, uint32_t index, int64_t now_us);

#endif
