/* SPDX-License-Identifier: MIT
 * The last words of a process that crashes. A core file would tell more, but it holds the messages of others, fills disks,
 * and needs a debugger; who reads a dead letter wants the line of the script. So the process looks at itself, in the signal
 * handler, and sends what it finds as text.
 *
 * What it looks at may be broken, so nothing in it is relied on: the handler has a stack of its own (the usual one may be
 * full), each part runs under sigsetjmp (a second fault ends that part alone) and under two timers (it may hang in a loop, or
 * at a lock), nothing is allocated, and the signal that ends the process is the one that came. The frames are found by the
 * compiler's unwinder, names by dladdr(): it takes a lock, which is recursive, and the timers cover what another thread may
 * hold.
 *
 * The line of the script: code that LuaJIT interprets leaves its frames where lua_getstack() finds them
 * (lua/tidemill/run/stack.c). Compiled code does not write them, so for it there is a list of what was compiled from where
 * (tide_crash_compiled), in which the native frames are looked up. It names the line at which the compiled piece begins. A
 * message that crashes is run once more, alone, in a fresh worker, which interprets it unless it loops: so the dead letter
 * mostly has the exact line. Start with on_crash(). */
#include "proc/crash.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "base/signal_name.h"
#include "proc/inside.h"

enum {
    STACK_BYTES = 128 * 1024,
    MOST_FRAMES =
        128, /* that are walked: code that calls itself without end fills the stack with its own */
    MOST_SHOWN = 8,
    SCRIPT_BYTES = 560,   /* of the text: the rest is for the native frames */
    PATIENCE_US = 200000, /* for one part: processor time, of which a busy machine has little */
    PATIENCE_S = 1,       /* for one part that waits */
    MOST_COMPILED = 4096  /* pieces; LuaJIT's maxtrace (run/worker.lua) is below */
};

static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};

/* A piece of compiled code, in the order in which they were made. */
struct compiled {
    uintptr_t begin;
    uintptr_t end;
    char place[96];
};

static struct {
    pid_t process; /* that watches; one that a transform forked has nothing to say to the engine */
    int socket;
    union {
        struct tide_zygote_event event;
        struct tide_crash_report report;
    } message; /* its text is what `text` writes */
    size_t size;
    struct tide_crash_text text;
    void (*add_frames)(struct tide_crash_text *text);
    const char *functions;     /* that run now */
    struct compiled *compiled; /* NULL = none is known */
    uint32_t compiled_count;

    /* of the handler */
    int begun;
    pid_t thread;
    sigjmp_buf back;
    volatile sig_atomic_t guarded; /* a fault goes to `back` */
    uintptr_t frames[MOST_FRAMES];
    int frame_count;
    uintptr_t at;    /* where it happened */
    const void *top; /* of the stack by then */
} crash = {.socket = -1};

/* ---- text ---- */

void tide_crash_add(struct tide_crash_text *text, const char *string)
{
    for (; *string && text->length + 1 < text->room; string++)
        text->bytes[text->length++] = *string;
    text->bytes[text->length] = 0;
}

void tide_crash_add_number(struct tide_crash_text *text, uint64_t number, unsigned base)
{
    char digits[24];
    char *at = digits + sizeof(digits) - 1;
    *at = 0;
    do
        *--at = "0123456789abcdef"[number % base];
    while ((number /= base) > 0);
    tide_crash_add(text, base == 16 ? "0x" : "");
    tide_crash_add(text, at);
}

/* ---- what was compiled ---- */

/* The table is made when it is first needed, by one that is no signal handler. */
void tide_crash_compiled(uint64_t address, uint64_t size, const char *place)
{
    if (!crash.compiled)
        crash.compiled = calloc(MOST_COMPILED, sizeof(*crash.compiled));
    if (!crash.compiled || crash.compiled_count == MOST_COMPILED)
        return;
    struct compiled *piece = &crash.compiled[crash.compiled_count++];
    piece->begin = (uintptr_t)address;
    piece->end = (uintptr_t)(address + size);
    strncpy(piece->place, place, sizeof(piece->place) - 1);
}

void tide_crash_forget_compiled(void)
{
    crash.compiled_count = 0;
}

void tide_crash_functions(const char *functions)
{
    crash.functions = functions;
}

void tide_crash_script(void (*add_frames)(struct tide_crash_text *text))
{
    crash.add_frames = add_frames;
}

