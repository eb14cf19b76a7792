/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"
#include "base/status.h"
#include "io/file.h"
#include "shm/layout.h"
#include "shm/topics.h"

enum {
    LINES = 256,          /* lent at once */
    FIRST_ROOM = 1 << 18, /* bytes of the buffer */
    LONGEST_LINE =
        256 * 1048576 /* a step rejects what is too large for it; this only bounds the memory */
};

struct line {
    size_t start; /* in the buffer */
    uint32_t length;
};

enum { TELL_ASSIGNED = 1, TELL_COMMITTED = 2, TELL_END = 4, TELL_FAILED = 8 };

struct file_source {
    struct tide_source source;
    struct tide_partition partition;
    struct tide_loop *loop;
    char *path;
    int fd;
    bool regular; /* never has to be waited for */
    bool watched; /* a pipe that had nothing: wakes the loop once */
    bool over;    /* nothing more to read */
    bool paused;
    bool closed;
    bool ended;    /* the END event was given */
    unsigned tell; /* events to give */
    int failure;
    char *failure_text;
    char *buffer;
    size_t room;
    size_t filled;   /* bytes in the buffer */
    size_t scanned;  /* those before it belong to `lines`, or to what was taken */
    size_t searched; /* no newline between scanned and here */
    struct line lines[LINES];
    uint32_t first; /* lent: lines[first .. end) */
    uint32_t end;
    int64_t next_offset; /* of lines[end] */
};

static struct file_source *self(struct tide_source *source)
{
    return (struct file_source *)source;
}

static void fail(struct file_source *file, int status)
{
    free(file->failure_text);
    file->failure_text = tide_copy(tide_error());
    file->failure = status;
    file->over = true;
    file->tell |= TELL_FAILED;
}

/* ---- reading ---- */

static void wake(void *context)
{
    struct file_source *file = context;
    tide_loop_unwatch(file->loop, file->fd); /* it stays readable until it is read */
    file->watched = false;
}

/* False: reading would wait, and the loop is told to wake us. */
static bool may_read(struct file_source *file)
{
    struct pollfd look = {.fd = file->fd, .events = POLLIN};
    if (file->regular || poll(&look, 1, 0) > 0)
        return true;
    if (!file->watched && tide_loop_watch(file->loop, file->fd, wake, file) < 0)
        fail(file, TIDE_EINTERNAL);
    file->watched = true;
    return false;
}

/* Nothing is lent: what is left moves to the front, and there is room for more. */
static bool make_room(struct file_source *file)
{
    memmove(file->buffer, file->buffer + file->scanned, file->filled - file->scanned);
    file->filled -= file->scanned;
    file->searched -= file->scanned;
    file->scanned = 0;
    if (file->filled < file->room)
        return true;
    if (file->room >= LONGEST_LINE) {
        fail(file, tide_fail(TIDE_EDATA, "%s: line %lld is longer than %d MiB", file->path,
                             (long long)file->next_offset, LONGEST_LINE / 1048576));
        return false;
    }
    file->room *= 2;
    file->buffer = tide_realloc(file->buffer, file->room);
    return true;
}

static bool read_more(struct file_source *file)
{
    if (file->over || !may_read(file) || !make_room(file))
        return false;
    ssize_t count = read(file->fd, file->buffer + file->filled, file->room - file->filled);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (count < 0)
        fail(file, tide_fail(TIDE_ETEMPORARY, "cannot read %s: %s", file->path, strerror(errno)));
    else if (count == 0)
        file->over = true;
    else
        file->filled += (size_t)count;
    return count > 0;
}

static void lend_line(struct file_source *file, size_t end)
{
    file->lines[file->end++] = (struct line){.start = file->scanned,
                                             .length = (uint32_t)(end - file->scanned)};
    file->next_offset++;
}

static void find_lines(struct file_source *file)
{
    while (file->end < LINES && file->searched < file->filled) {
        char *newline = memchr(file->buffer + file->searched, '\n', file->filled - file->searched);
        if (!newline) {
            file->searched = file->filled;
            return;
        }
        lend_line(file, (size_t)(newline - file->buffer));
        file->scanned = file->searched = (size_t)(newline - file->buffer) + 1;
    }
}

static void fetch_lines(struct file_source *file)
{
    file->first = file->end = 0;
    find_lines(file);
    while (file->end == 0 && read_more(file))
        find_lines(file);
    if (file->end == 0 && file->over && file->failure == TIDE_OK && file->scanned < file->filled) {
        lend_line(file, file->filled); /* the last one, without a newline */
        file->scanned = file->searched = file->filled;
    }
}

/* A compressed file has lines too, and no message in them. */
static void hint_at_compression(const struct file_source *file)
{
    static const struct {
        const char *magic, *name;
    } kinds[] = {{"\x1F\x8B", "gzip"}, {"\x28\xB5\x2F\xFD", "zstd"}, {"BZh", "bzip2"}};
    char head[4] = {0};
    if (pread(file->fd, head, sizeof(head), 0) < (ssize_t)sizeof(head))
        return;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (memcmp(head, kinds[i].magic, strlen(kinds[i].magic)) == 0)
            tide_log(TIDE_LOG_WARN,
                     "%s is compressed, and is read as it is; for its lines: %s -dc %s | tidemill "
                     "run ... --input -",
                     file->path, kinds[i].name, file->path);
}

