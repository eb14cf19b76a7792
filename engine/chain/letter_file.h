/* SPDX-License-Identifier: MIT
 * engine/chain/letter_file.h - the file of dead letters: a line each, whole or not at all. */
#ifndef TIDE_CHAIN_LETTER_FILE_H
#define TIDE_CHAIN_LETTER_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct tide_letter_file {
    int fd;     /* -1 = none */
    bool torn;  /* its last line has no end: a full disk, or a kill, cut it off */
    char *path; /* for texts */
};

/** Appends to what is there; "-" is standard error. TIDE_ENOINPUT. */
int tide_letter_file_open(struct tide_letter_file *file, const char *path);
/** A line with its newline. TIDE_ETEMPORARY: it is not there, at most a part of it that the next line ends first. */
int tide_letter_file_write(struct tide_letter_file *file, const char *line, size_t length);
void tide_letter_file_close(struct tide_letter_file *file);

#endif
