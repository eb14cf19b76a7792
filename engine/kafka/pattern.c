/* SPDX-License-Identifier: MIT
 * Patterns of topic names. librdkafka finds topics with regcomp(3), and so does this file; it finds what a pattern
 * matches only in the same way, or `check` would say one thing and the group read another. A topic that the pipeline
 * writes to must not match: its results would be read again for ever. librdkafka's property topic.blacklist hides it
 * from all patterns. */
#include "kafka/pattern.h"

#include <librdkafka/rdkafka.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "base/text.h"

/* Kafka keeps these for itself, and its own clients do not find them by patterns either. */
static const char *const internal[] = {"__consumer_offsets", "__transaction_state",
                                       "__share_group_state", "__cluster_metadata"};

/* The letters that mean something after a backslash. POSIX takes every other one for the letter itself: "\d" finds a
 * d. */
static const char escapable[] = "wWsSbB";

static int check_escapes(const char *pattern)
{
    for (const char *at = strchr(pattern, '\\'); at; at = strchr(at + 2, '\\')) {
        char next = at[1];
        bool letter = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
        if (letter && !strchr(escapable, next))
            return tide_fail(TIDE_ECONFIG,
                             "\\%c is not of POSIX extended regular expressions, which topics are "
                             "found by (there \\d is written [0-9])",
                             next);
        if (!next)
            break; /* regcomp refuses it */
    }
    return TIDE_OK;
}

/* For `check`, which has neither a broker nor a client: the expression is refused by the function that librdkafka
 * would call, with its words. */
int tide_kafka_pattern_check(const char *pattern)
{
    regex_t compiled;
    char text[128];
    int error = regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB);
    if (!error) {
        regfree(&compiled);
        return check_escapes(pattern);
    }
    regerror(error, &compiled, text, sizeof(text));
    return tide_fail(TIDE_ECONFIG, "%s; topics are found by POSIX extended regular expressions%s",
                     text, strstr(pattern, "(?") ? ", which have no (?...)" : "");
}

/* The expression is compiled each time: topics are matched when the source starts and for a static member's first
 * assignment, never for a message. */
bool tide_kafka_pattern_matches(const char *pattern, const char *topic)
{
    regex_t compiled;
    if (regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB))
        return false;
    bool matches = regexec(&compiled, topic, 0, NULL, 0) == 0;
    regfree(&compiled);
    return matches;
}

static bool is_pattern(const char *topic)
{
    return topic[0] == '^';
}

/* The internal topics come first: a pattern such as ^.* would otherwise read the offsets that reading it commits. */
bool tide_kafka_pattern_finds(const char *const *topics, uint32_t count, const char *topic)
{
    for (size_t i = 0; i < sizeof(internal) / sizeof(*internal); i++)
        if (strcmp(internal[i], topic) == 0)
            return false;
    for (uint32_t i = 0; i < count; i++)
        if (is_pattern(topics[i]) && tide_kafka_pattern_matches(topics[i], topic))
            return true;
    return false;
}

bool tide_kafka_pattern_any(const struct tide_source_plan *plan)
{
    for (uint32_t i = 0; i < plan->topic_count; i++)
        if (is_pattern(plan->topics[i]))
            return true;
    return false;
}

/* A topic that the plan names in full is meant to be read, so no pattern's rule is applied to it. */
static bool is_named(const struct tide_source_plan *plan, const char *topic)
{
    for (uint32_t i = 0; i < plan->topic_count; i++)
        if (strcmp(plan->topics[i], topic) == 0)
            return true;
    return false;
}

/* Appends an expression that finds this name alone. Kafka allows letters, digits and these three signs in a name. A
 * sign that is not allowed becomes ".", since a comma, for one, would end the entry in the list. */
static void append_hidden(struct tide_text *list, const struct tide_source_plan *plan,
                          const char *topic)
{
    if (is_named(plan, topic))
        return;
    tide_text_string(list, list->length > 0 ? ",^" : "^");
    for (const char *at = topic; *at; at++) {
        bool plain = *at == '_' || *at == '-' || (*at >= '0' && *at <= '9') ||
                     (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z');
        tide_text_append(list, plain ? at : *at == '.' ? "[.]" : ".", plain || *at != '.' ? 1 : 3);
    }
    tide_text_string(list, "$");
}

/* Without a pattern the list stays the user's own, since only patterns find what nobody named. */
char *tide_kafka_pattern_hidden(const struct tide_source_plan *plan, const char *users)
{
    struct tide_text list = {0};
    if (users)
        tide_text_string(&list, users);
    bool any = tide_kafka_pattern_any(plan);
    for (size_t i = 0; any && i < sizeof(internal) / sizeof(*internal); i++)
        append_hidden(&list, plan, internal[i]);
    for (uint32_t i = 0; any && i < plan->own_topic_count; i++)
        append_hidden(&list, plan, plan->own_topics[i]);
    tide_text_append(&list, "", 1);
    return list.data;
}

/* The client is asked rather than the plan, so that the user's own entries count, too. */
bool tide_kafka_pattern_hides(struct rd_kafka_s *client, const char *topic)
{
    char list[4096];
    size_t size = 0;
    char *rest = NULL;
    if (rd_kafka_conf_get(rd_kafka_conf(client), "topic.blacklist", NULL, &size))
        return false; /* there is no list */
    if (size > sizeof(list) ||
        rd_kafka_conf_get(rd_kafka_conf(client), "topic.blacklist", list, &size))
        return true; /* the list is too long to be looked at, so it may be hidden */
    for (char *one = strtok_r(list, ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        if (tide_kafka_pattern_matches(one, topic))
            return true;
    return false;
}

/* Otherwise a pattern that reads fewer topics than it says would look broken. */
void tide_kafka_pattern_warn(const struct tide_source_plan *plan)
{
    for (uint32_t i = 0; i < plan->topic_count; i++)
        for (uint32_t j = 0; is_pattern(plan->topics[i]) && j < plan->own_topic_count; j++)
            if (!is_named(plan, plan->own_topics[j]) &&
                tide_kafka_pattern_matches(plan->topics[i], plan->own_topics[j]))
                tide_log(TIDE_LOG_WARN,
                         "the pattern \"%s\" matches \"%s\", which this pipeline writes to: it is "
                         "not read",
                         plan->topics[i], plan->own_topics[j]);
}

/* These topics are not in the blacklist: their brokers have other names, so they seemed to be another cluster. That it
 * is the same one shows by its id only once both were reached, and the client is made by then. */
int tide_kafka_pattern_apart(const struct tide_source_plan *plan, const char *cluster)
{
    for (uint32_t i = 0; i < plan->apart_topic_count; i++) {
        const char *topic = plan->apart_topics[i];
        if (!is_named(plan, topic) &&
            tide_kafka_pattern_finds(plan->topics, plan->topic_count, topic))
            return tide_fail(TIDE_ECONFIG,
                             "a pattern of kafka_source finds topic \"%s\", which this pipeline "
                             "writes to: the brokers of produce are those of kafka_source under "
                             "another name (cluster id %s); leave out produce's brokers",
                             topic, cluster);
    }
    return TIDE_OK;
}
