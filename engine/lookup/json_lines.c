/* SPDX-License-Identifier: MIT
 * Reads JSON lines for a lookup table: an object in each line. Strings and numbers are kept as such; arrays, objects and
 * integers beyond 2^53 as their text, from which they are decoded as tide.json.table does it. All of it is checked here
 * (json/json.h), so that no row fails when it is read. A byte order mark is left out; empty lines count for nothing. */
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "lookup/inside.h"
#include "json/json.h"

/* The value that the member of the key has; `json` has found it. */
static int append_key(struct tide_lookup_writer *writer, const struct tide_json *json, int kind,
                      const char *name, bool last)
{
    static const char *const kinds[] = {
        [TIDE_JSON_NULL] = "null",      [TIDE_JSON_FALSE] = "false",
        [TIDE_JSON_TRUE] = "true",      [TIDE_JSON_DOUBLE] = "no integer",
        [TIDE_JSON_ARRAY] = "an array", [TIDE_JSON_OBJECT] = "an object"};
    char digits[32];
    if (kind == TIDE_JSON_STRING || kind == TIDE_JSON_BIG) {
        tide_lookup_append_key(writer, json->bytes, (uint64_t)json->length, last);
        return TIDE_OK;
    }
    if (kind == TIDE_JSON_INT64)
        snprintf(digits, sizeof(digits), "%lld", (long long)json->integer);
    else if (kind == TIDE_JSON_UINT64)
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)json->natural);
    else if (kind == TIDE_JSON_NONE)
        return tide_lookup_refuse(writer, "the object has no member \"%s\"", name);
    else if (kind != TIDE_JSON_DOUBLE || !tide_lookup_digits(json->number, digits))
        return tide_lookup_refuse(writer, "the key \"%s\" is %s; a key is a string or an integer",
                                  name, kinds[kind]);
    tide_lookup_append_key(writer, digits, strlen(digits), last);
    return TIDE_OK;
}

static int add_integer(struct tide_lookup_writer *writer, const struct tide_json *json, int kind)
{
    char digits[32];
    if (kind == TIDE_JSON_INT64)
        snprintf(digits, sizeof(digits), "%lld", (long long)json->integer);
    else
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long)json->natural);
    return tide_lookup_add_as_is(writer, digits, strlen(digits));
}

static int add_value(struct tide_lookup_writer *writer, struct tide_json *json, int kind)
{
    switch (kind) {
    case TIDE_JSON_STRING:
        return tide_lookup_add_string(writer, json->bytes, (uint64_t)json->length);
    case TIDE_JSON_DOUBLE:
        return tide_lookup_add_number(writer, json->number);
    case TIDE_JSON_INT64:
    case TIDE_JSON_UINT64:
        return add_integer(writer, json, kind);
    case TIDE_JSON_BIG:
        return tide_lookup_add_as_is(writer, json->bytes, (uint64_t)json->length);
    case TIDE_JSON_NULL:
        return tide_lookup_add_cell(writer, TIDE_LOOKUP_NULL, NULL, 0);
    case TIDE_JSON_FALSE:
        return tide_lookup_add_cell(writer, TIDE_LOOKUP_FALSE, NULL, 0);
    case TIDE_JSON_TRUE:
        return tide_lookup_add_cell(writer, TIDE_LOOKUP_TRUE, NULL, 0);
    default:
        if (tide_json_text(json->doc, json->node) < 0)
            return tide_lookup_refuse(writer, "%s", tide_error());
        return tide_lookup_add_as_is(writer, json->bytes, (uint64_t)json->length);
    }
}

static int add_members(struct tide_lookup_writer *writer, struct tide_json *json)
{
    struct tide_json_doc *doc = json->root;
    int kind;
    for (int32_t at = 0; (kind = tide_json_next(doc, 0, at)) != TIDE_JSON_NONE;) {
        if (kind < 0)
            return tide_lookup_refuse(writer, "%s", tide_error());
        at = json->position;
        tide_lookup_add_name(writer, json->key, (uint64_t)json->key_length);
        int status = add_value(writer, json, kind);
        if (status < 0)
            return status;
    }
    return TIDE_OK;
}

static int read_row(struct tide_lookup_writer *writer, struct tide_json *json, const char *line,
                    uint64_t size)
{
    const struct tide_lookup_source *source = writer->source;
    if (size > INT32_MAX)
        return tide_lookup_refuse(writer, "the line is longer than 2 GiB");
    tide_json_reset(json);
    int kind = tide_json_open(json, line, (int32_t)size);
    if (kind < 0)
        return tide_lookup_refuse(writer, "%s", tide_error());
    if (kind != TIDE_JSON_OBJECT)
        return tide_lookup_refuse(writer, "a line is one object, this one is none");
    if (tide_lookup_begin_named(writer) < 0 || add_members(writer, json) < 0)
        return TIDE_ECONFIG;
    for (uint32_t k = 0; k < source->key_count; k++) {
        const char *name = source->keys[k];
        kind = tide_json_get(json->root, 0, name, (int32_t)strlen(name));
        int status = append_key(writer, json, kind, name, k + 1 == source->key_count);
        if (status < 0)
            return status;
    }
    return tide_lookup_end_named(writer, line, size);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r';
}

int tide_lookup_read_json(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    static const char mark[3] = {'\xEF', '\xBB', '\xBF'};
    const char *at = bytes, *end = bytes + size;
    struct tide_json *json = tide_json_new();
    int status = TIDE_OK;
    if (size >= sizeof(mark) && memcmp(bytes, mark, sizeof(mark)) == 0)
        at += sizeof(mark);
    for (writer->line = 1; at < end && status == TIDE_OK; writer->line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        const char *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        while (at < stop && is_blank(*at))
            at++;
        while (stop > at && is_blank(stop[-1]))
            stop--;
        if (at < stop)
            status = read_row(writer, json, at, (uint64_t)(stop - at));
        at = next;
    }
    tide_json_free(json);
    return status;
}
