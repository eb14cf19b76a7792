/* SPDX-License-Identifier: MIT
 * The rule that decides from which offset a partition is read; the header has it as a table. It is kept apart from
 * the questions to the brokers (source/resolve.c), so that each of its cases can be tried without one
 * (spec/unit/kafka/source/start_offset_spec.lua). Nothing is decided silently: where neither `start` nor
 * auto_offset_reset says what to do, the outcome is a refusal. Start reading at tide_start_offset. */
#include "kafka/source/start_offset.h"

enum tide_start_topic tide_start_topic(const struct tide_start_question *question)
{
    bool committed_is_lost = question->committed < 0;
    if (question->reason != TIDE_RESOLVE_MISPLACED)
        return question->was_committed && committed_is_lost ? TIDE_START_TOPIC_RECREATED
                                                            : TIDE_START_TOPIC_SAME;
    /* While it is read, a topic can only have been recreated if a broker said that it was missing. */
    if (!question->was_missing || !committed_is_lost)
        return TIDE_START_TOPIC_SAME;
    if (question->was_read)
        return TIDE_START_TOPIC_RECREATED_READ;
    return question->was_committed ? TIDE_START_TOPIC_RECREATED : TIDE_START_TOPIC_SAME;
}

/* The offset to go on from; negative when there is none. After an abort with nothing committed, where reading began is
 * the position of what was aborted. */
static int64_t offset_to_go_on_from(const struct tide_start_question *question)
{
    if (question->reason == TIDE_RESOLVE_MISPLACED)
        return tide_start_topic(question) == TIDE_START_TOPIC_SAME ? question->position : -1;
    if (question->reason == TIDE_RESOLVE_REWOUND && question->committed < 0)
        return question->position;
    return question->committed;
}

/* The end counts as within: it is where a group stands that has read everything. */
static bool is_within(const struct tide_start_question *question, int64_t offset)
{
    return offset >= question->low && offset <= question->high;
}

/* "Latest" means what comes after the start of the source, so all messages of a topic that came later are included. */
static enum tide_start_outcome begin_at_latest(const struct tide_start_question *question,
                                               struct tide_start_answer *answer)
{
    bool came_later = question->added || tide_start_topic(question) == TIDE_START_TOPIC_RECREATED;
    answer->offset = came_later ? question->low : question->high;
    answer->commit = true;
    return TIDE_START_BEGINS;
}

/* Only "latest" is committed at once: "earliest" skips nothing, whenever it is resolved again. */
static enum tide_start_outcome reset_offset(const struct tide_start_rule *rule,
                                            const struct tide_start_question *question,
                                            int64_t rejected, struct tide_start_answer *answer)
{
    answer->rejected = rejected;
    if (rule->reset == TIDE_RESET_ERROR)
        return TIDE_START_REFUSED_OUT_OF_RANGE;
    answer->offset = rule->reset == TIDE_RESET_EARLIEST ? question->low : question->high;
    answer->commit = rule->reset == TIDE_RESET_LATEST;
    return TIDE_START_RESET;
}

static enum tide_start_outcome begin_by_reset(const struct tide_start_rule *rule,
                                              const struct tide_start_question *question,
                                              struct tide_start_answer *answer)
{
    if (rule->reset == TIDE_RESET_ERROR)
        return TIDE_START_REFUSED_NO_OFFSET;
    if (rule->reset == TIDE_RESET_LATEST)
        return begin_at_latest(question, answer);
    answer->offset = question->low;
    return TIDE_START_BEGINS;
}

static enum tide_start_outcome begin_by_start(const struct tide_start_rule *rule,
                                              const struct tide_start_question *question,
                                              struct tide_start_answer *answer)
{
    switch (rule->start) {
    case TIDE_START_EARLIEST:
        answer->offset = question->low;
        return TIDE_START_BEGINS;
    case TIDE_START_LATEST:
        return begin_at_latest(question, answer);
    case TIDE_START_TIME:
        /* The offset after the last message stands for a message that is yet to come, so it is a kind of "latest". */
        answer->commit = question->at_time < 0;
        answer->offset = answer->commit ? question->high : question->at_time;
        return TIDE_START_BEGINS;
    case TIDE_START_OFFSET:
        if (!is_within(question, rule->start_at))
            return reset_offset(rule, question, rule->start_at, answer);
        answer->offset = rule->start_at;
        return TIDE_START_BEGINS;
    default:
        return begin_by_reset(rule, question, answer);
    }
}

enum tide_start_outcome tide_start_offset(const struct tide_start_rule *rule,
                                          const struct tide_start_question *question,
                                          struct tide_start_answer *answer)
{
    *answer = (struct tide_start_answer){.offset = -1, .rejected = -1};
    if (tide_start_topic(question) == TIDE_START_TOPIC_RECREATED_READ)
        return TIDE_START_REFUSED_RECREATED;
    int64_t offset = offset_to_go_on_from(question);
    if (offset < 0)
        return begin_by_start(rule, question, answer);
    if (!is_within(question, offset))
        return reset_offset(rule, question, offset, answer);
    answer->offset = offset;
    return TIDE_START_CONTINUES;
}
