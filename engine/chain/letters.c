/* SPDX-License-Identifier: MIT */
#include "chain/letters_inside.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "chain/letter.h"
#include "chain/offsets.h"
#include "io/sink.h"
#include "shm/counters.h"
#include "shm/topics.h"

enum { KEPT_BYTES = 64 << 20 };

/* ---- new, free ---- */

struct tide_letters *tide_letters_new(const struct tide_dlq_plan *plan, struct tide_chain *chain,
                                      int *status)
{
    struct tide_letters *letters = tide_alloc(sizeof(*letters));
    letters->plan = *plan;
    letters->target = tide_copy(plan->target);
    letters->chain = chain;
    letters->file.fd = -1;
    *status = TIDE_OK;
    if (plan->kind == TIDE_DLQ_TOPIC) {
        *status = tide_topics_number(chain->topics, plan->target);
        letters->topic = (uint16_t)*status;
    } else if (plan->kind == TIDE_DLQ_FILE) {
        *status = tide_letter_file_open(&letters->file, plan->target);
    }
    if (*status >= 0)
        return letters;
    tide_letters_free(letters);
    return NULL;
}

void tide_letters_sink(struct tide_letters *letters, struct tide_sink *sink)
{
    letters->sink = sink;
}

uint16_t tide_letters_topic(const struct tide_letters *letters)
{
    return letters->topic;
}

uint64_t tide_letters_kept(const struct tide_letters *letters)
{
    return letters->kept;
}

/* ---- lanes ---- */

struct tide_origin tide_letter_origin_of(const struct tide_message *letter)
{
    struct tide_origin origin = letter->origin;
    origin.epoch &= TIDE_ORIGIN_EPOCH;
    return origin;
}

static void observe(struct tide_letters *letters)
{
    struct tide_counters *counters = letters->chain->counters;
    tide_observe(counters, 0, TIDE_M_DLQ_WAITING, (double)letters->waiting);
    tide_observe(counters, 0, TIDE_M_DLQ_PARTITIONS, tide_lanes_used(&letters->lanes));
}

static void keep(struct tide_letters *letters, struct tide_lane *lane,
                 const struct tide_message *letter, bool in_front)
{
    tide_lane_keep(lane, letter, in_front);
    letters->kept++;
}

static void drop_first(struct tide_letters *letters, struct tide_lane *lane)
{
    tide_lane_drop(lane);
    letters->kept--;
}

void tide_letters_forget(struct tide_letters *letters, uint32_t partition)
{
    struct tide_lane *lane = tide_lanes_at(&letters->lanes, partition);
    for (uint32_t left = lane->kept_count; left > 0; left--) {
        const struct tide_message *letter = &lane->kept->message;
        if (tide_offsets_current(letters->chain->offsets, tide_letter_origin_of(letter)))
            keep(letters, lane, letter, false); /* of a group, others of which are still ours */
        else
            letters->waiting--,
                tide_offsets_drop(letters->chain->offsets, tide_letter_origin_of(letter));
        drop_first(letters, lane);
    }
}

/* ---- sending ---- */

static void acknowledged(struct tide_letters *letters, struct tide_lane *lane)
{
    lane->probing = false;
    tide_letters_set_failing(letters, lane, false);
    tide_letters_quiet(letters);
    letters->waiting--;
    letters->chain->progress = true;
    tide_count(letters->chain->counters, 0, TIDE_M_DLQ_MESSAGES, 1);
    observe(letters);
}

static bool with_sink(const struct tide_letters *letters)
{
    for (uint32_t i = 0; i < letters->lanes.count; i++) {
        if (letters->lanes.items[i].sent > 0)
            return true;
    }
    return false;
}

/* TIDE_OK: with the sink, or in the file. TIDE_BUSY: neither; a file's pipe is full, or it is known to be failing. */
static int send(struct tide_letters *letters, struct tide_lane *lane,
                const struct tide_message *letter)
{
    struct tide_offsets *offsets = letters->chain->offsets;
    if (letters->plan.kind == TIDE_DLQ_FILE) {
        int status = tide_letter_file_write(&letters->file, letter);
        if (status == TIDE_BUSY || letters->file.gone)
            return status;
        if (status < 0) {
            status = tide_letters_note_failure(letters, lane, letter, status, tide_error());
            return status < 0 ? status : TIDE_BUSY;
        }
        acknowledged(letters, lane);
        tide_offsets_unref(offsets, tide_letter_origin_of(letter), TIDE_OUTCOME_DEAD_LETTERED);
        return TIDE_OK;
    }
    if (letters->alone && with_sink(letters))
        return TIDE_BUSY;
    ssize_t sent = letters->sink->ops->send(letters->sink, letter, 1);
    if (sent <= 0)
        return sent < 0 ? (int)sent : TIDE_BUSY;
    lane->sent++;
    tide_offsets_mark_sent(offsets, tide_letter_origin_of(letter));
    letters->chain->progress = true;
    return TIDE_OK;
}

