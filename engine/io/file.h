/* SPDX-License-Identifier: MIT
 * engine/io/file.h - lines of files as source and sink: topic = the file's name, partition 0,
 * offset = the line's number from 0; the value is the line without its newline, the key null. A
 * last line without newline counts. There is no committed state: a file is read from its start. */
#ifndef TIDE_IO_FILE_H
#define TIDE_IO_FILE_H

#include "base/plan.h"
#include "io/sink.h"
#include "io/source.h"

struct tide_topics;
struct tide_loop;

/** Opened by start(): TIDE_ENOINPUT. A pipe is watched through the loop, so reading never blocks.
 */
struct tide_source *tide_file_source_new(const struct tide_source_plan *plan,
                                         struct tide_topics *topics, struct tide_loop *loop);
/** An old file is truncated by start(). Lines: the value and a newline (nothing but the newline for
 * null). JSON: {"topic":, "key":, "headers":[{"name":, "value":}], "value":} a line; what is not
 * UTF-8 stands under its name with "_base64" behind it. Acknowledged once write(2) took the bytes;
 * a pipe never blocks. */
struct tide_sink *tide_file_sink_new(const struct tide_sink_plan *plan, struct tide_topics *topics,
                                     struct tide_loop *loop);

#endif
