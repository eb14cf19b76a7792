/* SPDX-License-Identifier: MIT
 * engine/chain/dead_letter_file.h - the file of dead letters, one a line. A reader never sees half a line that another
 * one continues: what was written of a line is completed, or ended by a newline of its own. A full pipe is not waited
 * for. */
#ifndef TIDE_CHAIN_DEAD_LETTER_FILE_H
#define TIDE_CHAIN_DEAD_LETTER_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "shm/message.h"

struct tide_dead_letter_file {
    int fd;           /* -1 = none */
    bool half_line;   /* The last line has no newline: a full disk or a kill cut it off. */
    bool reader_gone; /* Nothing reads the pipe any more, so that no line will ever get there. */
    char *path;       /* for messages */
    struct {          /* a line of which a full pipe took only the beginning */
        struct tide_text line; /* empty = none */
        size_t sent;           /* bytes that the pipe took */
        struct tide_origin origin;
    } begun;
};

/** Opens the file to append to it; "-" is standard error. TIDE_ECONFIG or TIDE_ETEMPORARY on failure. */
int tide_dead_letter_file_open(struct tide_dead_letter_file *file, const char *path);
/** Opens what is at the path now, after the file was moved away. On failure the old file stays, and the status is as for
 * open. */
int tide_dead_letter_file_reopen(struct tide_dead_letter_file *file);
/** Writes a dead letter, whose value is the line with its newline. TIDE_BUSY: the pipe is full; call again with the same
 * dead letter. TIDE_ETEMPORARY: it is not written, but for a part of it perhaps, which the next line ends first. */
int tide_dead_letter_file_write(struct tide_dead_letter_file *file,
                                const struct tide_message *dead_letter);
void tide_dead_letter_file_close(struct tide_dead_letter_file *file);

#endif
