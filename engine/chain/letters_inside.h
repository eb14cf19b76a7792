/* SPDX-License-Identifier: MIT
 * engine/chain/letters_inside.h - inside of the dead letters on their way, shared by their two files:
 *   letters.c          taken, sent, reported, sent again
 *   letters_failure.c  what it means that one was not taken, and what is said of it */
#ifndef TIDE_CHAIN_LETTERS_INSIDE_H
#define TIDE_CHAIN_LETTERS_INSIDE_H

#include "base/text.h"
#include "chain/lane.h"
#include "chain/letter_file.h"
#include "chain/letters.h"

enum {
    TIDE_LETTERS_FIRST_CUT = 65536, /* bytes that are left of a letter that is too large, */
    TIDE_LETTERS_LAST_CUT = 1024    /* and of one that is still too large then */
};

struct tide_letters {
    struct tide_dlq_plan plan;
    char *target;
    struct tide_chain *chain;
    struct tide_sink *sink;
    uint16_t topic;
    struct tide_letter_file file;
    struct tide_lanes lanes;
    uint64_t kept;
    uint64_t waiting; /* of all lanes, sent and kept */
    uint32_t failing; /* lanes */
    int64_t since_us; /* nothing was taken since */
    int64_t say_us;   /* when to say it again */
    char *failure;    /* the last one's text */
    /* exactly once */
    uint64_t limit;   /* one of so many bytes is too large; 0 = none was yet */
    uint64_t largest; /* bytes; of those in the open transaction whose batch was too large */
    bool alone;       /* since a batch of small ones was: one is with the sink at most */
    struct tide_text packed;
};

/* letters.c */

/** Of a letter's message, without the mark that it is one. */
struct tide_origin tide_letter_origin_of(const struct tide_message *letter);

/* letters_failure.c */

/** "events/3/1234": where a letter's message came from. */
void tide_letters_name(const struct tide_letters *letters, const struct tide_message *letter,
                       char *text, size_t size);
/** Says each 30 s that nothing is taken, while letters wait. */
void tide_letters_say_again(struct tide_letters *letters, int64_t now_us);
/** Something was taken, or begins to wait: from now on it is quiet. */
void tide_letters_quiet(struct tide_letters *letters);
void tide_letters_set_failing(struct tide_letters *letters, struct tide_lane *lane, bool failing);
/** A letter was not taken: says so and sets when to try again; or negative, when the plan says stop. */
int tide_letters_note_failure(struct tide_letters *letters, struct tide_lane *lane,
                              const struct tide_message *letter, int status, const char *text);
/** As far as it goes, marked as truncated. Returns what tide_letter_cut did. */
int tide_letters_shorten(struct tide_letters *letters, struct tide_message *letter);
/** The letter is too large, and stands for several messages, which nobody could find by a part of their result: so it is
 * not cut, and the pipeline stops. TIDE_OK when it stands for one. */
int tide_letters_keep_whole(const struct tide_letters *letters, const struct tide_message *letter);

#endif
