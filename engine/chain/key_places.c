/* SPDX-License-Identifier: MIT */
#include "chain/key_places.h"

#include "base/log.h"
#include "store/store.h"

void tide_key_places_note(struct tide_key_places *places, const struct tide_store_key *key,
                          const char *state, const char *input)
{
    uint64_t hash = tide_store_hash(key->state, key->bytes, key->length) | 1;
    uint32_t at = (uint32_t)(hash >> 32) % TIDE_KEY_PLACES;
    if (places->said || (key->length > 0 && key->bytes[0] == 0))
        return;
    if (places->list[at].hash == 0) {
        places->list[at].hash = hash;
        places->list[at].partition = key->partition;
    }
    if (places->list[at].hash != hash || places->list[at].partition == key->partition)
        return;
    places->said = true;
    tide_log(TIDE_LOG_WARN,
             "state \"%s\": a key comes in the partitions %d and %d of \"%s\", and has a state in "
             "each of "
             "them: all messages of a key must be in one partition (docs/state.md)",
             state, places->list[at].partition, key->partition, input);
}
