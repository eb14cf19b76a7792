/* SPDX-License-Identifier: MIT
 * engine/base/plan.h - a pipeline as plain structs, filled by lua/tidemill/plan. They are valid for the length of the call
 * that they are an argument of; callees copy the strings. Times are in microseconds, sizes in bytes. Lua has checked them,
 * so a value that is out of its range is a bug. */
#ifndef TIDE_BASE_PLAN_H
#define TIDE_BASE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One librdkafka configuration property. */
struct tide_property {
    const char *name;
    const char *value;
};

enum tide_medium { TIDE_MEDIUM_NONE, TIDE_MEDIUM_KAFKA, TIDE_MEDIUM_FILE, TIDE_MEDIUM_MEMORY };
enum tide_reset { TIDE_RESET_ERROR, TIDE_RESET_EARLIEST, TIDE_RESET_LATEST };
enum tide_start {
    TIDE_START_NONE,
    TIDE_START_EARLIEST,
    TIDE_START_LATEST,
    TIDE_START_OFFSET,
    TIDE_START_TIME
};

struct tide_source_plan {
    enum tide_medium medium;
    const char *path; /* file: "-" = standard input */
    const char *const *
        topics; /* Kafka: names, or patterns that begin with ^; file: the topic that messages get */
    uint32_t topic_count;
    const char *const *
        own_topics; /* Kafka: what the pipeline writes to the same brokers; no pattern finds them */
    uint32_t own_topic_count;
    const char *const *
        apart_topics; /* Kafka: what it writes to brokers of another name; they may be the same all the same */
    uint32_t apart_topic_count;
    int64_t discovery_interval_us; /* Kafka: how often new topics and partitions are looked for */
    const char *group;
    const char *instance;  /* NULL, or the static member's name (group.instance.id) */
    enum tide_reset reset; /* for an offset that is out of range, or missing without `start` */
    enum tide_start start; /* where a partition begins that has no committed offset */
    int64_t start_at;      /* OFFSET: the offset; TIME: ms since the epoch */
    bool until_end;        /* stop at the ends that the partitions have at start */
    bool together; /* partition P of all topics belongs to one engine, as all have one state */
    uint32_t partitions; /* memory: how many */
    int64_t timeout_us;  /* broker_timeout */
};

/** A table (tide.table): a topic that is read from its beginning on, or rows that are given (tide_engine_table_row). */
struct tide_table_plan {
    const char *name;
    const char *topic; /* NULL: rows are given */
    const char *
        key_path; /* of the row's key in the message's key, which is JSON; NULL = all of that key */
    bool json;    /* values are JSON; else any bytes */
    uint64_t max_bytes; /* of shared memory */
    int64_t wait_us;    /* how long the start waits until it is complete; 0 = for ever */
};

enum tide_partitioner { TIDE_PARTITION_BY_KEY, TIDE_PARTITION_SAME };
/* RECORDED is JSON with the topic that the message was read from, not the one that it goes to. */
enum tide_output_format { TIDE_OUTPUT_LINES, TIDE_OUTPUT_JSON, TIDE_OUTPUT_RECORDED };

struct tide_sink_plan {
    enum tide_medium medium;
    const char *path;          /* file: "-" = standard output */
    const char *const *topics; /* Kafka: the first is the default */
    uint32_t topic_count;
    enum tide_partitioner partitioner;
    enum tide_output_format format; /* file */
    uint32_t max_messages;          /* in the producer at once; beyond that, backpressure */
    uint64_t max_bytes;
    int64_t timeout_us; /* broker_timeout */
};

enum tide_step_kind {
    TIDE_STEP_TASK,
    TIDE_STEP_REDUCE, /* a task whose results each stand for all messages of their batch */
    TIDE_STEP_NOOP,
    TIDE_STEP_HEALTHCHECK
};

/** The order in which the results of a step leave (chain/task.h). */
enum tide_step_order { TIDE_ORDER_PARTITION, TIDE_ORDER_KEY, TIDE_ORDER_NONE };
/** What the messages of one key have in common. */
enum tide_step_order_by { TIDE_BY_KEY, TIDE_BY_HEADER, TIDE_BY_JSON, TIDE_BY_PARTITION };

