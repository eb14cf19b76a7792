/* SPDX-License-Identifier: MIT
 * engine/io/sink.h - where messages go. Nothing here blocks, and a sink never calls the engine: what became of a message
 * is fetched with reports(), what became of a transaction with transaction_result(). */
#ifndef TIDE_IO_SINK_H
#define TIDE_IO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/message.h"

/** What became of a message that was sent.
 *   kind               when                                          what the receiver does
 *   DELIVERED          the output has acknowledged it                releases the message's reference
 *   REFUSED            the output will never take this message       writes a dead letter; a dead letter is kept,
 *                                                                    and sent again later
 *   TOO_LARGE          REFUSED, for its size                         the same; a dead letter is shortened first
 *   UNAVAILABLE        a dead letter whose topic takes nothing now   keeps it, and sends it again later
 *   REFUSED_ABORTED    REFUSED by the broker, within a transaction,  remembers what is wrong with it: the message
 *                      which is aborted for it                       is read and run again
 *   TOO_LARGE_ABORTED  REFUSED_ABORTED, for its size                 the same
 *   ABORTED            it was in a transaction that is aborted for   drops the message's reference: the message is
 *                      another reason                                read and run again */
enum tide_report_kind {
    TIDE_REPORT_DELIVERED,
    TIDE_REPORT_REFUSED,
    TIDE_REPORT_TOO_LARGE,
    TIDE_REPORT_UNAVAILABLE,
    TIDE_REPORT_REFUSED_ABORTED,
    TIDE_REPORT_TOO_LARGE_ABORTED,
    TIDE_REPORT_ABORTED
};

/** A delivery report. Its pointers are borrowed until the next call of reports(). */
struct tide_report {
    struct tide_origin origin;
    enum tide_report_kind kind;
    int64_t offset; /* DELIVERED, by Kafka: where its partition has the record */
    /* Set for every kind but DELIVERED and ABORTED: why, and the record as it was to be written. */
    const char *text;
    struct tide_message message;
};

enum tide_transaction_result {
    TIDE_TRANSACTION_NO_RESULT,
    TIDE_TRANSACTION_COMMITTED, /* the commit that was asked for */
    TIDE_TRANSACTION_ABORTED /* nothing that was sent since the last COMMITTED will ever be seen */
};

struct tide_position;
struct tide_sink;
/* Transactions (exactly once) are the last four functions, NULL on a sink that has none. One is open at a time; the first
 * send opens it.
 *   state      ended by                          next
 *   open       engine: commit(), once nothing    ending: send takes nothing
 *              is pending
 *   ending     sink                              open: COMMITTED; what was sent and the positions became visible
 *                                                together. Or aborted
 *   any        engine: abort(), or the sink      aborted: ABORTED is returned once
 *   aborted    engine: reads again from the      open
 *              committed positions (io/source.h: rewind) */
struct tide_sink_ops {
    /* Connects. Negative = failed at once. */
    int (*start)(struct tide_sink *sink);
    /* 1 = connected, and the topics exist; 0 = not yet; negative = that will not happen. The engine starts the source once
     * this is 1. NULL = start() was enough. */
    int (*ready)(struct tide_sink *sink);
    /* Takes messages in order, copies their bytes, and returns how many it took. Fewer than `count` = it is full until
     * reports are fetched. Negative = it cannot go on. A message that can never be sent (it is too large) is taken, and
     * reported as refused. */
    ssize_t (*send)(struct tide_sink *sink, const struct tide_message *messages, size_t count);
    /* Returns at most `max` delivery reports that came since the last call; negative = the sink cannot go on. */
    ssize_t (*reports)(struct tide_sink *sink, struct tide_report *reports, size_t max);
    /* How many messages were sent and not yet reported. */
    size_t (*pending)(struct tide_sink *sink);
    /* Opens its path anew, after the file there was moved away. Negative = that failed, and it goes on with the old file.
     * NULL on a sink that has no file. */
    int (*reopen)(struct tide_sink *sink);
    void (*free)(
        struct tide_sink *sink); /* drops what is not written, and aborts the open transaction */
    /* Ends the transaction, with the positions in it. TIDE_OK = transaction_result() will answer; TIDE_BUSY = not now. */
    int (*commit)(struct tide_sink *sink, const struct tide_position *positions, size_t count);
    /* Returns each result once. ABORTED may come without being asked for. `text` says why; it is borrowed until the next
     * call. */
    enum tide_transaction_result (*transaction_result)(struct tide_sink *sink, const char **text);
    /* Aborts the open transaction, or the one that is ending if that is still possible. */
    void (*abort)(struct tide_sink *sink);
    /* A commit waits for the reports of what was sent: none of it is to wait for messages that could be sent with it. NULL on
     * a sink that never waits so. */
    void (*flush)(struct tide_sink *sink);
};

/** First member of every sink. */
struct tide_sink {
    const struct tide_sink_ops *ops;
    uint16_t topic; /* of messages that name none; TIDE_TOPIC_NONE = the sink has no topics */
};

#endif
