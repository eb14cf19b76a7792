/* SPDX-License-Identifier: MIT
 * Reads CSV (RFC 4180) for a lookup table: a line with the names of the columns, then the rows. A field in quotes may hold
 * separators, line breaks and doubled quotes; lines end with LF or CRLF; a byte order mark is left out; empty lines count for
 * nothing. What is no CSV is refused and not guessed at: a row of another length, a quote in the middle of a field, a NUL.
 * Start with tide_lookup_read_csv(). */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "lookup/inside.h"

/* A field that was read: its bytes lie with the writer, from `from` on. */
enum field_end { FIELD_FAILED, FIELD_FIELD, FIELD_LINE, FIELD_FILE };

struct reader {
    struct tide_lookup_writer *writer;
    const char *at, *end;
    char separator;
    bool stops[256]; /* bytes at which a field without quotes may end */
    uint32_t columns;
    uint32_t key_count;
    uint32_t keys[TIDE_LOOKUP_KEYS]; /* their columns */
    struct {
        uint64_t from, size;
    } found[TIDE_LOOKUP_KEYS]; /* of the present row: in the table */
};

static enum field_end fail(const struct reader *reader, const char *text)
{
    tide_lookup_refuse(reader->writer, "%s", text);
    return FIELD_FAILED;
}

static enum field_end refuse_byte(const struct reader *reader)
{
    if (*reader->at == '"')
        return fail(
            reader,
            "a quote within a field that does not begin with one; a field with quotes is put "
            "in quotes as a whole, and those in it are doubled");
    if (*reader->at == 0)
        return fail(reader, "a NUL byte, which no text has; is the file UTF-16?");
    return fail(reader, "a carriage return without a line feed after it");
}

/* What ends a field: it stands at a separator, the end of a line, or the end of the file. */
static enum field_end end_field(struct reader *reader)
{
    if (reader->at == reader->end)
        return FIELD_FILE;
    if (*reader->at == reader->separator) {
        reader->at++;
        return FIELD_FIELD;
    }
    if (*reader->at == '\r' && reader->end - reader->at > 1 && reader->at[1] == '\n')
        reader->at++;
    if (*reader->at != '\n')
        return refuse_byte(reader);
    reader->at++;
    return FIELD_LINE;
}

/* Line breaks in a field count as lines of the file, once the row is complete. */
static enum field_end read_quoted(struct reader *reader, uint64_t *lines)
{
    reader->at++;
    for (;;) {
        const char *quote = memchr(reader->at, '"', (size_t)(reader->end - reader->at));
        if (!quote)
            return fail(reader, "a quote is opened in this row and never closed");
        if (memchr(reader->at, 0, (size_t)(quote - reader->at)))
            return fail(reader, "a NUL byte, which no text has; is the file UTF-16?");
        for (const char *at = reader->at; (at = memchr(at, '\n', (size_t)(quote - at))); at++)
            ++*lines;
        bool doubled = reader->end - quote > 1 && quote[1] == '"';
        if (tide_lookup_append(reader->writer, reader->at,
                               (uint64_t)(quote - reader->at) + doubled) < 0)
            return FIELD_FAILED;
        reader->at = quote + 1 + doubled;
        if (!doubled)
            break;
    }
    if (reader->at < reader->end && *reader->at != reader->separator && *reader->at != '\r' &&
        *reader->at != '\n')
        return fail(reader, "bytes behind the closing quote of a field");
    return end_field(reader);
}

static enum field_end read_plain(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && !reader->stops[(unsigned char)*reader->at])
        reader->at++;
    if (tide_lookup_append(reader->writer, from, (uint64_t)(reader->at - from)) < 0)
        return FIELD_FAILED;
    return end_field(reader);
}

static void note_key(struct reader *reader, uint32_t column, uint64_t from, uint64_t end)
{
    for (uint32_t i = 0; i < reader->key_count; i++) {
        if (reader->keys[i] == column) {
            reader->found[i].size = end - from;
            reader->found[i].from = from + (reader->found[i].size < TIDE_LOOKUP_LONG ? 1 : 5);
        }
    }
}

/* Reads the fields of a line as cells; their number, or a status. */
static int read_line(struct reader *reader, uint64_t *lines)
{
    enum field_end end;
    uint32_t count = 0;
    if (tide_lookup_begin_row(reader->writer) < 0)
        return TIDE_ECONFIG;
    do {
        uint64_t from = reader->writer->used;
        bool quoted = reader->at < reader->end && *reader->at == '"';
        if (count == TIDE_LOOKUP_COLUMNS)
            return tide_lookup_refuse(reader->writer, "more than %d fields", TIDE_LOOKUP_COLUMNS);
        end = quoted ? read_quoted(reader, lines) : read_plain(reader);
        if (end == FIELD_FAILED)
            return TIDE_ECONFIG;
        note_key(reader, count++, from, reader->writer->used);
        if (tide_lookup_close_string(reader->writer, from) < 0)
            return TIDE_ECONFIG;
    } while (end == FIELD_FIELD);
    *lines += end == FIELD_LINE;
    return (int)count;
}