static bool is_full(struct tide_letters *letters, struct tide_lane *lane)
{
    uint32_t most = letters->plan.max_buffered;
    bool full = (most > 0 && lane->sent + lane->kept_count >= most) ||
                (lane->failing && tide_lanes_bytes(&letters->lanes) >= KEPT_BYTES);
    if (full && !lane->exceeded)
        tide_count(letters->chain->counters, 0, TIDE_M_DLQ_EXCEEDED, 1);
    lane->exceeded = full;
    return full;
}

int tide_letters_take(struct tide_letters *letters, const struct tide_message *whole, bool orphan)
{
    struct tide_message shorter = *whole;
    const struct tide_message *letter = &shorter;
    struct tide_offsets *offsets = letters->chain->offsets;
    struct tide_lane *lane = tide_lanes_at(
        &letters->lanes, tide_offsets_partition(offsets, tide_letter_origin_of(letter)));
    int status = TIDE_BUSY;
    /* A transaction cannot end around a letter that waits: there nothing goes on past it. */
    bool stands = letters->chain->exactly_once && lane->failing && tide_clock_us() < lane->next_us;
    if ((is_full(letters, lane) || stands) && !orphan)
        return TIDE_BUSY;
    if (letters->limit > 0 && tide_message_size(whole) >= letters->limit) {
        status = tide_letters_keep_whole(letters, whole);
        if (status < 0)
            return status;
        status = TIDE_BUSY;
        tide_letters_shorten(letters, &shorter);
    }
    tide_offsets_ref(offsets, tide_letter_origin_of(letter));
    if (letters->waiting++ == 0)
        tide_letters_quiet(letters);
    if (!lane->failing && !lane->kept)
        status = send(letters, lane, letter);
    if (status == TIDE_BUSY && (orphan || lane->failing || lane->kept)) {
        keep(letters, lane, letter, false);
        status = TIDE_OK;
    } else if (status != TIDE_OK) {
        letters->waiting--;
        tide_offsets_unref(offsets, tide_letter_origin_of(letter),
                           TIDE_OUTCOME_FILTERED); /* the message's own hold is left */
    }
    if (status == TIDE_OK)
        observe(letters);
    return status;
}

/* One that is too large is sent again as far as it goes. */
static bool cut(struct tide_letters *letters, struct tide_lane *lane,
                const struct tide_report *report)
{
    struct tide_message letter = report->message;
    if (tide_letters_shorten(letters, &letter) == 0)
        return false;
    keep(letters, lane, &letter, true);
    lane->next_us = 0;
    return true;
}

static bool is_too_large(const struct tide_report *report)
{
    return report->kind == TIDE_REPORT_TOO_LARGE || report->kind == TIDE_REPORT_TOO_LARGE_ABORTED;
}

static int note_failure(struct tide_letters *letters, struct tide_lane *lane,
                        const struct tide_report *report)
{
    int status = report->kind == TIDE_REPORT_UNAVAILABLE ? TIDE_ETEMPORARY : TIDE_EDATA;
    return tide_letters_note_failure(letters, lane, &report->message, status, report->text);
}

static int came_back(struct tide_letters *letters, struct tide_lane *lane,
                     const struct tide_report *report)
{
    bool probe = lane->probing;
    lane->probing = false;
    if (is_too_large(report) && !letters->plan.whole) {
        int whole = tide_letters_keep_whole(letters, &report->message);
        if (whole < 0 || cut(letters, lane, report))
            return whole;
    }
    if (lane->failing && !probe) { /* it was on its way when another one failed */
        keep(letters, lane, &report->message, false);
        return TIDE_OK;
    }
    int status = note_failure(letters, lane, report);
    if (status == TIDE_OK)
        keep(letters, lane, &report->message, true);
    return status;
}

/* Of a batch all are said to be too large, so a small one says nothing. */
static void learn(struct tide_letters *letters, uint64_t size)
{
    bool says = letters->alone || size > TIDE_LETTERS_FIRST_CUT;
    if (size > letters->largest)
        letters->largest = size;
    if (says && (letters->limit == 0 || size < letters->limit))
        letters->limit = size;
}

/* None of the batch was large: they were too many. */
static void part(struct tide_letters *letters)
{
    if (!letters->alone && letters->largest > 0 && letters->largest <= TIDE_LETTERS_FIRST_CUT) {
        letters->alone = true;
        tide_log(TIDE_LOG_WARN,
                 "the dlq \"%s\" takes no batch as large as the producer makes them: dead letters "
                 "are sent alone from now on; raise the topic's max.message.bytes, or lower "
                 "batch.size, for speed",
                 letters->target);
    }
    letters->largest = 0;
}

