/* SPDX-License-Identifier: MIT
 * engine/base/signal_name.h - what signals are called. glibc has sigabbrev_np for this only from 2.32 on. */
#ifndef TIDE_BASE_SIGNAL_NAME_H
#define TIDE_BASE_SIGNAL_NAME_H

/** "SEGV" for SIGSEGV; "?" for a number that has no name, as those of real-time signals. It may be called in a handler. */
const char *tide_signal_name(int number);

#endif
