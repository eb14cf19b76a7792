/* SPDX-License-Identifier: MIT
 * One value of keyed state. An entry and each of its changes that is not stored refer to it. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "chain/states_inside.h"

struct tide_state_value *tide_state_value_new(const struct tide_store_value *from)
{
    struct tide_state_value *value = tide_alloc(sizeof(*value) + from->length);
    value->references = 1;
    value->kind = from->kind;
    value->expires_ms = from->expires_ms;
    value->length = from->length;
    if (from->length > 0)
        memcpy(value->bytes, from->bytes, from->length);
    return value;
}

void tide_state_value_release(struct tide_state_value *value)
{
    if (value && --value->references == 0)
        free(value);
}

void tide_states_set_value(struct tide_states *states, struct tide_state_entry *entry,
                           struct tide_state_value *value)
{
    states->bytes -= entry->value ? sizeof(*value) + entry->value->length : 0;
    states->bytes += value ? sizeof(*value) + value->length : 0;
    tide_state_value_release(entry->value);
    entry->value = value;
}

int64_t tide_state_timer(const struct tide_state_value *value)
{
    struct tide_store_value stored = {
        .kind = value->kind, .length = value->length, .bytes = value->bytes};
    return tide_store_timer_of(&stored);
}
