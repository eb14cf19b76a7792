/* SPDX-License-Identifier: MIT
 * engine/shm/layout.h - the bytes that engine and workers share, read by gcc and by ffi.cdef.
 *
 * Input block:  records one after the other from byte 0, each a struct tide_record and its bytes. Written by the engine
 *               only; workers have it mapped read-only.
 * Output block: a struct tide_output, then results one after the other, each a struct tide_result and its bytes. Written
 *               by the worker that runs the batch; it is of that worker's slot, and no other worker has it mapped
 *               (shm/outputs.h).
 * State block:  of a step with state, beside the input block and like it: for each record of the job and each state of the
 *               step a struct tide_state_place, then structs tide_state and their bytes. Records of one key have the same
 *               ones.
 *
 * Records and results start at multiples of 8. 64 bytes after the last one are readable (simdjson). Header bytes, in both:
 * for each header uint32_t name length, int32_t value length (-1 = null), the name, the value; nothing is aligned.
 *
 * Who writes to the blocks of a batch, and when (enum tide_work_state of proc/pool.h; the state itself is the engine's
 * own, and no worker can write it):
 *   state        who writes                        next
 *   IDLE         engine: input records             WAITING, when the batch is sealed (chain/batch.h)
 *   WAITING      nobody; it has no output block    GIVEN to a worker; the engine: progress of the output block
 *   GIVEN        the worker: results, progress     DONE by its report (socket); WORKER_LOST (the zygote's event)
 *   DONE,        nobody                            the engine takes the results up to progress, unless the worker broke the
 *   WORKER_LOST                                    protocol; WAITING again when records are left, IDLE otherwise
 *
 * A worker that breaks the protocol writes whenever it likes, to all that it has mapped for writing. This is what the engine
 * reads of that; each number is copied once (shm/foreign.h, or an atomic load), and only the checked copy is used:
 *   what                        read by                      checked against
 *   progress: next, bytes       chain/results.c accept       the job's first and end, output_max, its report's status
 *   progress: next; running     proc/stall.c                 the job's first and end; gets on as a run does (proc/stall.h)
 *   progress: next              proc/pool_work.c             the job's first and end (a count for /status)
 *   progress: next              chain/task_view.c            the batch's count (a text for the log)
 *   running                     proc/pool_work.c             compared only: does a death belong to a record
 *   struct tide_result          chain/results.c              lengths: `size`; size: the bytes that are left, a multiple of 8;
 *                                                            index: released to ready, never less than the one before;
 *                                                            topic: the engine's own table; partition, timestamp: least
 *                                                            values (of STATE: the step's states); kind, inherit: their enums
 *   the same, of a canary       chain/task_canary.c          the same, by chain/results.c; results of the revision that runs are
 *                                                            copied as a whole first
 *   header bytes                chain/results.c              copied as a whole, then each length: what is left of them
 *   reason, error, traceback    chain/results.c failure      copied as a whole, with an end of the engine's own
 *   value and key bytes         whoever takes the message    nothing is decided by them; they are copied to librdkafka, to a
 *                                                            file's buffer or to an input block. base/text.c reads each byte
 *                                                            once, so that what becomes JSON is JSON
 *   a row of script metrics     shm/script_metrics.c         the size of the table; lua/tidemill/metrics: name, kind, numbers
 *   a change of state           chain/results.c              its kind and length; its key is the record's, as the engine knows it
 *   pages                       shm/outputs.c (the kernel)   the blocks that the slot was given
 * What comes by sockets is in proc/received.h. Input blocks and topic names are mapped read-only in workers. */
#ifndef TIDE_SHM_LAYOUT_H
#define TIDE_SHM_LAYOUT_H

#include <stdint.h>

enum {
    TIDE_NULL = -1,          /* a length: null, which is not empty */
    TIDE_BLOCK_TAIL = 64,    /* readable bytes after the last record */
    TIDE_TOPIC_NONE = 65535, /* a topic number: the next step decides */
    TIDE_PARTITION_ANY = -1  /* a partition number: the next step decides */
};

/** Set by the engine: LEFT_OUT where a step reduces (chain/task_reduce.c), WAITS elsewhere. */
enum tide_record_flag {
    TIDE_RECORD_LEFT_OUT = 1, /* revoked or rejected since: the worker leaves it out */
    TIDE_RECORD_WAITS =
        2 /* after one that is tried again: the worker leaves it out (chain/task_retry.c) */
};

