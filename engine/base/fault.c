/* SPDX-License-Identifier: MIT
 * The table of armed faults lies in memory that is shared with all processes forked later: so the passes through a point
 * are counted over all of them, and arming a fault after the fork reaches the workers. It is mapped before main(), by a
 * constructor, since no call of ours comes before the first fault point. Start with tide_fault_pass(). */
#include "base/fault.h"

#include "base/status.h"

#ifdef TIDE_FAULTS
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The sizes are fixed, since the table is mapped once, before anybody has said how many faults there will be, and
 * processes that are forked already would not see it grow. */
enum { MOST = 32, LONGEST_NAME = 64, LONGEST_PATH = 128, MIB = 1 << 20, OOM_MIB = 1024 };

enum action { KILL9, STOP, SEGV, ABORT, EXIT, DELAY, OOM, ERRNO, BUG, GATE, SHUT, ACTIONS };
static const char *const action_names[ACTIONS] = {
    "kill9", "stop", "segv", "abort", "exit", "delay", "oom", "errno", "bug", "gate", "shut"};

struct armed {
    char name[LONGEST_NAME];
    uint64_t at;
    bool onwards; /* at hit `at` and at all that follow, not at that one alone */
    enum action action;
    int argument;
    char path[LONGEST_PATH];
    uint64_t hits;
};

struct table {
    uint32_t count;
    struct armed list[MOST];
};

static struct table *table;

static struct armed *find_armed(const char *name)
{
    for (uint32_t i = 0; table && i < MOST && i < table->count; i++) {
        if (strncmp(table->list[i].name, name, sizeof(table->list[i].name)) == 0)
            return &table->list[i];
    }
    return NULL;
}

static void die_of_signal(int number)
{
    signal(number, SIG_DFL); /* a sanitizer's handler would turn the signal into an exit code */
    raise(number);
}

/* The memory is asked of tide_alloc, so that a refusal ends this process as a real shortage does, with the exit code
 * that a worker has for it. The bound is for a process without a limit: there a test must not take the memory of all
 * others. */
static void use_up_memory(void)
{
    for (int i = 0; i < OOM_MIB; i++)
        memset(tide_alloc(MIB), 1, MIB);
    _exit(-TIDE_EINTERNAL);
}

static void wait_for(const struct timespec *time)
{
    struct timespec left = *time;
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

/* A spec sees by the first file that this process is here, and lets it go on by the second. */
static void wait_at_gate(const char *path)
{
    static const struct timespec moment = {0, 5000000};
    char reached[LONGEST_PATH + sizeof(".reached")];
    snprintf(reached, sizeof(reached), "%s.reached", path);
    int file = open(reached, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0)
        close(file);
    while (access(path, F_OK) < 0)
        wait_for(&moment);
}

/* The value is what the fault point becomes. Only ERRNO, BUG and SHUT change what the caller does; after the others the
 * process ends, or goes on as if there were no point. */
static bool act_out(const struct armed *armed)
{
    struct timespec delay = {armed->argument / 1000, armed->argument % 1000 * 1000000L};
    switch (armed->action) {
    case KILL9:
        raise(SIGKILL);
        break;
    case STOP:
        raise(SIGSTOP);
        break;
    case SEGV:
        die_of_signal(SIGSEGV);
        break;
    case ABORT:
        die_of_signal(SIGABRT);
        break;
    case EXIT:
        _exit(armed->argument);
    case DELAY:
        wait_for(&delay);
        break;
    case OOM:
        use_up_memory();
        break;
    case GATE:
        wait_at_gate(armed->path);
        break;
    case SHUT:
        return access(armed->path, F_OK) < 0;
    case ERRNO:
        errno = armed->argument;
        return true;
    default:
        return true;
    }
    return false;
}

/* The addition is atomic, since the engine, the zygote and several workers pass a point at the same time, and exactly
 * one of them has to see hit `at`: otherwise =3:kill9 would end two workers, or none. */
bool tide_fault_pass(const char *name)
{
    struct armed *armed = find_armed(name);
    if (!armed)
        return false;
    uint64_t hit = __atomic_add_fetch(&armed->hits, 1, __ATOMIC_SEQ_CST);
    return (hit == armed->at || (armed->onwards && hit > armed->at)) && act_out(armed);
}

/* Parses one "name=hit:action[:argument]". */
static int read_one(const char *text, struct armed *armed)
{
    char hit[24], action[16];
    int parts = sscanf(text, "%63[^=]=%23[^:]:%15[^:]:%127s", armed->name, hit, action,
                       armed->path);
    char *end = hit, *rest = armed->path;
    armed->at = parts >= 3 ? strtoull(hit, &end, 10) : 0;
    armed->onwards = *end == '+';
    armed->action = ACTIONS;
    for (int i = 0; i < ACTIONS && parts >= 3; i++) {
        if (strcmp(action, action_names[i]) == 0)
            armed->action = (enum action)i;
    }
    /* A fault with an argument too many or too few is refused and not guessed at: a test whose fault does something
     * else than it says would pass for the wrong reason. */
    bool number = armed->action == EXIT || armed->action == DELAY || armed->action == ERRNO;
    bool path = armed->action == GATE || armed->action == SHUT;
    if (number && parts == 4)
        armed->argument = (int)strtol(armed->path, &rest, 10);
    if (armed->at == 0 || end[armed->onwards] != 0 || armed->action == ACTIONS ||
        (parts == 4) != (number || path) || (number && (rest == armed->path || *rest != 0)))
        return tide_fail(TIDE_EUSAGE, "a fault is name=hit:action[:argument], not \"%s\"", text);
    armed->onwards |= armed->action == BUG || armed->action == SHUT;
    return TIDE_OK;
}

static int read_all(char *faults, struct table *read)
{
    char *rest = NULL;
    for (char *one = strtok_r(faults, ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        if (read->count == MOST)
            return tide_fail(TIDE_EUSAGE, "more than %d faults", MOST);
        if (read_one(one, &read->list[read->count++]) < 0)
            return TIDE_EUSAGE;
    }
    return TIDE_OK;
}

int tide_fault_arm(const char *faults)
{
    char *copy = tide_copy(faults);
    struct table *read = tide_alloc(sizeof(*read));
    int status = read_all(copy, read);
    /* Only a list that is right as a whole replaces the old one. */
    if (status == TIDE_OK)
        *table = *read;
    free(read);
    free(copy);
    return status;
}

int64_t tide_fault_hits(const char *name)
{
    const struct armed *armed = find_armed(name);
    return armed ? (int64_t)armed->hits : -1;
}

/* A list that cannot be read ends the program before main(): a spec that goes on without its fault proves nothing. */
static void __attribute__((constructor)) arm_from_environment(void)
{
    const char *faults = getenv("TIDE_FAULTS");
    void *shared = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    if (shared != MAP_FAILED)
        table = shared;
    if (!table || (faults && tide_fault_arm(faults) < 0)) {
        fprintf(stderr, "TIDE_FAULTS: %s\n", table ? tide_error() : strerror(errno));
        _exit(-TIDE_EUSAGE);
    }
}
#endif
