/* SPDX-License-Identifier: MIT
 * What the zygote gives up about itself before it loads user code: what lies in its memory and descriptors by accident of
 * being a copy of the engine, and what a capability would let it do. Start with tide_sandbox_privileges(). */
#include <errno.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/sandbox_inside.h"

static bool is_kept(const struct tide_plan_sandbox *plan, const char *variable)
{
    static const char *const always[] = {"TZ", "LANG", "LANGUAGE"};
    size_t length = strcspn(variable, "=");
    if (strncmp(variable, "LC_", 3) == 0)
        return true;
    for (size_t i = 0; i < sizeof(always) / sizeof(*always); i++) {
        if (strlen(always[i]) == length && strncmp(variable, always[i], length) == 0)
            return true;
    }
    for (uint32_t i = 0; i < plan->env_count; i++) {
        if (strlen(plan->env[i]) == length && strncmp(variable, plan->env[i], length) == 0)
            return true;
    }
    return false;
}

/* The bytes are overwritten and not only forgotten, since user code can read all memory of its process, and /proc shows
 * them too. */
void tide_sandbox_environment(const struct tide_plan_sandbox *plan)
{
    char **to = environ;
    for (char **from = environ; from && *from; from++) {
        if (is_kept(plan, *from))
            *to++ = *from;
        else
            explicit_bzero(*from, strlen(*from));
    }
    if (to)
        *to = NULL;
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_between(int first, int last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    struct rlimit limit; /* an older kernel */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && (rlim_t)last > limit.rlim_cur)
        last = (int)limit.rlim_cur;
    for (int fd = first; fd <= last; fd++)
        close(fd);
}

void tide_sandbox_descriptors(const int *keep, uint32_t keep_count)
{
    int *sorted = tide_alloc(sizeof(int) * (keep_count + 1));
    int next = STDERR_FILENO + 1;
    memcpy(sorted, keep, sizeof(int) * keep_count);
    qsort(sorted, keep_count, sizeof(int), by_number);
    for (uint32_t i = 0; i < keep_count; i++) {
        if (sorted[i] < next)
            continue;
        close_between(next, sorted[i] - 1);
        next = sorted[i] + 1;
    }
    close_between(next, INT32_MAX);
    free(sorted);
}

/* Dropping from the bounding set needs a capability itself, so it fails for most users, who have nothing to drop. */
static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2] = {{0}, {0}};
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
        prctl(PR_CAPBSET_DROP, capability);
    if (syscall(SYS_capset, &header, none) < 0)
        return tide_fail_system("dropping the capabilities of the zygote");
    return TIDE_OK;
}

/* A core goes to a program of the system in spite of a limit of 0, but never from a process that is not dumpable. */
void tide_sandbox_undumpable(void)
{
    struct rlimit core = {0, 0};
    getrlimit(RLIMIT_CORE, &core);
    if (core.rlim_cur == 0) /* else cores are asked for (limits.c) */
        prctl(PR_SET_DUMPABLE, 0);
}

int tide_sandbox_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return tide_fail_system("no_new_privs for the zygote");
    tide_sandbox_undumpable();
    return drop_capabilities();
}