/** Where a step with state finds the time of a message (chain/event_time.h). */
enum tide_step_time {
    TIDE_TIME_NONE,
    TIDE_TIME_OF_MESSAGE,
    TIDE_TIME_OF_HEADER,
    TIDE_TIME_OF_JSON
};

/** A step. Its options have the names of those of Arroyo's RunTaskWithMultiprocessing. */
struct tide_step_plan {
    enum tide_step_kind kind;
    const char *path;        /* HEALTHCHECK: the file; NULL otherwise */
    const char *stage;       /* TASK, REDUCE: the stage that its dead letters name */
    uint32_t pool;           /* index into pools */
    uint32_t max_batch_size; /* the largest, when it is automatic */
    int64_t max_batch_time_us;
    int64_t latency_us;        /* what a message may take in this step; 0 = no target */
    uint64_t input_block_size; /* the first size, when it is automatic */
    uint64_t output_block_size;
    uint64_t max_input_block_size;
    uint64_t max_output_block_size;
    bool
        auto_batch; /* of an eager step: batches are kept to what is worth it (chain/task_sizes.c) */
    bool auto_input; /* grows after an overflow, shrinks after a minute */
    bool auto_output;
    bool eager;
    uint32_t prefetch_batches;
    uint32_t crash_retries;
    enum tide_step_order order; /* TASK; a REDUCE has PARTITION */
    enum tide_step_order_by by; /* KEY: what the key is ... */
    const char *by_name; /* ... HEADER: its name; JSON: the path, names with dots between them */
    const char *const *states; /* the names of the states that it keeps by that key ... */
    uint32_t state_count;      /* ... 0 = none, TIDE_STATES_MOST at most (shm/layout.h) ... */
    const char *state_by;      /* ... and the key as the pipeline file says it */
    int64_t state_ttl_ms;      /* a value is gone so long after it was written; 0 = never */
    enum tide_step_time time;  /* with `state`: timers are set in this time ... */
    const char *time_name;     /* ... HEADER: its name; JSON: the path */
    uint32_t time_unit_ms;     /* of a number there */
    int64_t grace_ms;          /* the watermark is so far behind the newest time ... */
    int64_t max_ahead_ms;      /* ... which is at most so far ahead of the clock */
    int64_t idle_us; /* a topic does not hold the others after so long; 0 = it always does */
    int64_t
        clock_us; /* when nothing came for so long, the clock moves the watermark; 0 = it never does */
};

/** The sizes of a step that may change while it runs. Each is at least 1 and at most what the plan has. */
struct tide_sizes {
    uint32_t max_batch_size;
    uint32_t processes; /* of the step's pool */
    int64_t max_batch_time_us;
    uint64_t input_block_size;
    uint64_t output_block_size;
};

enum tide_dlq_kind { TIDE_DLQ_NONE, TIDE_DLQ_TOPIC, TIDE_DLQ_FILE };
struct tide_dlq_plan {
    enum tide_dlq_kind kind;
    const char *target;            /* topic, or path ("-" = standard error) */
    double max_invalid_ratio;      /* of a partition's messages; < 0 = no limit */
    int64_t max_consecutive_count; /* of a partition; < 0 = no limit */
    uint32_t max_buffered;         /* unacknowledged dead letters of a partition; 0 = no limit */
    bool stop_on_failure;          /* when its topic or file fails: stop; else wait and try again */
    bool
        fail_on_too_large; /* a dead letter that is too large for the topic is a failure, and is not cut */
};

/** A share of the batches is run by two revisions before the next one takes over (chain/canary.h). */
struct tide_canary_plan {
    double share; /* 0 = there is no canary */
    bool compare; /* the results, too */
};

/** How a reload is judged (engine_reload.c). */
struct tide_reload_plan {
    struct tide_canary_plan canary; /* where the one who asks for the reload says nothing of it */
    uint64_t canary_messages;       /* it has seen enough after so many of each step, or ... */
    int64_t canary_us;              /* ... after so long */
    int64_t watch_us;               /* it is kept for so long; 0 = not at all */
    uint64_t max_rejected;          /* more messages of a step than this, and ... */
    double max_rejected_ratio;      /* ... a share that is larger by more than this than its own */
};

