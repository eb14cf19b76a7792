/* SPDX-License-Identifier: MIT
 * engine/io/file.h - lines of files as source and sink. A line is a message: its topic is the file's name, its partition 0,
 * its offset the line's number from 0, its value the line without the newline, its key null. A last line without a newline
 * counts. The source keeps no position: a file is read from its start, or from where it is told to begin. */
#ifndef TIDE_IO_FILE_H
#define TIDE_IO_FILE_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"
#include "store/store.h"

struct tide_topics;
struct tide_loop;

/** The file is opened by start(), which fails with TIDE_ENOINPUT. A pipe is watched by the loop, so reading never blocks. */
struct tide_source *tide_file_source_new(const struct tide_source_plan *plan,
                                         struct tide_topics *topics, struct tide_loop *loop);
/** Before start(): the first `offset` lines are left out. */
void tide_file_source_begin(struct tide_source *source, int64_t offset);
const char *tide_file_source_path(const struct tide_source *source);
/** Sets `mark` and `bytes` of the position from the first bytes of a regular file, `most` of them at most (-1 = as many as
 * are worth it). False for anything else, or when it cannot be read. */
bool tide_file_mark(const char *path, int64_t most, struct tide_store_position *position);
/** A file that exists is truncated by start(). In format LINES a message is its value and a newline (null: only the
 * newline). In the JSON formats it is {"topic":, "key":, "headers":[{"name":, "value":}], "value":} on one line, a recorded
 * one with "timestamp": (ms since 1970) before the value; a field that is not UTF-8 has "_base64" appended to its name. A message is acknowledged once write(2) took its bytes; writing to
 * a pipe never blocks. */
struct tide_sink *tide_file_sink_new(const struct tide_sink_plan *plan, struct tide_topics *topics,
                                     struct tide_loop *loop);
/** Before start(): a file that exists is not truncated. */
void tide_file_sink_append(struct tide_sink *sink);

#endif
