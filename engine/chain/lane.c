/* SPDX-License-Identifier: MIT */
#include "chain/lane.h"

#include <stdlib.h>

#include "base/status.h"

struct tide_lane *tide_lanes_at(struct tide_lanes *lanes, uint32_t partition)
{
    while (lanes->count <= partition) {
        lanes->items = tide_realloc(lanes->items, sizeof(*lanes->items) * (lanes->count + 1));
        lanes->items[lanes->count++] = (struct tide_lane){0};
    }
    return &lanes->items[partition];
}

uint64_t tide_lanes_bytes(const struct tide_lanes *lanes)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < lanes->count; i++)
        bytes += lanes->items[i].kept_bytes;
    return bytes;
}

uint32_t tide_lanes_used(const struct tide_lanes *lanes)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < lanes->count; i++)
        used += lanes->items[i].sent + lanes->items[i].kept_count > 0;
    return used;
}

void tide_lanes_free(struct tide_lanes *lanes)
{
    for (uint32_t i = 0; i < lanes->count; i++) {
        while (lanes->items[i].kept)
            tide_lane_drop(&lanes->items[i]);
    }
    free(lanes->items);
}

void tide_lane_pause(struct tide_lane *lane, int64_t now_us, int64_t first_us, int64_t longest_us)
{
    lane->pause_us = lane->pause_us == 0 ? first_us : lane->pause_us * 2;
    if (lane->pause_us > longest_us)
        lane->pause_us = longest_us;
    lane->next_us = now_us + lane->pause_us;
}

void tide_lane_keep(struct tide_lane *lane, const struct tide_message *letter, bool in_front)
{
    struct tide_kept *kept = tide_alloc(sizeof(*kept) + tide_message_size(letter) + 1);
    tide_message_copy(&kept->message, letter, (char *)(kept + 1));
    if (!lane->kept) {
        lane->kept = lane->last = kept;
    } else if (in_front) {
        kept->next = lane->kept;
        lane->kept = kept;
    } else {
        lane->last->next = kept;
        lane->last = kept;
    }
    lane->kept_count++;
    lane->kept_bytes += tide_message_size(letter);
}

void tide_lane_drop(struct tide_lane *lane)
{
    struct tide_kept *kept = lane->kept;
    lane->kept = kept->next;
    lane->kept_count--;
    lane->kept_bytes -= tide_message_size(&kept->message);
    free(kept);
}
