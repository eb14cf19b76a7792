/* SPDX-License-Identifier: MIT
 * A source that reads lines of a file, a pipe or standard input. Lines are found in one buffer and given out as they
 * lie there, without a copy; the buffer is moved and read into only when no line of it is given out. Files are read
 * rather than mapped, so that a pipe and a file that shrinks are read alike. A message is borrowed as one pointer and
 * a length, so a line has to lie in one piece, and the buffer grows to the longest one. Start reading at
 * fetch_lines. */
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
    LINES = 256,              /* given out at once */
    FIRST_ROOM = 1 << 18,     /* bytes of the buffer */
    LONGEST_LINE = 256 << 20, /* a step rejects what is too large for it; this only bounds memory */
};

struct line {
    size_t start; /* in the buffer */
    uint32_t length;
};

/* Events that are due. */
enum { DUE_ASSIGNED = 1, DUE_COMMITTED = 2, DUE_END = 4, DUE_FAILED = 8 };

struct file_source {
    struct tide_source source;
    struct tide_partition partition;
    struct tide_loop *loop;
    char *path;
    int fd;
    bool regular; /* never has to be waited for */
    bool watched; /* the loop watches the pipe, which had nothing to read */
    bool over;    /* there is nothing more to read */
    bool paused;
    bool closed;
    bool end_reported;
    unsigned due; /* DUE_* */
    int failure;
    char *failure_text;
    char *buffer;
    size_t room;
    size_t filled;   /* bytes in the buffer */
    size_t scanned;  /* bytes that belong to `lines`, or to lines that were taken */
    size_t searched; /* there is no newline between `scanned` and here */
    struct line lines[LINES];
    uint32_t first; /* lines[first .. end) are not taken yet */
    uint32_t end;
    int64_t next_offset; /* of lines[end] */
    int64_t begin;       /* lines before it are left out: an earlier run has read them */
};

static struct file_source *source_of(struct tide_source *source)
{
    return (struct file_source *)(void *)source;
}

/* It becomes an event, since poll can only return what stops the run at once: lines that were read before the failure
 * are still to be processed and delivered. */
static void set_failure(struct file_source *file, int status)
{
    free(file->failure_text);
    file->failure_text = tide_copy(tide_error());
    file->failure = status;
    file->over = true;
    file->due |= DUE_FAILED;
}

/* ---- reading ---- */

static void has_input(void *context)
{
    struct file_source *file = context;
    tide_loop_unwatch(file->loop, file->fd); /* it is readable until it is read */
    file->watched = false;
}

/* False when reading would block; the loop then wakes the engine once it would not. poll(2) rather than O_NONBLOCK:
 * standard input may be shared with the shell, and the flag would be the shell's too. */
static bool may_read(struct file_source *file)
{
    struct pollfd look = {.fd = file->fd, .events = POLLIN};
    if (file->regular || poll(&look, 1, 0) > 0)
        return true;
    if (!file->watched && tide_loop_watch(file->loop, file->fd, has_input, file) < 0)
        set_failure(file, TIDE_EINTERNAL);
    file->watched = true;
    return false;
}

/* Moves what is left of the buffer to its front, or lets it grow. No line may be given out now. */
static bool make_room(struct file_source *file)
{
    memmove(file->buffer, file->buffer + file->scanned, file->filled - file->scanned);
    file->filled -= file->scanned;
    file->searched -= file->scanned;
    file->scanned = 0;
    if (file->filled < file->room)
        return true;
    if (file->room >= LONGEST_LINE) {
        set_failure(file, tide_fail(TIDE_EDATA, "%s: line %lld is longer than %d MiB", file->path,
                                    (long long)file->next_offset + 1, LONGEST_LINE / 1048576));
        return false;
    }
    file->room *= 2;
    file->buffer = tide_realloc(file->buffer, file->room);
    return true;
}

/* One read(2) for each call: what a pipe has now is processed before more is waited for. */
static bool read_more(struct file_source *file)
{
    if (file->over || !may_read(file) || !make_room(file))
        return false;
    ssize_t count = read(file->fd, file->buffer + file->filled, file->room - file->filled);
    if (count < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (count < 0)
        set_failure(file,
                    tide_fail(TIDE_ETEMPORARY, "cannot read %s: %s", file->path, strerror(errno)));
    else if (count == 0)
        file->over = true;
    else
        file->filled += (size_t)count;
    return count > 0;
}

/* A line of no bytes is a message too: its offset is the line's number, which must not depend on what is in the
 * lines. */
static void add_line(struct file_source *file, size_t end)
{
    if (file->next_offset++ < file->begin)
        return;
    file->lines[file->end++] = (struct line){.start = file->scanned,
                                             .length = (uint32_t)(end - file->scanned)};
}

/* `searched` remembers how far a long line was looked through, so that one which arrives in many small reads is not
 * searched from its beginning each time. */
static void find_lines(struct file_source *file)
{
    while (file->end < LINES && file->searched < file->filled) {
        char *newline = memchr(file->buffer + file->searched, '\n', file->filled - file->searched);
        if (!newline) {
            file->searched = file->filled;
            return;
        }
        add_line(file, (size_t)(newline - file->buffer));
        file->scanned = file->searched = (size_t)(newline - file->buffer) + 1;
    }
}

/* It is called only when all lines given out before were taken, since reading more may move the buffer. Lines are
 * looked for before anything is read, as one read(2) may have brought more than LINES of them. */
static void fetch_lines(struct file_source *file)
{
    file->first = file->end = 0;
    find_lines(file);
    while (file->end == 0 && read_more(file))
        find_lines(file);
    if (file->end == 0 && file->over && file->failure == TIDE_OK && file->scanned < file->filled) {
        add_line(file, file->filled); /* the last line, without a newline */
        file->scanned = file->searched = file->filled;
    }
}

/* A compressed file has newlines too, but no messages between them; that is a mistake which is hard to see from the
 * output. */
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

/* O_NONBLOCK is for a named pipe, whose open(2) would wait for a writer. A folder can be opened too, and would fail
 * only at its first read(2), when the run has begun. */
static int source_start(struct tide_source *source)
{
    struct file_source *file = source_of(source);
    struct stat about;
    bool standard = strcmp(file->path, "-") == 0;
    file->fd = standard ? STDIN_FILENO : open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &about) < 0)
        return tide_fail(TIDE_ENOINPUT, "cannot open %s: %s", file->path, strerror(errno));
    /* The program opens /dev/null in place of a closed standard input, for writing (main.c); without this check that
     * would be an empty input. */
    if (standard && (fcntl(file->fd, F_GETFL) & O_ACCMODE) == O_WRONLY)
        return tide_fail(TIDE_ENOINPUT, "standard input is closed, or not open for reading");
    if (S_ISDIR(about.st_mode))
        return tide_fail(TIDE_ENOINPUT, "%s is a folder", file->path);
    file->regular = S_ISREG(about.st_mode);
    if (file->regular)
        hint_at_compression(file);
    file->partition.owned = true;
    file->due = DUE_ASSIGNED;
    return TIDE_OK;
}

