/* SPDX-License-Identifier: MIT
 * seccomp: which system calls user code makes. The filter of the zygote names what is allowed, so that a call that a newer
 * kernel brings is refused until somebody has thought about it. It is made by libseccomp, as a search tree; calls that are
 * allowed whatever their arguments are cost nothing, since the kernel keeps a bitmap of them. The filter of a worker is added
 * by hand: it is always the same few instructions, and must not cost time when a worker starts.
 *
 * A filter sees numbers and not what a pointer points to. So calls whose flags are in memory (clone3, openat2) are said not to
 * be there, and the C library then takes the older ones, whose flags can be looked at.
 *
 * Signals are the one thing that cannot be told apart by a filter: the number of a worker's own process is not known when the
 * filter is made. Where Landlock keeps signals inside the sandbox they are allowed; elsewhere no process in it may send any,
 * not even to itself, and abort() ends it by SIGSEGV.
 *
 * Start with tide_sandbox_calls_zygote(). */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/status.h"
#include "proc/sandbox_inside.h"

#define TERMINAL_SETTINGS                                                                          \
    0x802c542au /* TCGETS2, whose header cannot be included beside the C library's */
#define WHOLE TIDE_FILTER_WHOLE

enum {
    NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                     CLONE_NEWPID | CLONE_NEWNET,
    FORK = CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD /* what fork() passes to clone */
};

/* Allowed whatever the arguments are. Memory, threads, time, and descriptors that are open already. */
static const char allowed[] =
    "brk mmap mmap2 munmap mremap mprotect madvise mlock mlock2 munlock mlockall munlockall msync "
    "mincore "
    "membarrier pkey_alloc pkey_free pkey_mprotect mbind get_mempolicy set_mempolicy "
    "arch_prctl set_thread_area get_thread_area set_tid_address set_robust_list get_robust_list "
    "rseq "
    "futex futex_waitv futex_wait futex_wake futex_requeue futex_time64 restart_syscall "
    "exit exit_group wait4 waitid waitpid "
    "rt_sigaction rt_sigprocmask rt_sigpending rt_sigreturn rt_sigsuspend rt_sigtimedwait "
    "rt_sigtimedwait_time64 sigaltstack sigreturn pause alarm signalfd signalfd4 "
    "clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep "
    "clock_nanosleep_time64 nanosleep gettimeofday time times getitimer setitimer timer_create "
    "timer_delete timer_getoverrun timer_gettime timer_settime timer_gettime64 timer_settime64 "
    "timerfd_create timerfd_gettime timerfd_settime timerfd_gettime64 timerfd_settime64 "
    "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek close "
    "close_range dup dup2 dup3 fsync fdatasync sync_file_range fadvise64 fadvise64_64 readahead "
    "fallocate ftruncate ftruncate64 flock sendfile sendfile64 copy_file_range pipe pipe2 "
    "eventfd eventfd2 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old "
    "epoll_pwait epoll_pwait2 poll ppoll ppoll_time64 select pselect6 pselect6_time64 _newselect "
    "getrandom uname sysinfo getcpu getrusage getrlimit ugetrlimit setrlimit getpriority "
    "sched_yield "
    "sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_get_priority_max "
    "sched_get_priority_min sched_rr_get_interval ioprio_get "
    "getpid getppid gettid getpgid getpgrp getsid getuid geteuid getgid getegid getuid32 geteuid32 "
    "getgid32 getegid32 getgroups getgroups32 getresuid getresgid getresuid32 getresgid32 capget "
    "umask "
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp "
    /* files by their paths, which is for Landlock to judge, and what they are */
    "access faccessat faccessat2 stat lstat fstat newfstatat stat64 lstat64 fstat64 fstatat64 "
    "statx "
    "statfs fstatfs statfs64 fstatfs64 readlink readlinkat getdents getdents64 getcwd chdir fchdir "
    "getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr cachestat "
    /* sockets that are open already */
    "accept accept4 recvfrom recvmsg recvmmsg recvmmsg_time64 shutdown "
    "getsockname getpeername getsockopt";

/* Changes to folders. Without Landlock they are left out where nothing may be written. */
static const char of_folders[] =
    "creat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat";

static const char of_signals[] =
    "kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_send_signal";

/* Calls whose flags cannot be seen. */
static const char not_there[] = "clone3 openat2";

/* One call that is allowed with some of its arguments: where (mask & argument) is the value. */
struct rule {
    const char *call;
    uint32_t argument;
    uint64_t mask;
    uint64_t value;
};

/* What others could be sent a signal by (F_SETOWN, FIOSETOWN), or be slowed down by, is not among these. O_TRUNC changes a
 * file that is opened for reading only, of which Landlock knows nothing before its third version. */