struct tide_commit_plan {
    bool enabled;
    int64_t min_time_us;   /* commit when this time has passed since the last commit ... */
    uint64_t min_messages; /* ... or when so many messages are complete since; both 0 = at once */
};

/** What each worker of a pool may take, beside worker_memory; 0 = no limit. At the first two it is replaced without a pause
 * (proc/pool_limits.c). */
struct tide_worker_limits {
    uint64_t max_messages;   /* that it runs */
    uint64_t max_growth;     /* bytes of memory more than after its start */
    int64_t max_cpu_time_us; /* for one message; beyond it the worker is killed */
    uint32_t max_open_files; /* at once, beside tidemill's own */
    uint32_t max_log_lines;  /* in a second; those beyond it are dropped */
};

/** What the user's functions may do. Zero is FULL, so a plan that says nothing has no sandbox. */
enum tide_trust {
    TIDE_TRUST_FULL,     /* all that the user may do who runs the program */
    TIDE_TRUST_STANDARD, /* what the sandbox leaves to zygote and workers */
    TIDE_TRUST_HARDENED /* STANDARD, and a Lua environment without libraries that reach out of Lua */
};

/** What stays open to the zygote and the workers under STANDARD and HARDENED. The lists are complete: what the system's
 * libraries need is in them (lua/tidemill/plan/sandbox.lua). A path is absolute and without symbolic links; a folder
 * stands for all that is below it, and a path that is not there is left out. */
struct tide_plan_sandbox {
    uint32_t trust;           /* enum tide_trust */
    bool network;             /* whether they may open sockets, to whatever host */
    const char *const *hosts; /* where `network` is false: "HOST:PORT" or "[IPV6]:PORT"; ... */
    uint32_t host_count;      /* ... to these alone; 0 = to none */
    const char *const *read;  /* what may be read, files to be written too */
    uint32_t read_count;
    const char *const
        *write; /* what may be written; in a folder files may be made, renamed and removed */
    uint32_t write_count;
    const char *const *env; /* the names of the environment variables that stay */
    uint32_t env_count;
};

struct tide_changelog;
struct tide_sink;

struct tide_plan {
    const char *name;
    struct tide_source_plan source;
    struct tide_sink_plan sink; /* medium NONE: results are counted as produced, and thrown away */
    struct tide_dlq_plan dlq;
    struct tide_commit_plan commit;
    struct tide_reload_plan reload;
    const struct tide_table_plan *tables;
    uint32_t table_count;
    const struct tide_step_plan *steps; /* in the order of the stream */
    uint32_t step_count;
    const uint32_t *pools;                   /* the number of processes of each pool, at most ... */
    const uint32_t *pools_begin;             /* ... and at the start; NULL = the same */
    const struct tide_worker_limits *limits; /* of each pool; NULL = none */
    uint32_t pool_count;
    int64_t join_timeout_us;
    int64_t message_timeout_us;
    int64_t
        start_timeout_us; /* for loading a file, for its `init`, for its `start`, each; 0 = none */
    int64_t retry_timeout_us;          /* how long tide.retry tries again; 0 = for ever */
    int64_t stuck_detector_timeout_us; /* 0 = none */
    uint64_t load_memory;   /* bytes that loading the transforms may take; 0 = no limit */
    uint64_t worker_memory; /* bytes beyond what is loaded before the fork; 0 = no limit */
    bool core_dumps;        /* a crash leaves a core file, if the system writes such */
    const char *state_dir;  /* where state is kept; NULL = it is gone with the process */
    /* In place of Kafka's (io/changelog.h, io/sink.h): the changelogs of the states, and in at least once what writes them. They
     * belong to the engine from then on. NULL, but in the simulation (scripts/sim). */
    struct tide_changelog *changelog;
    struct tide_sink *changelog_sink;
    struct tide_plan_sandbox sandbox;
    bool exactly_once; /* outputs, dead letters and offsets in one transaction of the sink */
    bool
        reloads; /* the transforms may be loaded anew: there are slots for the workers of two revisions */
    bool handle_signals; /* INT, TERM, QUIT, HUP, USR1 and USR2 become SIGNAL events */
    const char *const *secret_variables; /* of the environment: the zygote forgets them */
    uint32_t secret_variable_count;
};

#endif
