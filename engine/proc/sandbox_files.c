/* SPDX-License-Identifier: MIT
 * Landlock: which files user code opens. A layer names folders and files with the rights below them; all else is refused,
 * by whatever path, link or mount it is reached. A layer also puts a process into a domain, and nobody can trace, or read
 * the memory of, a process that is not in its own domain or below it: neither the engine nor, with a layer for each worker,
 * another worker.
 *
 * The C library of Debian 12 has no functions for this, and its headers know the interface as it was at first; newer rights
 * are numbers here. What it does not cover (times and modes of files, say) sandbox_calls.c refuses. Start with
 * tide_sandbox_files(). */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/sandbox_inside.h"

/* In the order of the kernel's header; each version of the interface has all before its own. */
enum {
    RIGHT_REFER = 1 << 13,
    RIGHT_TRUNCATE = 1 << 14,
    RIGHT_IOCTL_DEVICE = 1 << 15,
    ALL_AT_FIRST = (1 << 13) - 1,
    READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    WRITE = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
            LANDLOCK_ACCESS_FS_REMOVE_DIR | RIGHT_REFER | RIGHT_TRUNCATE,
    /* what a rule for a file, and not for a folder, may say */
    OF_A_FILE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE,
    ALL_OF_NETWORK = 3, /* to bind and to connect, TCP */
    ALL_SCOPES = 3      /* abstract UNIX sockets, signals */
};

/* struct landlock_ruleset_attr, as of version 6; older kernels take the beginning. */
struct ruleset {
    uint64_t files;
    uint64_t network;
    uint64_t scopes;
};

/* What the C library and LuaJIT open in any process. */
static const char *const always[] = {
    "/etc/ld.so.cache", "/etc/localtime", "/usr/share/zoneinfo", "/sys/devices/system/cpu",
    "/dev/zero",        "/dev/random",    "/dev/urandom"};
static const char *const for_network[] = {
    "/etc/hosts",    "/etc/host.conf", "/etc/resolv.conf", "/etc/nsswitch.conf",  "/etc/gai.conf",
    "/etc/services", "/etc/protocols", "/etc/ssl/certs",   "/etc/ssl/openssl.cnf"};
/* The numbers of the whole machine, which say nothing of other processes. */
static const char *const of_machine[] = {"/proc/self", "/proc/cpuinfo", "/proc/meminfo",
                                         "/proc/stat", "/proc/uptime",  "/proc/sys/vm"};

#ifdef TIDE_SANITIZED
/* The folder where a sanitizer of this process writes what it finds (scripts/dev/run_specs.sh). It is looked up when the
 * library is loaded, since a worker's environment is taken away later. */
static const char *reports;

__attribute__((constructor)) static void find_reports(void)
{
    const char *path = getenv("TIDE_REPORTS");
    reports = path ? strdup(path) : NULL;
}
#endif

uint32_t tide_sandbox_files_support(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (uint32_t)version : 0;
}

bool tide_sandbox_writes(const struct tide_plan_sandbox *plan)
{
    for (uint32_t i = 0; i < plan->write_count; i++) {
        if (strncmp(plan->write[i], "/dev/", 5) != 0 || strncmp(plan->write[i], "/dev/shm", 8) == 0)
            return true;
    }
    return false;
}

static uint64_t handled_by(uint32_t landlock)
{
    uint64_t rights = ALL_AT_FIRST;
    if (landlock >= TIDE_LANDLOCK_MOVES)
        rights |= RIGHT_REFER;
    if (landlock >= TIDE_LANDLOCK_TRUNCATE)
        rights |= RIGHT_TRUNCATE;
    if (landlock >= TIDE_LANDLOCK_DEVICES)
        rights |= RIGHT_IOCTL_DEVICE;
    return rights;
}

static int make_ruleset(uint32_t landlock, bool network)
{
    struct ruleset rules = {.files = handled_by(landlock)};
    size_t size = sizeof(rules.files);
    if (landlock >= TIDE_LANDLOCK_NETWORK) {
        rules.network = network ? 0 : ALL_OF_NETWORK;
        size += sizeof(rules.network);
    }
    if (landlock >= TIDE_LANDLOCK_SIGNALS) {
        rules.scopes = ALL_SCOPES;
        size += sizeof(rules.scopes);
    }
    return (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
}

/* A path that is not there cannot be granted; whether that is a mistake, the caller knows. */
static int grant(int ruleset, uint32_t landlock, const char *path, uint64_t rights)
{
    struct stat about;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &about) == 0 && !S_ISDIR(about.st_mode))
        rights &= OF_A_FILE;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & handled_by(landlock),
                                              .parent_fd = fd};
    long status = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    int problem = errno;
    close(fd);
    errno = problem;
    return status < 0 ? -1 : 0;
}

static void grant_all(int ruleset, uint32_t landlock, const char *const *paths, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)grant(ruleset, landlock, paths[i], READ);
}

/* Folders of a search path that do not exist are nothing to complain of. A file to write must be there, since a rule is
 * about what exists: the user is told to name its folder. */
static int grant_plan(int ruleset, uint32_t landlock, const struct tide_plan_sandbox *plan)
{
    grant_all(ruleset, landlock, plan->read, plan->read_count);
    for (uint32_t i = 0; i < plan->write_count; i++) {
        if (grant(ruleset, landlock, plan->write[i], WRITE) < 0)
            return tide_fail(
                TIDE_ECONFIG,
                "files.write: %s: %s; a file that does not exist yet is written by naming its "
                "folder",
                plan->write[i], strerror(errno));
    }
    return TIDE_OK;
}

/* The zygote needs all of /proc, as its workers, whose numbers nobody knows yet, read their own folder there. What is
 * private in the folders of others is kept by the rule on tracing. */
static int fill(int ruleset, uint32_t landlock, const struct tide_plan_sandbox *plan, bool worker)
{
    static const char *const proc[] = {"/proc"};
    grant_all(ruleset, landlock, always, sizeof(always) / sizeof(*always));
    if (plan->network || plan->host_count > 0)
        grant_all(ruleset, landlock, for_network, sizeof(for_network) / sizeof(*for_network));
    if (worker)
        grant_all(ruleset, landlock, of_machine, sizeof(of_machine) / sizeof(*of_machine));
    else
        grant_all(ruleset, landlock, proc, 1);
    (void)grant(ruleset, landlock, "/dev/null",
                LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | RIGHT_TRUNCATE);
#ifdef TIDE_SANITIZED
    if (reports)
        (void)grant(ruleset, landlock, reports, WRITE);
#endif
    return grant_plan(ruleset, landlock, plan);
}

int tide_sandbox_files(const struct tide_plan_sandbox *plan, uint32_t landlock, bool worker)
{
    int ruleset = make_ruleset(landlock, plan->network);
    if (ruleset < 0)
        return tide_fail_system("a Landlock ruleset");
    int status = fill(ruleset, landlock, plan, worker);
    if (status == TIDE_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        status = tide_fail_system("entering a Landlock ruleset");
    close(ruleset);
    return status;
}
