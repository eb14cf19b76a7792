/* SPDX-License-Identifier: MIT
 * The checks of messages that need nothing but their bytes; the table in received.h says what else is checked. Each
 * message of a worker has a size of its own, which tells what it is. */
#include "proc/received.h"

_Static_assert(sizeof(struct tide_hello) != sizeof(struct tide_job_report) &&
                   sizeof(struct tide_hello) != sizeof(struct tide_profile_piece) &&
                   sizeof(struct tide_job_report) != sizeof(struct tide_profile_piece),
               "messages of workers are told apart by their sizes");
_Static_assert(sizeof(struct tide_crash_report) != sizeof(struct tide_hello) &&
                   sizeof(struct tide_crash_report) != sizeof(struct tide_job_report) &&
                   sizeof(struct tide_crash_report) != sizeof(struct tide_profile_piece),
               "and so are crash reports");

/* A worker sends in the name of its own generation only. What the one before it has sent was read, or thrown away, before
 * this one was spawned. */
enum tide_received_kind tide_received_from_worker(union tide_received *message, size_t size,
                                                  uint32_t generation)
{
    struct tide_hello *hello = &message->hello;
    const struct tide_job_report *report = &message->report;
    const struct tide_profile_piece *piece = &message->piece;
    if (size == sizeof(*report) && report->generation == generation &&
        report->status <= TIDE_JOB_FULL && report->whole_batch <= 1)
        return TIDE_RECEIVED_REPORT;
    if (size == sizeof(*hello) && hello->generation == generation &&
        hello->kind <= TIDE_HELLO_FAILED_FOR_NOW) {
        hello->text[sizeof(hello->text) - 1] = 0;
        return TIDE_RECEIVED_HELLO;
    }
    if (size == sizeof(*piece) && piece->generation == generation && piece->last <= 1 &&
        piece->size <= sizeof(piece->bytes) && (piece->size > 0 || piece->last))
        return TIDE_RECEIVED_PIECE;
    if (size == sizeof(message->crash) && message->crash.generation == generation)
        return TIDE_RECEIVED_CRASH;
    return TIDE_RECEIVED_FALSE;
}

bool tide_received_from_zygote(struct tide_zygote_event *event, size_t size, uint32_t workers)
{
    if (size != sizeof(*event) || event->kind > TIDE_ZYGOTE_LOOKUP || event->worker >= workers)
        return false;
    event->text[sizeof(event->text) - 1] = 0;
    return true;
}
