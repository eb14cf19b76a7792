/* SPDX-License-Identifier: MIT
 * What kafka_tool sets on brokers: who may do what, and their settings while they run. */
#include "kafka_tool.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef rd_kafka_AclBinding_t *new_binding(rd_kafka_ResourceType_t, const char *,
                                           rd_kafka_ResourcePatternType_t, const char *,
                                           const char *, rd_kafka_AclOperation_t,
                                           rd_kafka_AclPermissionType_t, char *, size_t);

static rd_kafka_AclBinding_t *binding_of(char **arguments, new_binding *make)
{
    char text[512];
    char principal[128];
    rd_kafka_ResourceType_t type = strcmp(arguments[1], "group") == 0 ? RD_KAFKA_RESOURCE_GROUP
                                                                      : RD_KAFKA_RESOURCE_TOPIC;
    rd_kafka_AclOperation_t operation = *arguments[3] == 'r'   ? RD_KAFKA_ACL_OPERATION_READ
                                        : *arguments[3] == 'w' ? RD_KAFKA_ACL_OPERATION_WRITE
                                                               : RD_KAFKA_ACL_OPERATION_DESCRIBE;
    snprintf(principal, sizeof(principal), "User:%s", arguments[0]);
    rd_kafka_AclBinding_t *binding = make(type, arguments[2], RD_KAFKA_RESOURCE_PATTERN_LITERAL,
                                          principal, "*", operation,
                                          RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof(text));
    if (!binding)
        die(64, "%s", text);
    return binding;
}

/* The answer to the one admin request on the queue. */
static rd_kafka_event_t *answer_of(rd_kafka_queue_t *queue)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);
    if (!event)
        die(69, "no answer to an admin request");
    check(rd_kafka_event_error(event), rd_kafka_event_error_string(event));
    return event;
}

/* The controller answers first, and the broker takes it over some time later: pauses before one more look. */
static void look_again(double deadline)
{
    if (now() > deadline)
        die(69, "the broker does not take over what it was told");
    usleep(10000);
}

/* Whether the broker goes by such a permission now. */
static bool is_allowed(rd_kafka_t *client, rd_kafka_queue_t *queue, char **arguments)
{
    rd_kafka_AclBinding_t *filter = binding_of(arguments, rd_kafka_AclBindingFilter_new);
    size_t count = 0;
    rd_kafka_DescribeAcls(client, filter, NULL, queue);
    rd_kafka_event_t *event = answer_of(queue);
    rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(event), &count);
    rd_kafka_event_destroy(event);
    rd_kafka_AclBinding_destroy(filter);
    return count > 0;
}

static void wait_until(bool allowed, rd_kafka_t *client, rd_kafka_queue_t *queue, char **arguments)
{
    double deadline = now() + TIMEOUT_MS / 1000.0;
    while (is_allowed(client, queue, arguments) != allowed)
        look_again(deadline);
}

int allow(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBinding_t *binding = binding_of(arguments, rd_kafka_AclBinding_new);
    rd_kafka_CreateAcls(client, &binding, 1, NULL, queue);
    rd_kafka_event_t *event = answer_of(queue);
    size_t count = 0;
    const rd_kafka_acl_result_t **results = rd_kafka_CreateAcls_result_acls(
        rd_kafka_event_CreateAcls_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_error_t *error = rd_kafka_acl_result_error(results[i]);
        check(error ? rd_kafka_error_code(error) : 0, "allow");
    }
    wait_until(true, client, queue, arguments);
    return 0;
}

int forbid(char **arguments)
{
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AclBinding_t *filter = binding_of(arguments, rd_kafka_AclBindingFilter_new);
    rd_kafka_DeleteAcls(client, &filter, 1, NULL, queue);
    admin_wait(queue);
    wait_until(false, client, queue, arguments);
    return 0;
}

/* Whether the broker shows each value that was set; one that is secret it does not show. */
static bool shows(const rd_kafka_ConfigResource_t *shown, const rd_kafka_ConfigResource_t *set)
{
    size_t shown_count = 0, set_count = 0;
    const rd_kafka_ConfigEntry_t **there = rd_kafka_ConfigResource_configs(shown, &shown_count);
    const rd_kafka_ConfigEntry_t **wanted = rd_kafka_ConfigResource_configs(set, &set_count);
    for (size_t i = 0; i < set_count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(wanted[i]);
        size_t at = 0;
        while (at < shown_count && strcmp(rd_kafka_ConfigEntry_name(there[at]), name) != 0)
            at++;
        const char *value = at < shown_count ? rd_kafka_ConfigEntry_value(there[at]) : NULL;
        if (at < shown_count && rd_kafka_ConfigEntry_is_sensitive(there[at]))
            continue;
        if (!value || strcmp(value, rd_kafka_ConfigEntry_value(wanted[i])) != 0)
            return false;
    }
    return true;
}

/* Whether the broker goes by these settings now. */
static bool has_settings(rd_kafka_t *client, rd_kafka_queue_t *queue,
                         rd_kafka_ConfigResource_t *broker)
{
    size_t count = 0;
    rd_kafka_DescribeConfigs(client, &broker, 1, NULL, queue);
    rd_kafka_event_t *event = answer_of(queue);
    const rd_kafka_ConfigResource_t **results = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event), &count);
    if (count != 1 || rd_kafka_ConfigResource_error(results[0]))
        die(69, "%s", count == 1 ? rd_kafka_ConfigResource_error_string(results[0]) : "no answer");
    bool has = shows(results[0], broker);
    rd_kafka_event_destroy(event);
    return has;
}

/* All at once, since a request replaces what was set by the one before. */
int set_broker(char **arguments)
{
    size_t count = 0;
    double deadline = now() + TIMEOUT_MS / 1000.0;
    rd_kafka_t *client = client_new(RD_KAFKA_PRODUCER, NULL);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_ConfigResource_t *broker = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER,
                                                                    arguments[0]);
    for (char **property = arguments + 1; *property; property++) {
        char *equals = strchr(*property, '=');
        if (!equals)
            die(64, "not property=value: %s", *property);
        *equals = '\0';
        check(rd_kafka_ConfigResource_set_config(broker, *property, equals + 1), *property);
    }
    rd_kafka_AlterConfigs(client, &broker, 1, NULL, queue);
    rd_kafka_event_t *event = answer_of(queue);
    const rd_kafka_ConfigResource_t **results = rd_kafka_AlterConfigs_result_resources(
        rd_kafka_event_AlterConfigs_result(event), &count);
    for (size_t i = 0; i < count; i++) {
        if (rd_kafka_ConfigResource_error(results[i]))
            die(69, "%s", rd_kafka_ConfigResource_error_string(results[i]));
    }
    while (!has_settings(client, queue, broker))
        look_again(deadline);
    return 0;
}
