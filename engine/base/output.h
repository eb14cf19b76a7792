/* SPDX-License-Identifier: MIT
 * engine/base/output.h - files and streams that are written to, without waiting. Always at their end, so that a file which
 * is truncated meanwhile (logrotate's copytruncate) goes on from its new end. */
#ifndef TIDE_BASE_OUTPUT_H
#define TIDE_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** Opens `path` for appending (`anew`: empties it first), and makes it when it does not exist. Returns the descriptor, or
 * the status of tide_output_failed. */
int tide_output_open(const char *path, bool anew);
/** Returns another descriptor of standard output or error that can be written to without waiting, though others share the
 * stream: O_NONBLOCK on a shared description would be theirs too. Owned by the caller; -1 when there is none. */
int tide_output_duplicate(int fd);
/** Writes as much as is possible without waiting. Returns the bytes written, or -1 with errno (EAGAIN: none). */
ssize_t tide_output_write(int fd, const char *bytes, size_t length);
/** Turns `number` (an errno) into a status: TIDE_ETEMPORARY where trying again later may help (a full disk), else
 * TIDE_ECONFIG; with the text "cannot write PATH: ...". */
int tide_output_failed(const char *path, int number);

/** True when two paths are one regular file, or will be once they are made: a path that does not exist yet counts as its
 * resolved folder and its name. */
bool tide_output_same(const char *a, const char *b);
#endif
