/* SPDX-License-Identifier: MIT
 * The JSON view (json/json.h): index, check, reads, edits, splice. The index accepts what the plain parser accepts, which
 * shares no code with it. A document that is not changed is written byte for byte. After edits, what is written is JSON,
 * and a second view of that text reads the same values as the edited one. Everything is read and written at the end of
 * memory. Input: how many bytes of edits; the edits; the document. */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "base/text.h"
#include "fuzz.h"
#include "json/json.h"

enum { DOCUMENT, TEXT, LONGEST = 100000, MOST_MEMBERS = 200, MOST_EDITS = 64 };

static struct tide_json *one, *other;

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count, (void)arguments;
    one = tide_json_new();
    other = tide_json_new();
    return 0;
}

/* ---- two views that must read alike ---- */

/* What the last call found, copied: the next call changes it. */
struct value {
    int kind;
    double number;
    uint64_t bits;
    const char *bytes;
    int32_t length, node;
    struct tide_json_doc *doc;
};

static struct value found(const struct tide_json *json, int kind)
{
    struct value value = {.kind = kind};
    if (kind == TIDE_JSON_DOUBLE)
        value.number = json->number;
    else if (kind == TIDE_JSON_INT64)
        value.bits = (uint64_t)json->integer;
    else if (kind == TIDE_JSON_UINT64)
        value.bits = json->natural;
    if (kind == TIDE_JSON_STRING || kind == TIDE_JSON_BIG)
        value.bytes = json->bytes, value.length = json->length;
    if (kind >= TIDE_JSON_ARRAY)
        value.doc = json->doc, value.node = json->node;
    return value;
}

static void same(struct value a, struct value b, int depth);

static bool is_same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* Members of `b` by the keys of `a`. Elements that were deleted leave no gap in the text. */
static void same_members(struct value a, struct value b, int depth)
{
    int32_t at = 0, seen = 0;
    int kind;
    while ((kind = tide_json_next(a.doc, a.node, at)) > TIDE_JSON_NONE) {
        struct tide_json *json = a.doc->json;
        struct value member = found(json, kind);
        const char *key = a.kind == TIDE_JSON_OBJECT ? json->key : NULL;
        int32_t length = json->key_length;
        at = json->position;
        fuzz_require((key == NULL) == (a.kind == TIDE_JSON_ARRAY));
        if (++seen > MOST_MEMBERS)
            return;
        kind = tide_json_get(b.doc, b.node, key, key ? length : seen);
        struct value counterpart = found(b.doc->json, kind);
        same(member, counterpart, depth + 1);
        kind = tide_json_get(a.doc, a.node, key, length); /* by its key it is the same too */
        fuzz_require(kind == member.kind);
    }
    fuzz_require(kind == TIDE_JSON_NONE);
    fuzz_require(a.kind == TIDE_JSON_ARRAY || tide_json_count(a.doc, a.node) == seen);
    fuzz_require(tide_json_count(b.doc, b.node) == seen);
}

static void same(struct value a, struct value b, int depth)
{
    fuzz_require(a.kind == b.kind && a.kind > TIDE_JSON_NONE && depth <= TIDE_JSON_DEPTH);
    fuzz_require(a.bits == b.bits && is_same_double(a.number, b.number) && a.length == b.length);
    fuzz_require(a.length == 0 || memcmp(a.bytes, b.bytes, (size_t)a.length) == 0);
    if (a.kind >= TIDE_JSON_ARRAY)
        same_members(a, b, depth);
}

/* ---- writing ---- */

/* The text of the whole, written into just the room that it takes. */
static char *write_whole(struct tide_json_doc *doc, size_t *size)
{
    char untouched = 'x';
    double length = -tide_json_write(doc, TIDE_JSON_WHOLE, &untouched, 0);
    fuzz_require(length > 0 && length <= LONGEST * 8.0 && untouched == 'x');
    *size = (size_t)length;
    char *text = fuzz_guarded(TEXT, *size);
    fuzz_require(tide_json_write(doc, TIDE_JSON_WHOLE, text, *size) == length);
    fuzz_require(tide_json_write(doc, TIDE_JSON_WHOLE, text, *size - 1) == -length);
    return text;
}