/* The newest piece at an address is the one that is there. */
static const struct compiled *compiled_at(uintptr_t address)
{
    for (uint32_t i = crash.compiled_count; i-- > 0;) {
        if (address >= crash.compiled[i].begin && address <= crash.compiled[i].end)
            return &crash.compiled[i];
    }
    return NULL;
}

/* ---- the parts of the text ---- */

static void add_cause(int number, const siginfo_t *info)
{
    const char *name = number == SIGXCPU ? NULL : tide_signal_name(number);
    tide_crash_add(&crash.text, name ? "SIG" : "killed at a limit of time");
    tide_crash_add(&crash.text, name ? name : "");
    if ((number == SIGSEGV || number == SIGBUS) && info->si_code > 0) {
        tide_crash_add(&crash.text, ", address ");
        tide_crash_add_number(&crash.text, (uint64_t)(uintptr_t)info->si_addr, 16);
    }
}

static void look_at(const ucontext_t *context)
{
#if defined(__x86_64__)
    crash.at = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    crash.top = (const void *)(uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    crash.at = (uintptr_t)context->uc_mcontext.pc;
    crash.top = (const void *)(uintptr_t)context->uc_mcontext.sp;
#else
    (void)context;
#endif
}

/* Called for each frame, innermost first. Those of this handler are left out. Compiled code is the end, since nobody can
 * find the frames below it. */
static _Unwind_Reason_Code take_frame(struct _Unwind_Context *context, void *unused)
{
    uintptr_t address = (uintptr_t)_Unwind_GetIP(context);
    (void)unused;
    if (address == crash.at)
        crash.frame_count = 0;
    if (crash.frame_count == MOST_FRAMES)
        return _URC_END_OF_STACK;
    crash.frames[crash.frame_count++] = address;
    return compiled_at(address) ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* A jump to nowhere has no frame, but it left the place that it came from on top of the stack. */
static void find_frames(void)
{
    _Unwind_Backtrace(take_frame, NULL);
    if (crash.frame_count > 0 && crash.frames[0] == crash.at)
        return;
    crash.frame_count = 1;
    crash.frames[0] = crash.at;
    memcpy(&crash.frames[1], crash.top, sizeof(crash.frames[1]));
    crash.frame_count = 2;
}

static void add_compiled(const struct compiled *piece)
{
    bool ours = strstr(piece->place, "[tidemill]") != NULL;
    tide_crash_add(&crash.text, "\n\t");
    tide_crash_add(&crash.text, ours ? (crash.functions ? crash.functions : "?") : piece->place);
    tide_crash_add(&crash.text, ours ? ": in compiled code of this, at a line that is not known"
                                     : ": in compiled code that begins there");
}

static void add_script(void)
{
    const struct compiled *piece = NULL;
    size_t room = crash.text.room, most = crash.text.length + SCRIPT_BYTES;
    crash.text.room = most < room ? most : room;
    for (int i = 0; i < crash.frame_count && !piece; i++)
        piece = compiled_at(crash.frames[i]);
    if (piece)
        add_compiled(piece);
    else if (crash.add_frames)
        crash.add_frames(&crash.text);
    crash.text.room = room;
}

/* A frame is the address behind its call, which may be the first one of another function; the innermost is no call. */
static bool add_frame(int index)
{
    Dl_info info;
    uintptr_t address = crash.frames[index] - (index > 0 ? 1 : 0);
    bool known = dladdr((void *)address, &info) != 0 && info.dli_fname;
    const char *slash = known ? strrchr(info.dli_fname, '/') : NULL;
    const char *module = !known ? "" : slash ? slash + 1 : info.dli_fname;
    bool compiled = !known && compiled_at(address);
    tide_crash_add(&crash.text, "\n\t");
    tide_crash_add(&crash.text, known ? module : compiled ? "[compiled Lua]" : "[no module]");
    if (known && info.dli_sname) {
        tide_crash_add(&crash.text, ": ");
        tide_crash_add(&crash.text, info.dli_sname);
    }
    if (!compiled) {
        uintptr_t base = !known ? 0 : (uintptr_t)(info.dli_sname ? info.dli_saddr : info.dli_fbase);
        tide_crash_add(&crash.text, known ? "+" : " at ");
        tide_crash_add_number(&crash.text, address + (index > 0 ? 1 : 0) - base, 16);
    }
    /* What lies below is the interpreter and this program. */
    return !compiled && strncmp(module, "libluajit", 9) != 0 && strncmp(module, "luajit", 6) != 0;
}

static void add_native(void)
{
    int shown = 0;
    tide_crash_add(&crash.text, "\n  native:");
    while (shown < crash.frame_count && shown < MOST_SHOWN && add_frame(shown))
        shown++;
    if (shown == MOST_SHOWN)
        tide_crash_add(&crash.text, "\n\t...");
}

static void send_text(void)
{
    if (getpid() == crash.process)
        (void)send(crash.socket, &crash.message, crash.size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- the handlers ---- */

static void wait_at_most(int64_t seconds, int64_t processor_us)
{
    struct itimerval real = {.it_value = {.tv_sec = seconds}},
                     processor = {.it_value = {.tv_usec = processor_us}};
    setitimer(ITIMER_REAL, &real, NULL);
    setitimer(ITIMER_PROF, &processor, NULL);
}

/* Runs a part, or as much of it as can be run. */
static void attempt(void (*part)(void))
{
    if (sigsetjmp(crash.back, 1) == 0) {
        crash.guarded = 1;
        wait_at_most(PATIENCE_S, PATIENCE_US);
        part();
    }
    wait_at_most(0, 0);
    crash.guarded = 0;
}

/* The signal of a timer comes to any thread. */
static void on_patience(int number)
{
    if (gettid() == crash.thread && crash.guarded)
        siglongjmp(crash.back, 1);
    else if (gettid() != crash.thread && crash.guarded)
        tgkill(getpid(), crash.thread, number);
}

static _Noreturn void die_of(int number)
{
    sigset_t set;
    int last = number == SIGXCPU ? SIGKILL : number;
    signal(last, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, last);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    raise(last);
    /* Where the sandbox lets nobody send signals (sandbox_calls.c), a fault is left. */
    volatile char *volatile nowhere = NULL;
    signal(SIGSEGV, SIG_DFL);
    *nowhere = 0;        /* NOLINT(clang-analyzer-core.NullDereference): it is meant to be one */
    _exit(128 + number); /* not reached */
}

/* When memory is the cause, the process leaves in its own way (guard.c). Another thread that crashes meanwhile waits for
 * the end. */
static void on_crash(int number, siginfo_t *info, void *context)
{
    if (crash.guarded && gettid() == crash.thread)
        siglongjmp(crash.back, 1);
    if (number != SIGXCPU)
        tide_guard_leave_if_scarce();
    if (__atomic_exchange_n(&crash.begun, 1, __ATOMIC_SEQ_CST)) {
        while (gettid() != crash.thread)
            pause();
        die_of(number);
    }
    crash.thread = gettid();
    signal(SIGALRM, on_patience);
    signal(SIGPROF, on_patience);
    look_at(context);
    add_cause(number, info);
    attempt(find_frames);
    attempt(add_script);
    attempt(add_native);
    send_text();
    die_of(number);
}

/* SA_NODEFER: a fault in the handler must come to the handler. The stack belongs to the thread; those that a transform
 * starts have none, and only lose what they overflow. */
static void set_handlers(void)
{
    static char stack[STACK_BYTES];
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof(stack)}, NULL);
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(fatal) / sizeof(*fatal); i++)
        sigaction(fatal[i], &action, NULL);
    sigaction(SIGXCPU, &action, NULL);
}

static _Unwind_Reason_Code take_none(struct _Unwind_Context *context, void *unused)
{
    (void)context;
    (void)unused;
    return _URC_END_OF_STACK;
}

/* What the unwinder's first call looks for, later ones know. It goes no further than this function: a compiled piece of Lua
 * may have called the engine, and the unwinder calls abort() in the frames below such a piece. */
static void watch(int socket, size_t size, char *text, size_t room)
{
    _Unwind_Backtrace(take_none, NULL);
    crash.process = getpid();
    crash.socket = socket;
    crash.size = size;
    crash.text = (struct tide_crash_text){.bytes = text, .room = room};
    set_handlers();
}

void tide_crash_watch_zygote(const struct tide_zygote *zygote)
{
    struct tide_zygote_event *event = &crash.message.event;
    *event = (struct tide_zygote_event){.kind = TIDE_ZYGOTE_CRASHED};
    watch(zygote->zygote_end, sizeof(*event), event->text, sizeof(event->text));
}

void tide_crash_watch_worker(const struct tide_zygote *zygote)
{
    struct tide_crash_report *report = &crash.message.report;
    *report = (struct tide_crash_report){.generation = zygote->generation};
    watch(zygote->own, sizeof(*report), report->text, sizeof(report->text));
}
