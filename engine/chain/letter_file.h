/* SPDX-License-Identifier: MIT
 * engine/chain/letter_file.h - the file of dead letters: a line each, whole or not at all. A pipe that is full is not
 * waited for. */
#ifndef TIDE_CHAIN_LETTER_FILE_H
#define TIDE_CHAIN_LETTER_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "shm/message.h"

struct tide_letter_file {
    int fd;     /* -1 = none */
    bool torn;  /* its last line has no end: a full disk, or a kill, cut it off */
    bool gone;  /* nobody reads the pipe any more: no letter will ever get there */
    char *path; /* for texts */
    /* a line of which a pipe took only the beginning */
    struct tide_text part;
    size_t part_sent;
    struct tide_origin part_of;
};

/** Appends to what is there; "-" is standard error. TIDE_ECONFIG or TIDE_ETEMPORARY. */
int tide_letter_file_open(struct tide_letter_file *file, const char *path);
/** Opens what is at the path now, after the file was moved away. The same; on failure the old one stays. */
int tide_letter_file_reopen(struct tide_letter_file *file);
/** A letter whose value is the line with its newline. TIDE_BUSY: not now, the pipe is full; come again with it.
 * TIDE_ETEMPORARY: it is not there, at most a part of it that the next line ends first. */
int tide_letter_file_write(struct tide_letter_file *file, const struct tide_message *letter);
void tide_letter_file_close(struct tide_letter_file *file);

#endif
