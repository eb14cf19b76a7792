/* SPDX-License-Identifier: MIT
 * engine/io/sink.h - where messages go. Nothing here blocks or calls up. */
#ifndef TIDE_IO_SINK_H
#define TIDE_IO_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shm/message.h"

/** The fate of one message that was sent. Lent until the next call of reports(). */
struct tide_report {
    struct tide_origin origin;
    int status; /* TIDE_OK = acknowledged; TIDE_EDATA = refused for good, this message alone */
    const char *text; /* why it was refused; NULL when acknowledged */
    /* the record as it was to be written, when refused: for its dead letter */
    struct tide_message message;
};

struct tide_sink;
struct tide_sink_ops {
    /* Connects. Negative = failed at once. */
    int (*start)(struct tide_sink *sink);
    /* 1 = connected and its topics are there, 0 = not yet, negative = it will not be. The engine starts
     * the source once this is 1. NULL = start() was enough. */
    int (*ready)(struct tide_sink *sink);
    /* Takes messages in order (bytes are copied); returns how many: fewer = busy, more after
     * reports() were fetched. Negative = cannot go on. A message that can never be sent (too large)
     * is taken and reported as refused. */
    ssize_t (*send)(struct tide_sink *sink, const struct tide_message *messages, size_t count);
    /* Outcomes since the last call, at most `max`; negative = the sink cannot go on. */
    ssize_t (*reports)(struct tide_sink *sink, struct tide_report *reports, size_t max);
    /* Sent and not yet reported. */
    size_t (*pending)(struct tide_sink *sink);
    void (*free)(struct tide_sink *sink); /* drops what is not written */
};

/** First member of every sink. */
struct tide_sink {
    const struct tide_sink_ops *ops;
};

#endif
