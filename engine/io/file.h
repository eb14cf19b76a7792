/* SPDX-License-Identifier: MIT
 * engine/io/file.h - lines of files as source and sink. A line is a message: its topic is the file's name, its partition 0,
 * its offset the line's number from 0, its value the line without the newline, its key null. A last line without a newline
 * counts. No position is kept: a file is read from its start. */
#ifndef TIDE_IO_FILE_H
#define TIDE_IO_FILE_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

struct tide_topics;
struct tide_loop;

/** The file is opened by start(), which fails with TIDE_ENOINPUT. A pipe is watched by the loop, so reading never blocks. */
struct tide_source *tide_file_source_new(const struct tide_source_plan *plan,
                                         struct tide_topics *topics, struct tide_loop *loop);
/** A file that exists is truncated by start(). In format LINES a message is its value and a newline (null: only the
 * newline). In the JSON formats it is {"topic":, "key":, "headers":[{"name":, "value":}], "value":} on one line; a field
 * that is not UTF-8 has "_base64" appended to its name. A message is acknowledged once write(2) took its bytes; writing to
 * a pipe never blocks. */
struct tide_sink *tide_file_sink_new(const struct tide_sink_plan *plan, struct tide_topics *topics,
                                     struct tide_loop *loop);

#endif