static void check_unchanged(struct tide_json_doc *doc, const char *bytes, size_t length)
{
    size_t size;
    const char *text = write_whole(doc, &size);
    fuzz_require(size == length && memcmp(text, bytes, size) == 0);
}

/* What is written is read by another session, and compared with the edited view in both ways of writing. */
static void check_written(struct tide_json_doc *doc)
{
    size_t size;
    char *text = write_whole(doc, &size);
    fuzz_require(tide_json_check(text, size) == TIDE_OK);
    tide_json_reset(other);
    int kind = tide_json_open(other, text, (int32_t)size);
    fuzz_require(kind == TIDE_JSON_ARRAY || kind == TIDE_JSON_OBJECT);
    struct value again = found(other, kind);
    struct value edited = found(doc->json, tide_json_value(doc, 0));
    same(edited, again, 1);
    fuzz_require(tide_json_text(doc, 0) == TIDE_OK && (size_t)doc->json->length <= size);
    for (size_t at = 0; at + (size_t)doc->json->length <= size; at++) {
        if (text[at] == *doc->json->bytes) /* after white space */
            fuzz_require(memcmp(text + at, doc->json->bytes, (size_t)doc->json->length) == 0);
        if (text[at] == *doc->json->bytes)
            break;
    }
}

/* ---- edits ---- */

struct place {
    struct tide_json_doc *doc;
    int32_t node;
    const char *key; /* NULL in an array */
    int32_t length;
};

/* A member some steps down, as the bytes say: one that is there, or a new one. */
static struct place choose(struct fuzz_input *edits, struct value root)
{
    static const char *const keys[] = {"a", "id", "", "new", "q\"\\\n\x01", "\xC3\xA9\xE2\x82\xAC"};
    struct place place = {.doc = root.doc, .node = root.node};
    int kind = root.kind, steps = (int)fuzz_below(edits, 4);
    for (;;) {
        int wanted = (int)fuzz_below(edits, 16), child = TIDE_JSON_NONE;
        int32_t at = 0;
        place.key = kind == TIDE_JSON_OBJECT ? keys[wanted % 6] : NULL;
        place.length = place.key ? (int32_t)strlen(place.key) : wanted;
        while (wanted-- > 0 &&
               (child = tide_json_next(place.doc, place.node, at)) > TIDE_JSON_NONE) {
            place.key = kind == TIDE_JSON_OBJECT ? place.doc->json->key : NULL;
            place.length = place.doc->json->key_length;
            at = place.doc->json->position;
        }
        if (child < TIDE_JSON_ARRAY || steps-- == 0)
            return place;
        struct value inner = found(place.doc->json, child);
        kind = inner.kind;
        place = (struct place){.doc = inner.doc, .node = inner.node};
    }
}

static void check_set(struct place at, int status, struct value expected)
{
    if (status < 0)
        return;
    int kind = tide_json_get(at.doc, at.node, at.key, at.length);
    struct value read = found(at.doc->json, kind);
    fuzz_require(kind == expected.kind && is_same_double(read.number, expected.number));
    fuzz_require(read.bits == expected.bits && read.length == expected.length);
    fuzz_require(read.length == 0 || memcmp(read.bytes, expected.bytes, (size_t)read.length) == 0);
}

static void set_double(struct fuzz_input *edits, struct place at)
{
    uint64_t bits = fuzz_word(edits);
    bits |= (uint64_t)fuzz_word(edits) << 32;
    double number;
    memcpy(&number, &bits, sizeof(number));
    int status = tide_json_set_double(at.doc, at.node, at.key, at.length, number);
    fuzz_require(isfinite(number) || status < 0);
    if (isfinite(number) && fabs(number) < 9e15) /* a larger one may be read as an integer */
        check_set(at, status, (struct value){.kind = TIDE_JSON_DOUBLE, .number = number});
}