static const struct rule rules[] = {
    {"clone", 0, WHOLE, FORK},
    {"clone", 0, CLONE_THREAD | NEW_NAMESPACES, CLONE_THREAD},
    {"open", 1, O_TRUNC, 0},
    {"open", 1, O_ACCMODE, O_WRONLY},
    {"open", 1, O_ACCMODE, O_RDWR},
    {"openat", 2, O_TRUNC, 0},
    {"openat", 2, O_ACCMODE, O_WRONLY},
    {"openat", 2, O_ACCMODE, O_RDWR},
    {"fcntl", 1, WHOLE, F_DUPFD},
    {"fcntl", 1, WHOLE, F_DUPFD_CLOEXEC},
    {"fcntl", 1, WHOLE, F_GETFD},
    {"fcntl", 1, WHOLE, F_SETFD},
    {"fcntl", 1, WHOLE, F_GETFL},
    {"fcntl", 1, WHOLE, F_SETFL},
    {"fcntl", 1, WHOLE, F_GETLK},
    {"fcntl", 1, WHOLE, F_SETLK},
    {"fcntl", 1, WHOLE, F_SETLKW},
    {"fcntl", 1, WHOLE, F_OFD_GETLK},
    {"fcntl", 1, WHOLE, F_OFD_SETLK},
    {"fcntl", 1, WHOLE, F_OFD_SETLKW},
    {"fcntl", 1, WHOLE, F_GETPIPE_SZ},
    {"fcntl", 1, WHOLE, F_SETPIPE_SZ},
    {"fcntl", 1, WHOLE, F_GET_SEALS},
    {"ioctl", 1, WHOLE, TCGETS},
    {"ioctl", 1, WHOLE, TERMINAL_SETTINGS},
    {"ioctl", 1, WHOLE, TIOCGWINSZ},
    {"ioctl", 1, WHOLE, FIONREAD},
    {"ioctl", 1, WHOLE, FIONBIO},
    {"ioctl", 1, WHOLE, FIOCLEX},
    {"ioctl", 1, WHOLE, FIONCLEX},
    {"prctl", 0, WHOLE, PR_GET_PDEATHSIG},
    {"prctl", 0, WHOLE, PR_GET_DUMPABLE},
    {"prctl", 0, WHOLE, PR_SET_DUMPABLE}, /* a worker sets it again, and its own filter ends it */
    {"prctl", 0, WHOLE, PR_GET_NAME},
    {"prctl", 0, WHOLE, PR_SET_NAME},
    {"prctl", 0, WHOLE, PR_GET_SECCOMP},
    {"prctl", 0, WHOLE, PR_CAPBSET_READ},
    {"prctl", 0, WHOLE, PR_GET_TIMERSLACK},
    {"prctl", 0, WHOLE, PR_SET_TIMERSLACK},
    {"prctl", 0, WHOLE, PR_GET_CHILD_SUBREAPER},
    {"prctl", 0, WHOLE, PR_GET_NO_NEW_PRIVS},
    {"prctl", 0, WHOLE, PR_SET_NO_NEW_PRIVS},
    {"prctl", 0, WHOLE, PR_GET_THP_DISABLE},
    {"prctl", 0, WHOLE, PR_SET_THP_DISABLE},
    {"prctl", 0, WHOLE, PR_SET_VMA},
    {"sched_setaffinity", 0, WHOLE, 0}, /* 0 = the thread itself */
    {"sched_setscheduler", 0, WHOLE, 0},
    {"sched_setparam", 0, WHOLE, 0},
    {"sched_setattr", 0, WHOLE, 0},
    {"prlimit64", 0, WHOLE, 0},
    {"personality", 0, WHOLE, WHOLE}, /* only asks */
};