/* ---- what the engine calls ---- */

static int start(struct tide_source *source)
{
    struct file_source *file = self(source);
    struct stat about;
    bool standard = strcmp(file->path, "-") == 0;
    file->fd = standard ? STDIN_FILENO : open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &about) < 0)
        return tide_fail(TIDE_ENOINPUT, "cannot open %s: %s", file->path, strerror(errno));
    if (standard && (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return tide_fail(TIDE_ENOINPUT, "standard input is closed, or not open for reading");
    if (S_ISDIR(about.st_mode))
        return tide_fail(TIDE_ENOINPUT, "%s is a folder", file->path);
    file->regular = S_ISREG(about.st_mode);
    if (file->regular)
        hint_at_compression(file);
    file->partition.owned = true;
    file->tell = TELL_ASSIGNED;
    return TIDE_OK;
}

static ssize_t poll_lines(struct tide_source *source, struct tide_message *messages, size_t max)
{
    struct file_source *file = self(source);
    if (file->tell & TELL_ASSIGNED || file->paused || file->closed || file->failure < 0)
        return 0;
    if (file->first == file->end)
        fetch_lines(file);
    size_t count = file->end - file->first;
    if (count > max)
        count = max;
    int64_t offset = file->next_offset - (file->end - file->first);
    for (size_t i = 0; i < count; i++) {
        const struct line *line = &file->lines[file->first + i];
        messages[i] = (struct tide_message){
            .value = file->buffer + line->start,
            .value_length = line->length,
            .topic = file->partition.topic,
            .timestamp = -1,
            .offset = offset + (int64_t)i,
            .target_topic = TIDE_TOPIC_NONE,
            .target_partition = TIDE_PARTITION_ANY,
        };
    }
    return (ssize_t)count;
}

static void take(struct tide_source *source, size_t count)
{
    struct file_source *file = self(source);
    tide_require(count <= file->end - file->first);
    file->first += (uint32_t)count;
}

static bool tells(struct file_source *file, unsigned which)
{
    bool told = file->tell & which;
    file->tell &= ~which;
    return told;
}

static void next_event(struct tide_source *source, struct tide_source_event *event)
{
    static const uint32_t only = 0;
    struct file_source *file = self(source);
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (file->over && !file->ended && file->failure == TIDE_OK && file->first == file->end &&
        file->scanned == file->filled) {
        file->partition.end = file->next_offset;
        file->ended = true;
        file->tell |= TELL_END;
    }
    if (tells(file, TELL_ASSIGNED))
        *event = (struct tide_source_event){
            .kind = TIDE_SOURCE_ASSIGNED, .partitions = &only, .partition_count = 1};
    else if (tells(file, TELL_COMMITTED))
        event->kind = TIDE_SOURCE_COMMITTED;
    else if (tells(file, TELL_FAILED))
        *event = (struct tide_source_event){
            .kind = TIDE_SOURCE_FAILED, .status = file->failure, .text = file->failure_text};
    else if (tells(file, TELL_END))
        event->kind = TIDE_SOURCE_END;
}

static void revoke_done(struct tide_source *source)
{
    (void)source; /* a file is never revoked */
}

static int commit(struct tide_source *source, const struct tide_position *positions, size_t count)
{
    (void)positions;
    (void)count;
    self(source)->tell |= TELL_COMMITTED;
    return TIDE_OK;
}

static void set_paused(struct tide_source *source, bool paused)
{
    self(source)->paused = paused;
}

static void close_source(struct tide_source *source)
{
    self(source)->closed = true;
}

static bool closed(struct tide_source *source)
{
    return self(source)->closed;
}

static void free_source(struct tide_source *source)
{
    struct file_source *file = self(source);
    if (file->watched)
        tide_loop_unwatch(file->loop, file->fd);
    if (file->fd > STDIN_FILENO)
        close(file->fd);
    free(file->failure_text);
    free(file->buffer);
    free(file->path);
    free(file);
}

static const struct tide_source_ops ops = {
    .start = start,
    .poll = poll_lines,
    .take = take,
    .event = next_event,
    .revoke_done = revoke_done,
    .commit = commit,
    .pause = set_paused,
    .close = close_source,
    .closed = closed,
    .free = free_source,
};

struct tide_source *tide_file_source_new(const struct tide_source_plan *plan,
                                         struct tide_topics *topics, struct tide_loop *loop)
{
    const char *slash = strrchr(plan->path, '/');
    const char *name = plan->topic_count > 0          ? plan->topics[0]
                       : strcmp(plan->path, "-") == 0 ? "stdin"
                                                      : (slash ? slash + 1 : plan->path);
    int topic = tide_topics_number(topics, name);
    if (topic < 0)
        return NULL;
    struct file_source *file = tide_alloc(sizeof(*file));
    file->source.ops = &ops;
    file->source.partitions = &file->partition;
    file->source.partition_count = 1;
    file->partition = (struct tide_partition){.topic = (uint16_t)topic, .end = -1};
    file->loop = loop;
    file->path = tide_copy(plan->path);
    file->fd = -1;
    file->room = FIRST_ROOM;
    file->buffer = tide_alloc(file->room);
    return &file->source;
}
