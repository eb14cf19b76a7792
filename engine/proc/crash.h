/* SPDX-License-Identifier: MIT
 * engine/proc/crash.h - what zygote and workers say when they crash (SEGV, BUS, ABRT, FPE, ILL): the signal, the line of the
 * script and the native functions, as text in a message over their socket; then the process dies of its signal. SIGXCPU,
 * which the engine sends when a limit of time is reached, does the same and ends with SIGKILL. The engine treats the text as
 * foreign input (proc/pool_crash.c). */
#ifndef TIDE_PROC_CRASH_H
#define TIDE_PROC_CRASH_H

#include <stddef.h>
#include <stdint.h>

/** A text in memory that is there already. All of it may be called in a signal handler; what has no room is cut off. */
struct tide_crash_text {
    char *bytes; /* ends with a NUL */
    size_t room;
    size_t length;
};

void tide_crash_add(struct tide_crash_text *text, const char *string);
/** In base 10 or 16. */
void tide_crash_add_number(struct tide_crash_text *text, uint64_t number, unsigned base);

/** Sets who adds the frames of the script, innermost first, each as "\n\tFILE:LINE ..."; called in the signal handler,
 * where it may fault. */
void tide_crash_script(void (*add_frames)(struct tide_crash_text *text));

/** Compiled code of the script: from now on an address within it is shown as `place`. The text is copied. */
void tide_crash_compiled(uint64_t address, uint64_t size, const char *place);
/** All compiled code is gone. */
void tide_crash_forget_compiled(void);
/** The functions that run from now on, as "t.lua:5, u.lua:9": shown where compiled code began in none of them. The text
 * stays the caller's and must stay as it is. */
void tide_crash_functions(const char *functions);

#endif
