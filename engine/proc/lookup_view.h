/* SPDX-License-Identifier: MIT
 * engine/proc/lookup_view.h - what the engine knows of lookup tables (lookup/lookup.h): the zygote's word, for logs and
 * metrics alone. */
#ifndef TIDE_PROC_LOOKUP_VIEW_H
#define TIDE_PROC_LOOKUP_VIEW_H

#include <stdint.h>

struct tide_lookup_view {
    char name[256]; /* the path of its file; "" = there is no such table */
    uint64_t rows;  /* of the version that was read last */
    uint64_t bytes;
    int64_t time_us; /* that reading it took */
    int64_t read_ms; /* when, since 1970 */
    uint64_t reads;  /* that succeeded */
    uint64_t errors;
    char problem[1024]; /* why the last reading failed; "" = it did not */
};

/** Over all tables. */
struct tide_lookup_totals {
    uint64_t reads;
    uint64_t errors;
    uint64_t rows;
    uint64_t bytes;
    int64_t time_us; /* all readings that succeeded */
};

#endif
