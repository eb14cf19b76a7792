/* SPDX-License-Identifier: MIT
 * The slowest messages are kept by windows of ten seconds, since one list for a whole minute would have to keep what
 * becomes one of the slowest only when slower ones have gone. Start reading at tide_slow_add. */
#include "chain/slow.h"

#include <stdbool.h>

static bool is_same(const struct tide_slow_message *a, const struct tide_slow_message *b)
{
    return a->offset == b->offset && a->partition == b->partition && a->topic == b->topic &&
           a->step == b->step;
}

/* Puts the message into a list that is in order, the slowest first. Returns how many the list has now. */
static uint32_t insert(struct tide_slow_message *list, uint32_t count,
                       const struct tide_slow_message *message)
{
    uint32_t at = 0;
    while (at < count && !is_same(&list[at], message))
        at++;
    if (at < count && list[at].time_us >= message->time_us)
        return count;
    if (at == TIDE_SLOW_MESSAGES && list[at - 1].time_us >= message->time_us)
        return count;
    /* Its old place, a new one at the end, or that of the fastest, which gives way. */
    uint32_t after = at < count ? count : count + (at < TIDE_SLOW_MESSAGES);
    for (at = at < TIDE_SLOW_MESSAGES ? at : at - 1;
         at > 0 && list[at - 1].time_us < message->time_us; at--)
        list[at] = list[at - 1];
    list[at] = *message;
    return after;
}

void tide_slow_add(struct tide_slow *slow, const struct tide_slow_message *message)
{
    int64_t number = message->seen_us / TIDE_SLOW_WINDOW_US;
    struct tide_slow_window *window = &slow->windows[number % TIDE_SLOW_WINDOWS];
    if (window->number != number) {
        window->number = number;
        window->count = 0;
    }
    window->count = insert(window->messages, window->count, message);
}

uint32_t tide_slow_list(const struct tide_slow *slow, int64_t now_us,
                        struct tide_slow_message list[TIDE_SLOW_MESSAGES])
{
    uint32_t count = 0;
    int64_t since_us = now_us - (int64_t)(TIDE_SLOW_WINDOWS - 1) * TIDE_SLOW_WINDOW_US;
    for (uint32_t i = 0; i < TIDE_SLOW_WINDOWS; i++) {
        const struct tide_slow_window *window = &slow->windows[i];
        for (uint32_t j = 0; j < window->count; j++) {
            if (window->messages[j].seen_us > since_us)
                count = insert(list, count, &window->messages[j]);
        }
    }
    return count;
}
