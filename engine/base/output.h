/* SPDX-License-Identifier: MIT
 * engine/base/output.h - files and streams that are written: always at their end, so that one which is truncated
 * meanwhile (logrotate's copytruncate) goes on from its new end, and never waited for. */
#ifndef TIDE_BASE_OUTPUT_H
#define TIDE_BASE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** A descriptor for writing behind what `path` holds (`anew`: emptied first), made when it is not there. Negative:
 * what tide_output_failed says. */
int tide_output_open(const char *path, bool anew);
/** Another descriptor of standard output or error, that can be written without waiting though others share the
 * stream: O_NONBLOCK on a shared one would be theirs too. Owned by the caller; -1 when there is none. */
int tide_output_duplicate(int fd);
/** Writes what goes without waiting. Bytes written, or -1 with errno: EAGAIN when that is none. */
ssize_t tide_output_write(int fd, const char *bytes, size_t length);
/** From `number` (an errno): TIDE_ETEMPORARY where trying again later may do (a full disk), else TIDE_ECONFIG; with
 * the text "cannot write PATH: ...". */
int tide_output_failed(const char *path, int number);

/** Two paths are one regular file, or will be once they are made: one that is not there yet is its resolved folder and
 * its name. */
bool tide_output_same(const char *a, const char *b);
#endif