bool tide_sandbox_calls_support(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

static int add_masked(scmp_filter_ctx filter, const struct rule *rule)
{
    struct scmp_arg_cmp argument = {rule->argument, SCMP_CMP_MASKED_EQ, rule->mask, rule->value};
    return tide_filter_add(filter, SCMP_ACT_ALLOW, rule->call, 1, &argument);
}

static bool is_open(const char *call)
{
    return strcmp(call, "open") == 0 || strcmp(call, "openat") == 0;
}

/* Without Landlock the filter can still tell reading from writing, where nothing at all may be written. */
static int add_files(scmp_filter_ctx filter, bool writes)
{
    static const struct rule reading[] = {{"open", 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY},
                                          {"openat", 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY}};
    int status = writes ? tide_filter_add_names(filter, SCMP_ACT_ALLOW, of_folders) : 0;
    for (size_t i = 0; i < sizeof(rules) / sizeof(*rules) && status >= 0; i++) {
        if (writes || !is_open(rules[i].call))
            status = add_masked(filter, &rules[i]);
    }
    for (size_t i = 0; i < 2 && status >= 0 && !writes; i++)
        status = add_masked(filter, &reading[i]);
    return status;
}

/* PDEATHSIG can be set to what it is, which a new worker does, and to nothing else. */
static int add_death(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp death[] = {{0, SCMP_CMP_MASKED_EQ, WHOLE, PR_SET_PDEATHSIG},
                                         {1, SCMP_CMP_MASKED_EQ, WHOLE, SIGKILL}};
    return tide_filter_add(filter, SCMP_ACT_ALLOW, "prctl", 2, death);
}

static bool may_signal(uint32_t landlock)
{
#ifdef TIDE_FAULTS
    /* The fault points raise signals. An old kernel that one of them plays refuses them all the same. */
    if (tide_sandbox_files_support() < TIDE_LANDLOCK_SIGNALS)
        return true;
#endif
    return landlock >= TIDE_LANDLOCK_SIGNALS;
}

/* `further`: calls that are allowed as well. */
static int add_all(scmp_filter_ctx filter, const struct tide_plan_sandbox *plan, uint32_t landlock,
                   const char *further)
{
    int status = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (status >= 0) /* the same calls by the numbers of another kind of processor */
        status = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
    if (status >= 0)
        status = tide_filter_add_names(filter, SCMP_ACT_ERRNO(ENOSYS), not_there);
    if (status >= 0)
        status = tide_filter_add_names(filter, SCMP_ACT_ALLOW, allowed);
    if (status >= 0)
        status = tide_filter_add_names(filter, SCMP_ACT_ALLOW, further);
    if (status >= 0)
        status = tide_filter_add_sockets(filter, plan);
    if (status >= 0)
        status = add_files(filter, landlock > 0 || tide_sandbox_writes(plan));
    if (status >= 0)
        status = add_death(filter);
    if (status >= 0 && may_signal(landlock))
        status = tide_filter_add_names(filter, SCMP_ACT_ALLOW, of_signals);
    return status;
}

static int load(const struct tide_plan_sandbox *plan, uint32_t landlock, const char *further)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int status = filter ? add_all(filter, plan, landlock, further) : -ENOMEM;
    if (status >= 0)
        status = seccomp_load(filter);
    if (filter)
        seccomp_release(filter);
    if (status >= 0)
        return TIDE_OK;
    return tide_fail(TIDE_EINTERNAL, "the filter of system calls: %s", strerror(-status));
}

int tide_sandbox_calls_zygote(const struct tide_plan_sandbox *plan, uint32_t landlock)
{
    return load(plan, landlock, "");
}

int tide_sandbox_calls_connector(const struct tide_plan_sandbox *plan, uint32_t landlock)
{
    return load(plan, landlock, "socketpair");
}

#define ARGUMENT(n) ((uint32_t)(offsetof(struct seccomp_data, args) + sizeof(uint64_t) * (n)))
#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset)
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define UNLESS_BIT(value, skip) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, value, 0, skip)

/* The filter of the zygote holds as well, and has refused other kinds of processors. A limit is set by prlimit64 where its
 * third argument is no null pointer; its halves are looked at one after the other. */
int tide_sandbox_calls_worker(void)
{
    struct sock_filter code[] = {
        LOAD(offsetof(struct seccomp_data, nr)),
        UNLESS(__NR_clone, 4),
        LOAD(ARGUMENT(0)),
        UNLESS_BIT(CLONE_THREAD, 1),
        ALLOW,
        REFUSE,
        UNLESS(__NR_prctl, 6),
        LOAD(ARGUMENT(0)),
        UNLESS(PR_SET_PDEATHSIG, 1),
        REFUSE,
        UNLESS(PR_SET_DUMPABLE, 1),
        REFUSE,
        ALLOW,
        UNLESS(__NR_prlimit64, 6),
        LOAD(ARGUMENT(2)),
        UNLESS(0, 3),
        LOAD(ARGUMENT(2) + 4),
        UNLESS(0, 1),
        ALLOW,
        REFUSE,
        UNLESS(__NR_setrlimit, 1),
        REFUSE,
        UNLESS(__NR_seccomp, 1),
        REFUSE,
        UNLESS(__NR_landlock_restrict_self, 1),
        REFUSE,
        ALLOW,
    };
    const struct sock_fprog program = {sizeof(code) / sizeof(*code), code};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
        return tide_fail_system("the filter of system calls of a worker");
    return TIDE_OK;
}
