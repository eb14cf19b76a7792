/* SPDX-License-Identifier: MIT
 * engine/base/secret.h - what keeps secrets in the engine: they are read from files here, the environment that a process got is
 * taken out of its memory, and a process that holds one leaves no core. */
#ifndef TIDE_BASE_SECRET_H
#define TIDE_BASE_SECRET_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    TIDE_SECRET_MOST =
        65536, /* bytes of the longest secret; certificates and keys are some thousand */
    TIDE_SECRET_READABLE = 1, /* by others than the owner */
    TIDE_SECRET_WRITABLE = 2  /* by everybody */
};

/** Reads the file of a secret into `bytes` (TIDE_SECRET_MOST of them), without the newline at its end. Returns how many bytes it
 * has; TIDE_ECONFIG with the reason when it cannot be read, is empty, too long, or has a zero byte. `*access`: who may do
 * what, a sum of TIDE_SECRET_READABLE and TIDE_SECRET_WRITABLE; 0 for what is no plain file. `*mode`: its permissions. */
ssize_t tide_secret_read(const char *path, char *bytes, int *access, uint32_t *mode);
/** The same of a file that librdkafka reads itself (a private key): 0 also when it is not there. */
int tide_secret_access(const char *path, uint32_t *mode);

/** Before the first secret is fetched: from now on this process leaves no core, and no other process of its user may read
 * its memory. */
void tide_secret_hold(void);

/** Overwrites the values of these environment variables and unsets them. Neither this process nor those that it forks have them
 * afterwards, and /proc/PID/environ does not show them. */
void tide_environment_forget(const char *const *names, uint32_t count);

#endif