/* What was not taken is returned again from `first` on, as io/source.h asks for. */
static ssize_t source_poll(struct tide_source *source, struct tide_message *messages, size_t max)
{
    struct file_source *file = source_of(source);
    if (file->due & DUE_ASSIGNED || file->paused || file->closed || file->failure < 0)
        return 0;
    if (file->first == file->end)
        fetch_lines(file);
    if (!file->regular) /* of a pipe that is all there is now */
        file->partition.end = file->next_offset;
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

static void source_take(struct tide_source *source, size_t count)
{
    struct file_source *file = source_of(source);
    tide_require(count <= file->end - file->first);
    file->first += (uint32_t)count;
}

static bool take_due(struct file_source *file, unsigned event)
{
    bool due = file->due & event;
    file->due &= ~event;
    return due;
}

/* The end is reported once every line was taken, not once it was read: what the step did not take is offered again. */
static void source_event(struct tide_source *source, struct tide_source_event *event)
{
    static const uint32_t only = 0;
    struct file_source *file = source_of(source);
    *event = (struct tide_source_event){.kind = TIDE_SOURCE_NOTHING};
    if (file->over && !file->end_reported && file->failure == TIDE_OK && file->first == file->end &&
        file->scanned == file->filled) {
        file->partition.end = file->next_offset;
        file->end_reported = true;
        file->due |= DUE_END;
        if (file->next_offset < file->begin)
            set_failure(file, tide_fail(TIDE_EDATA,
                                        "%s has %lld lines, and state_dir holds the state after "
                                        "%lld of them: it was cut off; with another state_dir the "
                                        "state begins anew",
                                        file->path, (long long)file->next_offset,
                                        (long long)file->begin));
    }
    if (take_due(file, DUE_ASSIGNED))
        *event = (struct tide_source_event){
            .kind = TIDE_SOURCE_ASSIGNED, .partitions = &only, .partition_count = 1};
    else if (take_due(file, DUE_COMMITTED))
        event->kind = TIDE_SOURCE_COMMITTED;
    else if (take_due(file, DUE_FAILED))
        *event = (struct tide_source_event){
            .kind = TIDE_SOURCE_FAILED, .status = file->failure, .text = file->failure_text};
    else if (take_due(file, DUE_END))
        event->kind = TIDE_SOURCE_END;
}

static void source_revoke_done(struct tide_source *source)
{
    (void)source; /* a file is never revoked, so this is never called */
}

/* There is nowhere to keep a position, but the engine waits for an answer, without which its last commit would wait
 * for the time limit. */
static int source_commit(struct tide_source *source, const struct tide_position *positions,
                         size_t count)
{
    (void)positions;
    (void)count;
    source_of(source)->due |= DUE_COMMITTED;
    return TIDE_OK;
}

/* That is enough: a file is only read in poll, and the writer of a pipe waits once that is full. */
static void source_pause(struct tide_source *source, bool paused)
{
    source_of(source)->paused = paused;
}

/* There is no group to leave, so the source is closed at once. */
static void source_close(struct tide_source *source)
{
    source_of(source)->closed = true;
}

static bool source_closed(struct tide_source *source)
{
    return source_of(source)->closed;
}

static void source_free(struct tide_source *source)
{
    struct file_source *file = source_of(source);
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
    .start = source_start,
    .poll = source_poll,
    .take = source_take,
    .event = source_event,
    .revoke_done = source_revoke_done,
    .commit = source_commit,
    .pause = source_pause,
    .close = source_close,
    .closed = source_closed,
    .free = source_free,
};

void tide_file_source_begin(struct tide_source *source, int64_t offset)
{
    source_of(source)->begin = offset;
}

const char *tide_file_source_path(const struct tide_source *source)
{
    return ((const struct file_source *)(const void *)source)->path;
}

struct tide_source *tide_file_source_new(const struct tide_source_plan *plan,
                                         struct tide_topics *topics, struct tide_loop *loop)
{
    const char *slash = strrchr(plan->path, '/');
    const char *name = plan->topic_count > 0          ? plan->topics[0]
                       : strcmp(plan->path, "-") == 0 ? "stdin"
                                                      : (slash ? slash + 1 : plan->path);
    /* The file's name stands in for the topic wherever a message is named, in the log and in dead letters. */
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
