/* SPDX-License-Identifier: MIT
 * scripts/sim/keyed.h - keyed state in the simulation: its values, its changelogs, its timers. */
#ifndef SIM_KEYED_H
#define SIM_KEYED_H

#include "sim.h"

enum { SIM_VALUE_MOST = 24 };

/* values.c */

/** Writes a value of that state; returns its length, which is at most SIM_VALUE_MOST, and sets its kind. */
uint32_t sim_state_text(uint32_t state, const struct sim_value *value, char *bytes, uint32_t *kind);
/** Reads it. */
struct sim_value sim_state_parse(uint32_t state, uint32_t kind, const char *bytes, uint32_t length);
/** The value of the record that the worker is at, as its job knows it; number: of the state. */
struct sim_value sim_state_seen(const struct worker *worker, uint32_t number);
/** The watermark of the record that the worker is at, as its job knows it. */
int64_t sim_state_watermark(const struct worker *worker);
/** The job goes on with it. */
void sim_state_newer(struct worker *worker, uint32_t state, const struct sim_value *value);

/* changelog.c */

/** A run begins: they are empty. */
void sim_changelog_open(void);
/** That of a new engine. */
struct tide_changelog *sim_changelog_reader(void);
/** The sink takes a record of a changelog. */
bool sim_changelog_send(const struct tide_message *message);
size_t sim_changelog_reports(struct tide_report *reports, size_t max, bool aborting);
size_t sim_changelog_pending(void);
void sim_changelog_act(void);
/** The open transaction is committed, or has been aborted. */
void sim_changelog_committed(void);
void sim_changelog_aborted(void);
/** Another member writes a value, or the newest time, because of the message at this offset of the input. */
void sim_changelog_other(uint32_t state, uint32_t partition, uint32_t key,
                         const struct sim_value *value, int64_t offset);
void sim_changelog_other_newest(uint32_t partition, int64_t newest, int64_t offset);
/** The value that is committed. */
struct sim_value sim_changelog_value(uint32_t state, uint32_t partition, uint32_t key);
/** The newest time of the partition that is committed, INT64_MIN = none. */
int64_t sim_changelog_newest(uint32_t partition);

/* changelog_sink.c */

struct tide_sink *sim_changelog_sink(void);

/* states.c */

/** The worker is at the record of this item, in a step with state: checks what it sees, and sets what it is to write. */
void sim_state_see(const struct worker *worker, const struct item *item, struct sim_value *made);
/** It has written worker->made, and the record is published. */
void sim_state_wrote(struct worker *worker, const struct item *item);
/** The engine takes the message. */
void sim_state_taken(uint32_t number, uint32_t index);
/** The message is read again: what is known of its state stays. */
void sim_state_keep(struct message *fresh, const struct message *before);
/** Another member of the group has processed the message. */
void sim_state_other(uint32_t number, uint32_t index);
/** A transaction with this position is committed: the changelogs are the state at it. */
void sim_state_committed(uint32_t number, int64_t offset);
/** The partition is restored. */
void sim_state_restored(uint32_t number);
/** After a turn, and at the end of a run. */
void sim_state_check(void);
void sim_state_check_end(void);

/* timers.c; number: of a partition */

bool sim_is_timer(const struct tide_record *record);
int64_t sim_time(uint32_t number, uint32_t index);
/** The newest time of the messages before that index, INT64_MIN = there are none. */
int64_t sim_newest(uint32_t number, uint32_t end);
/** The engine takes the message, while this is the value of its key. */
void sim_timer_taken(uint32_t number, uint32_t index, const struct sim_value *value);
/** Another member of the group has processed the message: fires what is due then. */
void sim_timers_other(uint32_t number, uint32_t index);
/** The partition begins at its first message. */
void sim_timers_assigned(uint32_t number);
/** A message writes this value behind `seen`: sets its timer, keeps the one that is there, or takes it back. */
void sim_timer_set(const struct item *item, const struct sim_value *seen, struct sim_value *made);
/** A worker sees the value at a message, and it counts: the watermark must be that of the messages before it. */
void sim_timer_check_seen(const struct worker *worker, const struct item *item,
                          const struct sim_value *seen);
/** The worker is at a timer: checks that it may fire, and sets what it writes; then it is published. */
void sim_timer_see(const struct worker *worker, struct sim_value *made);
void sim_timer_fired(struct worker *worker);
/** The value of a key behind the messages before `end`: when nothing more was read, it has no timer that is due. */
void sim_timer_check_behind(uint32_t number, uint32_t end, const struct sim_value *value);

#endif
