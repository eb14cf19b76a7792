/* SPDX-License-Identifier: MIT
 * What Debian 12's libstdc++.a takes of a glibc newer than 2.31, for scripts/dev/dist.sh, which links it. Nothing of it is
 * seen outside of the library. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#pragma GCC visibility push(hidden)

/* From 2.32 on: whether counting may do without atomic operations. It may not. */
char __libc_single_threaded;

/* From 2.36 on. */
uint32_t arc4random(void);
uint32_t arc4random(void)
{
    uint32_t number;
    if (getrandom(&number, sizeof(number), 0) != sizeof(number))
        abort();
    return number;
}