/* Refused with its transaction: its message is run again, and has another letter then. */
static int came_back_aborted(struct tide_letters *letters, struct tide_lane *lane,
                             const struct tide_report *report)
{
    struct tide_message letter = report->message;
    int status = TIDE_OK;
    if (!is_too_large(report) || letters->plan.whole ||
        (letters->alone && tide_letter_cut(&letter, TIDE_LETTERS_LAST_CUT, &letters->packed) == 0))
        status = note_failure(letters, lane, report);
    else
        learn(letters, tide_message_size(&report->message));
    letters->waiting--;
    lane->probing = false;
    tide_offsets_drop(letters->chain->offsets, tide_letter_origin_of(&report->message));
    return status;
}

void tide_letters_aborted(struct tide_letters *letters)
{
    for (uint32_t i = 0; i < letters->lanes.count; i++) {
        struct tide_lane *lane = &letters->lanes.items[i];
        letters->waiting -= lane->sent;
        lane->sent = 0;
        lane->probing = false;
    }
    part(letters);
}

/* False: it was in a transaction that is gone. */
static bool returned(struct tide_letters *letters, struct tide_lane *lane, struct tide_origin first)
{
    const struct tide_chain *chain = letters->chain;
    if (lane->sent == 0 || (chain->exactly_once && tide_offsets_offset(chain->offsets, first) < 0))
        return false;
    lane->sent--;
    return true;
}

int tide_letters_reported(struct tide_letters *letters, const struct tide_report *report)
{
    struct tide_offsets *offsets = letters->chain->offsets;
    struct tide_origin origin = report->origin;
    origin.epoch &= TIDE_ORIGIN_EPOCH;
    struct tide_origin first = tide_offsets_first(offsets, origin, NULL);
    struct tide_lane *lane = tide_lanes_at(&letters->lanes, first.partition);
    bool known = returned(letters, lane, first);
    bool current = known && tide_offsets_current(offsets, origin);
    switch (report->kind) {
    case TIDE_REPORT_DELIVERED:
        if (known)
            acknowledged(letters, lane);
        tide_offsets_unref(offsets, origin, TIDE_OUTCOME_DEAD_LETTERED);
        return TIDE_OK;
    case TIDE_REPORT_REFUSED:
    case TIDE_REPORT_TOO_LARGE:
    case TIDE_REPORT_UNAVAILABLE:
        if (current)
            return came_back(letters, lane, report);
        break;
    case TIDE_REPORT_REFUSED_ABORTED:
    case TIDE_REPORT_TOO_LARGE_ABORTED:
        if (current)
            return came_back_aborted(letters, lane, report);
        break;
    case TIDE_REPORT_ABORTED:
        break;
    }
    lane->probing = false; /* it is failing still: another may have to wait, but the pause holds */
    letters->waiting -= known;
    tide_offsets_drop(offsets, origin);
    return TIDE_OK;
}

static int poll_lane(struct tide_letters *letters, struct tide_lane *lane, int64_t now_us)
{
    struct tide_offsets *offsets = letters->chain->offsets;
    while (lane->kept) {
        struct tide_origin origin = tide_letter_origin_of(&lane->kept->message);
        if (!tide_offsets_current(offsets, origin)) {
            tide_offsets_drop(offsets, origin);
            letters->waiting--;
            drop_first(letters, lane);
            continue;
        }
        bool probing = lane->failing;
        if (letters->chain->send_only_needed && !tide_offsets_in_transaction(offsets, origin))
            return TIDE_OK;
        if (probing && (lane->sent > 0 || now_us < lane->next_us))
            return TIDE_OK;
        int status = send(letters, lane, &lane->kept->message);
        if (status != TIDE_OK)
            return status < 0 ? status : TIDE_OK;
        drop_first(letters, lane);
        lane->probing = probing && lane->failing;
    }
    return TIDE_OK;
}

int tide_letters_poll(struct tide_letters *letters, int64_t now_us)
{
    for (uint32_t i = 0; i < letters->lanes.count && letters->kept > 0; i++) {
        int status = poll_lane(letters, &letters->lanes.items[i], now_us);
        if (status < 0)
            return status;
    }
    tide_letters_say_again(letters, now_us);
    return TIDE_OK;
}

int64_t tide_letters_deadline_us(const struct tide_letters *letters)
{
    int64_t deadline_us = letters->waiting > 0 ? letters->say_us : INT64_MAX;
    for (uint32_t i = 0; i < letters->lanes.count && letters->kept > 0; i++) {
        const struct tide_lane *lane = &letters->lanes.items[i];
        if (lane->kept && lane->failing && lane->sent == 0 && lane->next_us < deadline_us)
            deadline_us = lane->next_us;
    }
    return deadline_us;
}

int tide_letters_reopen(struct tide_letters *letters)
{
    return tide_letter_file_reopen(&letters->file);
}

void tide_letters_free(struct tide_letters *letters)
{
    if (!letters)
        return;
    tide_lanes_free(&letters->lanes);
    tide_letter_file_close(&letters->file);
    tide_text_free(&letters->packed);
    free(letters->failure);
    free(letters->target);
    free(letters);
}
