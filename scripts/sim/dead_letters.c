/* SPDX-License-Identifier: MIT
 * Checks dead letters: each must name the place that its message came from, there must be one at most, and its reason
 * must be one that the message met. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chain/batch.h"
#include "sim.h"

struct dead_letter {
    char stage[16], reason[16];
    long long offset, partition;
};

static void take_header(const struct tide_header *header, struct dead_letter *letter)
{
    char value[32] = "";
    if (header->value_length < sizeof(value))
        memcpy(value, header->value, header->value_length);
    if (header->name_length == 5 && memcmp(header->name, "stage", 5) == 0)
        snprintf(letter->stage, sizeof(letter->stage), "%.15s", value);
    else if (header->name_length == 6 && memcmp(header->name, "reason", 6) == 0)
        snprintf(letter->reason, sizeof(letter->reason), "%.15s", value);
    else if (header->name_length == 15 && memcmp(header->name, "original_offset", 15) == 0)
        letter->offset = atoll(value);
    else if (header->name_length == 18 && memcmp(header->name, "original_partition", 18) == 0)
        letter->partition = atoll(value);
}

static bool deserved(const struct item *item, uint32_t level, const struct dead_letter *letter,
                     uint64_t need)
{
    const struct message *message = sim_message(item);
    if (level == sim.set.step_count)
        return strcmp(letter->reason, "refused") == 0 && message->refused & sim_bit(item->path);
    if (message->excused[level] & sim_bit(item->path))
        return true;
    if (strcmp(letter->reason, "too_large") == 0)
        return need > sim.set.steps[level].max_input_block_size;
    if (strcmp(letter->reason, "crash") == 0)
        return sim.set.steps[level].crash_retries < 4 &&
               message->died[level][sim.set.steps[level].crash_retries] & sim_bit(item->path);
    if (strcmp(letter->reason, "timeout") == 0)
        return message->late[level] & sim_bit(item->path);
    return strcmp(letter->reason, "rejected") == 0 &&
           sim_behaviour(item, level).kind == BEHAVIOUR_REJECT &&
           message->published[level] & sim_bit(item->path);
}

static uint32_t level_of(const struct dead_letter *letter)
{
    if (strcmp(letter->stage, "produce") == 0)
        return sim.set.step_count;
    return (uint32_t)(letter->stage[1] - '0');
}

/* The paths of all results that the item may have from that level on. */
static uint64_t paths_below(const struct item *item, uint32_t level)
{
    uint64_t mask = 0;
    for (uint32_t path = 0; path < MAX_PATHS && level < sim.set.step_count; path++) {
        uint32_t same = level == 0 ? 0 : sim_shift(level - 1);
        if (level == 0 || path >> same == (uint32_t)item->path >> same)
            mask |= sim_bit(path);
    }
    return mask;
}

uint32_t sim_check_dead_letter(const struct tide_message *letter_message)
{
    const struct payload *payload = sim_value(letter_message);
    struct dead_letter letter = {"", "", -1, -1};
    struct tide_header header;
    uint32_t at = 0;
    while (tide_header_next(letter_message->headers, letter_message->headers_length, &at, &header) >
           0)
        take_header(&header, &letter);
    uint32_t level = level_of(&letter);
    if (level > sim.set.step_count)
        sim_fail("a dead letter of stage \"%s\"", letter.stage);
    if (!sim_current(payload))
        sim_fail("a dead letter of an assignment that is over");
    for (uint32_t i = 0; i < payload->count; i++) {
        const struct item *item = &payload->items[i];
        struct message *message = sim_message(item);
        if (!sim_present(item))
            continue;
        if (!deserved(item, level, &letter, tide_batch_need(letter_message)))
            sim_fail("%u/%u path %x did not deserve a dead letter (%s, %s)", item->partition,
                     item->index, item->path, letter.stage, letter.reason);
        if (!sim_is_group(level) &&
            (letter.offset != message->offset || letter.partition != item->partition))
            sim_fail("the dead letter of %u/%lld says %lld/%lld", item->partition,
                     (long long)message->offset, letter.partition, letter.offset);
        if (message->dead_letter_sent[level] & sim_bit(item->path))
            sim_fail("%u/%u path %x has two dead letters (%s)", item->partition, item->index,
                     item->path, letter.stage);
        if (message->sent & paths_below(item, level))
            sim_fail("%u/%u path %x was sent before its dead letter (%s, %s)", item->partition,
                     item->index, item->path, letter.stage, letter.reason);
        message->dead_letter_sent[level] |= sim_bit(item->path);
    }
    return level;
}
