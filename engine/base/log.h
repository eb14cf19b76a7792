/* SPDX-License-Identifier: MIT
 * engine/base/log.h - log lines on standard error, as text or as one JSON object a line. Any thread may log. Logging never
 * waits for the reader of standard error: lines that it does not take are lost, and a later line says how many. */
#ifndef TIDE_BASE_LOG_H
#define TIDE_BASE_LOG_H

#include <stddef.h>

enum tide_log_level { TIDE_LOG_ERROR, TIDE_LOG_WARN, TIDE_LOG_INFO, TIDE_LOG_DEBUG };
enum tide_log_format { TIDE_LOG_TEXT, TIDE_LOG_JSON };

/** Sets what is logged (`level` and worse) and how. Without it: INFO, TEXT. */
void tide_log_setup(enum tide_log_level level, enum tide_log_format format);
/** From now on each line of this process, and of those that it forks, names an engine, from 1: "engine 2: " stands before the
 * text, and JSON has the member "engine". 0 = none, as before the first call. */
void tide_log_engine(unsigned engine);
/** In a process that the engine has forked and that may wait: from now on logging waits until the line is taken, and the
 * descriptor of its own by which the engine logs is closed. */
void tide_log_wait(void);
/** Logs one line, cut at 2 KiB. Control bytes in the text are escaped. Line breaks stay line breaks in the text format,
 * and the lines after them are indented, so a message cannot forge a line. In the JSON format, a text that begins with the
 * position of a message, "TOPIC/PARTITION/OFFSET: ", has these as fields too. */
void tide_log(enum tide_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/** The same for a text that is ready, as Lua has it. */
void tide_log_text(enum tide_log_level level, const char *text);
/** Writes bytes to standard error as they are (a line that is redrawn on a terminal), likewise without waiting. */
void tide_log_bytes(const char *bytes, size_t length);
/** As tide_log_text, with further members of the JSON object, as "\"event\":\"progress\",\"read\":5"; the text format
 * leaves them out. */
void tide_log_fields(enum tide_log_level level, const char *text, const char *fields);

#endif