/* The cell at `*at`, which goes behind it. */
static const char *next_cell(const char **at, uint32_t *size)
{
    *size = (unsigned char)*(*at)++;
    if (*size == TIDE_LOOKUP_LONG) {
        memcpy(size, *at, 4);
        *at += 4;
    }
    const char *cell = *at;
    *at += *size;
    return cell;
}

static bool skip_empty_lines(struct reader *reader)
{
    while (reader->at < reader->end) {
        bool crlf = *reader->at == '\r' && reader->end - reader->at > 1 && reader->at[1] == '\n';
        if (*reader->at != '\n' && !crlf)
            return true;
        reader->at += crlf ? 2 : 1;
        reader->writer->line++;
    }
    return false;
}

struct column {
    const char *name;
    uint32_t size, number;
};

static int by_name(const void *a, const void *b)
{
    const struct column *one = a, *other = b;
    if (one->size != other->size)
        return one->size < other->size ? -1 : 1;
    return memcmp(one->name, other->name, one->size);
}

static int check_names(const struct reader *reader, struct column *columns)
{
    for (uint32_t i = 0; i < reader->columns; i++) {
        if (columns[i].size == 0)
            return tide_lookup_refuse(reader->writer, "column %u has no name",
                                      columns[i].number + 1);
        if (i > 0 && by_name(&columns[i - 1], &columns[i]) == 0)
            return tide_lookup_refuse(reader->writer, "two columns have the name \"%s\"",
                                      tide_lookup_shown(columns[i].name, columns[i].size));
    }
    return TIDE_OK;
}

static int find_keys(struct reader *reader, const struct column *columns)
{
    const struct tide_lookup_source *source = reader->writer->source;
    reader->key_count = source->key_count > 0 ? source->key_count : 1;
    for (uint32_t k = 0; k < source->key_count; k++) {
        struct column key = {source->keys[k], (uint32_t)strlen(source->keys[k]), 0};
        const struct column *found = bsearch(&key, columns, reader->columns, sizeof(*columns),
                                             by_name);
        if (!found)
            return tide_lookup_refuse(reader->writer, "there is no column \"%s\"%s",
                                      tide_lookup_shown(key.name, key.size),
                                      reader->columns == 1
                                          ? " and no other than one; is the separator another one?"
                                          : "");
        reader->keys[k] = found->number;
    }
    return TIDE_OK;
}

static int read_names(struct reader *reader)
{
    uint64_t lines = 0;
    int count = read_line(reader, &lines);
    if (count < 0)
        return count;
    struct column *columns = tide_alloc(sizeof(*columns) * (uint32_t)count);
    const char *at = (const char *)reader->writer->table + reader->writer->row + 9;
    reader->columns = (uint32_t)count;
    for (uint32_t i = 0; i < reader->columns; i++) {
        columns[i].name = next_cell(&at, &columns[i].size);
        columns[i].number = i;
        tide_lookup_add_name(reader->writer, columns[i].name, columns[i].size);
    }
    tide_lookup_shape(reader->writer);
    qsort(columns, reader->columns, sizeof(*columns), by_name);
    int status = check_names(reader, columns);
    if (status == TIDE_OK)
        status = find_keys(reader, columns);
    free(columns);
    reader->writer->used = reader->writer->row; /* it was no row */
    reader->writer->line += lines;
    return status;
}

static int read_row(struct reader *reader)
{
    uint64_t lines = 0;
    int count = read_line(reader, &lines);
    if (count < 0)
        return count;
    if ((uint32_t)count != reader->columns)
        return tide_lookup_refuse(reader->writer, "%d field%s, but %u column%s", count,
                                  count == 1 ? "" : "s", reader->columns,
                                  reader->columns == 1 ? "" : "s");
    for (uint32_t k = 0; k < reader->key_count; k++)
        tide_lookup_append_key(reader->writer,
                               (const char *)reader->writer->table + reader->found[k].from,
                               reader->found[k].size, k + 1 == reader->key_count);
    int status = tide_lookup_end_row(reader->writer, 1);
    reader->writer->line += lines;
    return status;
}

int tide_lookup_read_csv(struct tide_lookup_writer *writer, const char *bytes, uint64_t size)
{
    static const char mark[3] = {'\xEF', '\xBB', '\xBF'};
    struct reader reader = {.writer = writer, .at = bytes, .end = bytes + size};
    reader.separator = (char)writer->source->separator;
    reader.stops[(unsigned char)reader.separator] = true;
    reader.stops['\n'] = reader.stops['\r'] = reader.stops['"'] = reader.stops[0] = true;
    writer->line = 1;
    if (size >= sizeof(mark) && memcmp(bytes, mark, sizeof(mark)) == 0)
        reader.at += sizeof(mark);
    if (!skip_empty_lines(&reader))
        return tide_lookup_refuse(writer, "there is no line with the names of the columns");
    int status = read_names(&reader);
    while (status == TIDE_OK && skip_empty_lines(&reader))
        status = read_row(&reader);
    return status;
}