static void set_integer(struct fuzz_input *edits, struct place at)
{
    uint64_t bits = fuzz_word(edits);
    bits |= (uint64_t)fuzz_word(edits) << 32;
    bool is_natural = bits & 1;
    int status = is_natural
                     ? tide_json_set_natural(at.doc, at.node, at.key, at.length, bits)
                     : tide_json_set_integer(at.doc, at.node, at.key, at.length, (int64_t)bits);
    if (status < 0)
        return;
    int kind = tide_json_get(at.doc, at.node, at.key, at.length);
    double number = is_natural ? (double)bits : (double)(int64_t)bits;
    const struct tide_json *json = at.doc->json;
    fuzz_require(kind == TIDE_JSON_DOUBLE   ? json->number == number
                 : kind == TIDE_JSON_INT64  ? json->integer == (int64_t)bits
                 : kind == TIDE_JSON_UINT64 ? json->natural == bits
                                            : false);
}

static void set_string(struct fuzz_input *edits, struct place at)
{
    size_t size = fuzz_below(edits, 32);
    const char *bytes = fuzz_bytes(edits, &size);
    int status = tide_json_set_string(at.doc, at.node, at.key, at.length, bytes, (int32_t)size);
    check_set(at, status,
              (struct value){.kind = TIDE_JSON_STRING, .bytes = bytes, .length = (int32_t)size});
}

/* A value that stands elsewhere in the document, as its text. */
static void set_copy(struct fuzz_input *edits, struct place at, struct value root)
{
    struct place from = choose(edits, root);
    int kind = tide_json_get(from.doc, from.node, from.key, from.length);
    if (kind < TIDE_JSON_ARRAY)
        return;
    struct tide_json *json = from.doc->json;
    if (tide_json_text(json->doc, json->node) != TIDE_OK || json->length > 4096)
        return;
    int32_t size = json->length;
    char text[4096];
    memcpy(text, json->bytes, (size_t)size);
    int status = tide_json_set_text(at.doc, at.node, at.key, at.length, text, size);
    if (status == TIDE_OK)
        fuzz_require(tide_json_get(at.doc, at.node, at.key, at.length) == kind);
}

static void edit(struct fuzz_input *edits, struct value root)
{
    struct place at = choose(edits, root);
    int kind = (int)fuzz_below(edits, 8);
    switch (kind) {
    case 4:
        set_double(edits, at);
        break;
    case 5:
        set_integer(edits, at);
        break;
    case 6:
        set_string(edits, at);
        break;
    case 7:
        set_copy(edits, at, root);
        break;
    default:
        check_set(at, tide_json_set_kind(at.doc, at.node, at.key, at.length, kind),
                  (struct value){.kind = kind});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    size_t length = fuzz_byte(&input);
    struct fuzz_input edits = {(const uint8_t *)fuzz_bytes(&input, &length), length};
    edits.left = length;
    if (input.left > LONGEST)
        return 0;
    const char *bytes = fuzz_guarded_copy(DOCUMENT, input.at, input.left);
    tide_json_reset(one);
    int kind = tide_json_open(one, bytes, (int32_t)input.left);
    bool valid = tide_json_check(bytes, input.left) == TIDE_OK;
    fuzz_require((kind > TIDE_JSON_NONE) == valid && (valid || kind == TIDE_EDATA));
    if (!valid)
        return 0;
    struct tide_json_doc *doc = one->root;
    check_unchanged(doc, bytes, input.left);
    if (kind < TIDE_JSON_ARRAY)
        return 0;
    struct value root = found(one, kind);
    check_written(doc);
    for (int i = 0; i < MOST_EDITS && edits.left > 0; i++)
        edit(&edits, root);
    if (doc->edits == 0)
        check_unchanged(doc, bytes, input.left);
    check_written(doc);
    return 0;
}
