/* SPDX-License-Identifier: MIT
 * Puts the parts of the sandbox together, in an order in which each can still be done: privileges go before the filters,
 * which would refuse to drop them; files come before system calls, which end what a process may say about itself.
 *
 * Two layers, since the zygote has to fork and workers must not. What the zygote may not, no worker may: the kernel hands
 * both filters on to children. So a transform that is hostile while it is loaded has the rights of the zygote, and one that
 * is hostile at a message has those of a worker.
 *
 * Namespaces were not taken: they need privileges that a pipeline does not have on many machines, or a user namespace, whose
 * code in the kernel has been the way out more often than any other. */
#include "proc/sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/status.h"
#include "proc/sandbox_inside.h"

/* A spec plays an older kernel by a fault: its number is the version of Landlock, or ENOSYS (38) for none. */
void tide_sandbox_support(struct tide_sandbox_support *support)
{
    support->seccomp = !tide_fault("sandbox.seccomp") && tide_sandbox_calls_support();
    support->landlock = tide_sandbox_files_support();
    if (tide_fault("sandbox.landlock"))
        support->landlock = errno == ENOSYS ? 0 : (uint32_t)errno;
}

const char *tide_sandbox_gaps(const struct tide_sandbox_support *support,
                              const struct tide_plan_sandbox *plan)
{
    static char text[700];
    if (plan->trust == TIDE_TRUST_FULL || (support->seccomp && support->landlock > 0))
        return NULL;
    snprintf(text, sizeof(text), "this kernel has no %s%s%s: a transform may %s%s%s",
             support->seccomp ? "" : "seccomp",
             support->seccomp || support->landlock ? "" : " and no ",
             support->landlock ? "" : "Landlock",
             support->seccomp ? "" : "start programs, open connections and signal other processes",
             support->seccomp || support->landlock ? "" : ", and ",
             support->landlock   ? ""
             : !support->seccomp ? "read and write files as this user may"
             : tide_sandbox_writes(plan)
                 ? "read and write all files that this user may, and look into "
                   "other workers"
                 : "read all files that this user may, and look into other workers");
    return text;
}

/* Elsewhere connector_client.c does not know where the arguments of a system call are. */
static bool can_list_hosts(const struct tide_sandbox_support *support)
{
#if defined(__x86_64__) || defined(__aarch64__)
    return support->seccomp;
#else
    (void)support;
    return false;
#endif
}

int tide_sandbox_check(const struct tide_sandbox_support *support,
                       const struct tide_plan_sandbox *plan)
{
    if (plan->trust != TIDE_TRUST_FULL && plan->host_count > 0 && !can_list_hosts(support))
        return tide_fail(TIDE_ECONFIG,
                         "network = { ... } needs a kernel with seccomp, on x86-64 or AArch64, "
                         "which this one does not have or has switched off; network = true or "
                         "false runs here");
    if (plan->trust != TIDE_TRUST_HARDENED || (support->seccomp && support->landlock > 0))
        return TIDE_OK;
    return tide_fail(
        TIDE_ECONFIG,
        "trust = \"hardened\" needs a kernel with %s, which this one does not have or has "
        "switched off; trust = \"standard\" runs here, with what this kernel can do",
        support->seccomp ? "Landlock" : "seccomp");
}

static int enter(const struct tide_plan_sandbox *plan, const struct tide_sandbox_support *support,
                 const int *keep, uint32_t keep_count,
                 int (*limit_calls)(const struct tide_plan_sandbox *, uint32_t))
{
    tide_sandbox_descriptors(keep, keep_count);
    tide_sandbox_environment(plan);
    int status = tide_sandbox_privileges();
    if (status == TIDE_OK && support->landlock > 0)
        status = tide_sandbox_files(plan, support->landlock, false);
    if (status == TIDE_OK && support->seccomp)
        status = limit_calls(plan, support->landlock);
    return status;
}

int tide_sandbox_enter_zygote(const struct tide_plan_sandbox *plan,
                              const struct tide_sandbox_support *support, const int *keep,
                              uint32_t keep_count)
{
    if (plan->trust == TIDE_TRUST_FULL)
        return TIDE_OK;
    return enter(plan, support, keep, keep_count, tide_sandbox_calls_zygote);
}

/* It reads how names are looked up, and the libraries that do it. */
int tide_sandbox_enter_connector(const struct tide_sandbox_support *support, const int *keep,
                                 uint32_t keep_count)
{
    static const char *const read[] = {
        "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/run/systemd/resolve", "/run/resolvconf"};
    const struct tide_plan_sandbox plan = {.trust = TIDE_TRUST_STANDARD,
                                           .network = true,
                                           .read = read,
                                           .read_count = sizeof(read) / sizeof(*read)};
    int status = enter(&plan, support, keep, keep_count, tide_sandbox_calls_connector);
    return status == TIDE_OK && support->seccomp ? tide_sandbox_calls_worker() : status;
}

/* The zygote's user code may have called prctl(), so what can be undone there is done again. */
int tide_sandbox_enter_worker(const struct tide_plan_sandbox *plan,
                              const struct tide_sandbox_support *support)
{
    int status = TIDE_OK;
    if (plan->trust == TIDE_TRUST_FULL)
        return TIDE_OK;
    tide_sandbox_undumpable();
    if (support->landlock > 0)
        status = tide_sandbox_files(plan, support->landlock, true);
    return status == TIDE_OK && support->seccomp ? tide_sandbox_calls_worker() : status;
}

static const char *const *copy_list(const char *const *list, uint32_t count)
{
    char **copy = tide_alloc(sizeof(*copy) * (count + 1));
    for (uint32_t i = 0; i < count; i++)
        copy[i] = tide_copy(list[i]);
    return (const char *const *)copy;
}

static void free_list(const char *const *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free((char *)list[i]);
    free((char **)list);
}

void tide_sandbox_plan_copy(struct tide_plan_sandbox *copy, const struct tide_plan_sandbox *plan)
{
    *copy = *plan;
    copy->read = copy_list(plan->read, plan->read_count);
    copy->hosts = copy_list(plan->hosts, plan->host_count);
    copy->write = copy_list(plan->write, plan->write_count);
    copy->env = copy_list(plan->env, plan->env_count);
}

void tide_sandbox_plan_free(struct tide_plan_sandbox *copy)
{
    free_list(copy->read, copy->read_count);
    free_list(copy->hosts, copy->host_count);
    free_list(copy->write, copy->write_count);
    free_list(copy->env, copy->env_count);
}
