/* SPDX-License-Identifier: MIT
 * engine/chain/key_places.h - notices keys of a state that come in several partitions. State belongs to a partition, so such a
 * key is counted apart in each of them, mostly because producers do not choose the partition by what `by` says. A sample of
 * keys is enough to notice it: the first one of each place is kept for good. */
#ifndef TIDE_CHAIN_KEY_PLACES_H
#define TIDE_CHAIN_KEY_PLACES_H

#include <stdbool.h>
#include <stdint.h>

enum { TIDE_KEY_PLACES = 1024 /* keys */ };

struct tide_store_key;

/** Zero it before the first use. */
struct tide_key_places {
    struct {
        uint64_t hash; /* of state and key; 0 = no key */
        int32_t partition;
    } list[TIDE_KEY_PLACES];
    bool said;
};

/** A message of this key came; `input`: the topic that is read. The first key that came in another partition before is told to
 * the log. Keys that begin with a NUL are left out: tidemill's own are in each partition. */
void tide_key_places_note(struct tide_key_places *places, const struct tide_store_key *key,
                          const char *state, const char *input);

#endif
