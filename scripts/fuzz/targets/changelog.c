/* SPDX-License-Identifier: MIT
 * The value of a record of a changelog (chain/changelog_record.h), which anybody may have written who may write the topic.
 * What is read lies within the record or the room for it and is as long as the store takes; written again and read again
 * it is the same, as is every change that a worker may leave. A NaN comes back as a NaN.
 * Input: 0 and the value; 1, kind, expiry, offset, timer, and the bytes of a change. */
#include <math.h>
#include <string.h>

#include "base/text.h"
#include "chain/changelog_record.h"
#include "fuzz.h"
#include "shm/layout.h"
#include "store/store.h"

static struct tide_text room, room_again, written;

static bool is_nan(const struct tide_store_value *value)
{
    double number;
    if ((value->kind & ~(uint32_t)TIDE_STATE_TIMED) != TIDE_STATE_NUMBER)
        return false;
    memcpy(&number, value->bytes + value->length - sizeof(number), sizeof(number));
    return isnan(number);
}

static void check(const struct tide_store_value *value, const char *bytes, uint32_t length)
{
    uint32_t kind = value->kind & ~(uint32_t)TIDE_STATE_TIMED;
    uint32_t timer = value->kind & TIDE_STATE_TIMED ? TIDE_STORE_TIMER : 0;
    fuzz_require(fuzz_lies_within(value->bytes, value->length, bytes, length) ||
                 fuzz_lies_within(value->bytes, value->length, room.data, room.length));
    fuzz_require(kind <= TIDE_STATE_JSON && value->length <= TIDE_STORE_VALUE + timer);
    fuzz_require(value->length >= timer && (kind != TIDE_STATE_NONE || value->length == timer));
    fuzz_require(kind != TIDE_STATE_NONE || timer > 0);
    fuzz_require(kind != TIDE_STATE_NUMBER || value->length == timer + sizeof(double));
    fuzz_require(value->expires_ms >= 0);
}

/* Written and read again it is the same. */
static void pass_through(const struct tide_store_value *value, int64_t offset)
{
    struct tide_store_value again;
    int64_t offset_again;
    tide_changelog_write(&written, value, offset);
    uint32_t length = (uint32_t)written.length;
    const char *copy = fuzz_guarded_copy(1, written.data, length);
    fuzz_require(tide_changelog_parse(copy, length, &again, &offset_again, &room_again));
    fuzz_require(again.kind == value->kind && again.expires_ms == value->expires_ms &&
                 offset_again == offset && again.length == value->length);
    fuzz_require(is_nan(value) ? is_nan(&again)
                               : memcmp(again.bytes, value->bytes, value->length) == 0);
}

/* A change as the engine has accepted it of a worker (chain/results.c has what it may be), with a sum as its end. */
static void write_change(struct fuzz_input input)
{
    struct tide_store_value value = {.kind = fuzz_below(&input, 8)};
    uint64_t numbers[3];
    for (int i = 0; i < 3; i++) {
        numbers[i] = fuzz_word(&input);
        numbers[i] |= (uint64_t)fuzz_word(&input) << 32;
    }
    bool timed = value.kind & 4;
    uint32_t kind = value.kind & 3, timer = timed ? TIDE_STORE_TIMER : 0;
    size_t length = kind == TIDE_STATE_NONE ? 0 : kind == TIDE_STATE_NUMBER ? 8 : input.left;
    if ((kind == TIDE_STATE_NONE && !timed) || length > input.left)
        return;
    char *bytes = fuzz_guarded(0, length + timer);
    memcpy(bytes, &numbers[2], timer);
    if (length > 0)
        memcpy(bytes + timer, input.at, length);
    value.kind = kind | (timed ? (uint32_t)TIDE_STATE_TIMED : 0);
    value.bytes = bytes;
    value.length = (uint32_t)length + timer;
    value.expires_ms = (int64_t)(numbers[0] >> 1);
    pass_through(&value, (int64_t)(numbers[1] >> 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    struct tide_store_value value;
    int64_t offset;
    if (size > 65536)
        return 0;
    if (fuzz_byte(&input) & 1) {
        write_change(input);
        return 0;
    }
    uint32_t length = (uint32_t)input.left;
    const char *bytes = fuzz_guarded_copy(0, input.at, length);
    if (!tide_changelog_parse(bytes, length, &value, &offset, &room))
        return 0;
    check(&value, bytes, length);
    fuzz_require(offset >= 0);
    pass_through(&value, offset);
    return 0;
}