/** One message in an input block. Its bytes follow: value, key, headers. */
struct tide_record {
    uint32_t size;        /* bytes up to the next record, this struct included; a multiple of 8 */
    int32_t partition;    /* it was read from */
    int64_t offset;       /* it was read from */
    int64_t timestamp;    /* ms since the epoch, -1 = none */
    int32_t value_length; /* or TIDE_NULL */
    int32_t key_length;   /* or TIDE_NULL */
    uint32_t headers_length;
    uint16_t topic;           /* number in the topic table (shm/topics.h) */
    uint16_t target_topic;    /* chosen by an earlier step, or TIDE_TOPIC_NONE */
    int32_t target_partition; /* chosen by an earlier step, or TIDE_PARTITION_ANY */
    uint16_t flags;           /* enum tide_record_flag */
    uint16_t
        message_flags; /* enum tide_message_flag (shm/message.h); of these workers read TIMER */
};

/** Where a worker is within a block: tells what a crash is attributed to. */
enum tide_running {
    TIDE_RUNNING_NOT,    /* to no record */
    TIDE_RUNNING_ONE,    /* to the record in progress, `next` */
    TIDE_RUNNING_SEVERAL /* to one of the records that a function has at once; which one is unknown */
};

/** First bytes of an output block, one cache line. */
struct tide_output {
    /* {next, bytes}, published with one release store: the results of the records before `next` are complete (where a
     * step reduces, these records were looked at), and fill `bytes` bytes after this struct. Low 32 bits: next; high 32
     * bits: bytes. */
    uint64_t progress;
    uint32_t running; /* enum tide_running */
    uint32_t reserved;
    uint64_t unused[6];
};

enum tide_result_kind {
    TIDE_RESULT_MESSAGE = 1,
    TIDE_RESULT_REJECT = 2, /* value: reason \0 error \0 traceback \0 */
    TIDE_RESULT_RETRY =
        3, /* the same; where a step reduces it is the first result, and the whole batch is retried */
    /* Where the step has state: what a state of the record's key is from now on, its timer too.
     * `partition`: which one of the step's states, from 0; `topic`: enum tide_state_kind; `timestamp`: for how many ms, 0 = for ever, -1 = as the step says;
     * `value`: its bytes. At most one for a record and state. */
    TIDE_RESULT_STATE = 4
};

enum { TIDE_STATES_MOST = 8 /* states that a step may have */ };

enum tide_state_kind {
    TIDE_STATE_NONE,   /* there is none; as a change: it is deleted */
    TIDE_STATE_STRING, /* its bytes */
    TIDE_STATE_NUMBER, /* a double, in 8 bytes */
    TIDE_STATE_JSON,   /* the text of any other value that JSON has */
    /* Or'ed to one of these: the key has a timer, and its time, an int64_t, comes before the value's bytes (also where
     * there is no value). So a timer is part of the value wherever that goes. */
    TIDE_STATE_TIMED = 0x80
};

enum tide_state_flag {
    TIDE_STATE_AHEAD = 1 /* the record's time is further ahead of the clock than the step allows */
};

/** In a state block, for each record. */
struct tide_state_place {
    int64_t
        watermark; /* ms since the epoch: of its partition, before this record; INT64_MIN = none */
    uint32_t at; /* where its struct tide_state begins, in units of 8 bytes from the first place */
    uint32_t flags; /* enum tide_state_flag */
};

/** In a state block. Its bytes follow: the value (and its timer), the key. */
struct tide_state {
    uint32_t number; /* of the states in this block, from 0 */
    uint32_t kind;   /* enum tide_state_kind */
    uint32_t length; /* of the value, its timer included */
    uint32_t key_length;
};

/** What a result takes over from its record, so that the worker need not copy it. */
enum tide_inherit { TIDE_INHERIT_VALUE = 1, TIDE_INHERIT_KEY = 2, TIDE_INHERIT_HEADERS = 4 };

/** One result in an output block. Its bytes follow: value, key, headers; none of what is inherited. A record without a
 * result was filtered. Results are in the order of their records. */
struct tide_result {
    uint32_t size;  /* bytes up to the next result, this struct included; a multiple of 8 */
    uint32_t index; /* of its record in the block, from 0 */
    uint8_t kind;
    uint8_t inherit;
    uint16_t topic; /* number in the topic table, or TIDE_TOPIC_NONE */
    uint32_t headers_length;
    int64_t timestamp;    /* ms since the epoch, -1 = none */
    int32_t value_length; /* or TIDE_NULL */
    int32_t key_length;   /* or TIDE_NULL */
    int32_t partition;    /* or TIDE_PARTITION_ANY */
    uint32_t reserved;
};

#endif
