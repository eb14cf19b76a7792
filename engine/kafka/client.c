/* SPDX-License-Identifier: MIT
 * From the properties of a pipeline file to a librdkafka client. Three layers make a configuration: our defaults,
 * which give way to the user's properties, and those that the promises rest on, which cannot be set. What a user may
 * not set is refused with the reason, instead of being overruled silently. librdkafka's own error texts repeat the
 * value, which may be a secret, so they are shown only for names and values of ours. Start reading at
 * tide_kafka_conf_new. */
#include "kafka/client.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/kafka.h"

enum { COOPERATIVE_IS_SOUND = 0x020a00ff }; /* 2.10.0; older ones lose assignments or hang */

/* What a user may not set, and why. librdkafka has aliases of some names, which stand beside them. */
static const struct refusal {
    const char *name;
    const char *why;
} refusals[] = {
    {"plugin.library.paths", "it loads code into the engine, which holds the secrets"},
    {"ssl.engine.location", "it loads code into the engine, which holds the secrets"},
    {"sasl.kerberos.kinit.cmd", "it runs a command in the engine, which holds the secrets"},
    {"test.mock.num.brokers", "it is for --mock-kafka, which sets it up itself"},
    {"group.id", "it is the option \"group\" of kafka_source"},
    {"group.instance.id", "it is the option \"instance\" of kafka_source"},
    {"auto.offset.reset", "it is the option \"auto_offset_reset\" of kafka_source"},
    {"enable.auto.commit", "offsets are committed once their messages are delivered, not before"},
    {"auto.commit.enable", "offsets are committed once their messages are delivered, not before"},
    {"enable.auto.offset.store",
     "offsets are committed once their messages are delivered, not before"},
    {"offset.store.method", "offsets are kept by the group"},
    {"enable.partition.eof", "the engine needs to know where a partition ends"},
    {"isolation.level", "messages of aborted transactions must not be read"},
    {"transactional.id", "delivery follows from the option \"delivery\" of the pipeline"},
    {"enable.idempotence", "without it retries may double or reorder messages"},
    {"acks", "a message is delivered once all replicas in sync have it"},
    {"request.required.acks", "a message is delivered once all replicas in sync have it"},
    {"message.timeout.ms", "an outage must delay messages, not lose them"},
    {"delivery.timeout.ms", "an outage must delay messages, not lose them"},
    {"message.send.max.retries", "an outage must delay messages, not lose them"},
    {"retries", "an outage must delay messages, not lose them"},
    {"partitioner", "it is the option \"partition\" of produce"},
    {"delivery.report.only.error", "a message is delivered when its delivery report says so"},
    {"enabled_events", "the engine needs its own events"},
    {"statistics.interval.ms", "the metrics need it once a second"},
    {"log.queue", "log lines go to the engine's log"},
};

/* Without regard to case, so that no other spelling gets past the checks. */
static bool holds_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = list; *at;) {
        at += strspn(at, ", \t");
        size_t size = strcspn(at, ", \t");
        if (size == length && strncasecmp(at, word, length) == 0)
            return true;
        at += size;
    }
    return false;
}

static int refuse(const char *name, const char *why)
{
    return tide_fail(TIDE_ECONFIG, "librdkafka property \"%s\" cannot be set: %s", name, why);
}

/* These properties are refused for some values only. */
static int check_value(const char *name, const char *value)
{
    if (!value)
        return TIDE_OK;
    if (strcmp(name, "debug") == 0 &&
        (holds_word(value, "all") || holds_word(value, "conf") || holds_word(value, "security")))
        return refuse(name, "of these, \"all\", \"conf\" and \"security\" would print secrets");
    if (strcmp(name, "partition.assignment.strategy") == 0 &&
        holds_word(value, "cooperative-sticky") && rd_kafka_version() < COOPERATIVE_IS_SOUND)
        return tide_fail(TIDE_ECONFIG,
                         "librdkafka property \"%s\": cooperative-sticky needs librdkafka 2.10.0, "
                         "this is %s",
                         name, rd_kafka_version_str());
    return TIDE_OK;
}

/* Called for `check` while secrets are not fetched (their value is NULL then), and by set_users() once all values are
 * there. A configuration of its own takes the value on trial: one that is in use would keep it. */
int tide_kafka_property_check(const char *name, const char *value)
{
    char error[512];
    for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
        if (strcmp(name, refusals[i].name) == 0)
            return refuse(name, refusals[i].why);
    int status = check_value(name, value);
    if (status < 0)
        return status;
    rd_kafka_conf_t *scratch = rd_kafka_conf_new();
    rd_kafka_conf_res_t result = rd_kafka_conf_set(scratch, name, value, error, sizeof(error));
    rd_kafka_conf_destroy(scratch);
    /* librdkafka's own text repeats the value. */
    if (result == RD_KAFKA_CONF_UNKNOWN)
        return tide_fail(TIDE_ECONFIG, "librdkafka %s has no property \"%s\"",
                         rd_kafka_version_str(), name);
    if (result == RD_KAFKA_CONF_INVALID && strstr(error, "not supported in this build"))
        return tide_fail(TIDE_ECONFIG, "librdkafka %s is built without what property \"%s\" needs",
                         rd_kafka_version_str(), name);
    if (result == RD_KAFKA_CONF_INVALID)
        return tide_fail(TIDE_ECONFIG, "librdkafka property \"%s\" does not take this value", name);
    return TIDE_OK;
}

void tide_properties_set(struct tide_properties *properties, const struct tide_property *items,
                         uint32_t count)
{
    tide_properties_wipe(properties);
    properties->items = tide_alloc((count + 1) * sizeof(*items));
    for (uint32_t i = 0; i < count; i++) {
        if (items[i].name[0] == '-')
            continue;
        struct tide_property *copy = &properties->items[properties->count++];
        copy->name = tide_copy(items[i].name);
        copy->value = tide_copy(items[i].value);
    }
}

/* From the end, since librdkafka lets the last value of a name count. */
const char *tide_properties_get(const struct tide_properties *properties, const char *name)
{
    for (uint32_t i = properties->count; i-- > 0;)
        if (strcmp(properties->items[i].name, name) == 0)
            return properties->items[i].value;
    return NULL;
}

const char *tide_properties_brokers(const struct tide_properties *properties)
{
    const char *brokers = tide_properties_get(properties, "bootstrap.servers");
    if (!brokers)
        brokers = tide_properties_get(properties, "metadata.broker.list");
    return brokers ? brokers : "";
}

/* By explicit_bzero(), since a compiler may leave out a memset() of memory that is freed next. */
void tide_properties_wipe(struct tide_properties *properties)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        char *value = (char *)properties->items[i].value;
        if (value)
            explicit_bzero(value, strlen(value));
        free(value);
        free((char *)properties->items[i].name);
    }
    free(properties->items);
    *properties = (struct tide_properties){0};
}

/* Runs in librdkafka's threads. librdkafka calls a broker that is away an error; here it is a warning, since it is
 * waited for. */
static void log_line(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    enum tide_log_level ours = level <= LOG_CRIT      ? TIDE_LOG_ERROR
                               : level <= LOG_WARNING ? TIDE_LOG_WARN
                               : level <= LOG_INFO    ? TIDE_LOG_INFO
                                                      : TIDE_LOG_DEBUG;
    tide_log(ours, "librdkafka %s: %s: %s", rk ? rd_kafka_name(rk) : "", facility, text);
}

/* These names and values are ours, so librdkafka's text may be shown. It may be older than one of the defaults, which
 * it does not know then. A default that is not set costs some speed; a property that a promise rests on must be known,
 * so that is an error. */
static int set_all(rd_kafka_conf_t *conf, const struct tide_property *properties, bool defaults)
{
    char error[512];
    for (; properties->name; properties++) {
        rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, properties->name, properties->value,
                                                       error, sizeof(error));
        if (result != RD_KAFKA_CONF_OK && !(defaults && result == RD_KAFKA_CONF_UNKNOWN))
            return tide_fail(TIDE_EINTERNAL, "librdkafka: %s", error);
    }
    return TIDE_OK;
}

/* The properties are checked again although `check` has done so: a secret had no value then. The call after it cannot
 * fail therefore. */
static int set_users(rd_kafka_conf_t *conf, const struct tide_properties *properties)
{
    for (uint32_t i = 0; i < properties->count; i++) {
        const struct tide_property *item = &properties->items[i];
        int status = tide_kafka_property_check(item->name, item->value);
        if (status < 0)
            return status;
        rd_kafka_conf_set(conf, item->name, item->value, NULL, 0);
    }
    return TIDE_OK;
}

static bool property_is(const struct tide_properties *properties, const char *name,
                        const char *value)
{
    const char *set = tide_properties_get(properties, name);
    return set && strcasecmp(set, value) == 0;
}

/* Both are right for a cluster in a test, so they are no error; the warning comes at each start. */
static void warn_of_weak_security(const struct tide_properties *properties)
{
    if (property_is(properties, "enable.ssl.certificate.verification", "false"))
        tide_log(TIDE_LOG_WARN, "the brokers' certificates are not verified "
                                "(enable.ssl.certificate.verification = false)");
    if (property_is(properties, "ssl.endpoint.identification.algorithm", "none") &&
        (property_is(properties, "security.protocol", "ssl") ||
         property_is(properties, "security.protocol", "sasl_ssl")))
        tide_log(TIDE_LOG_WARN, "the names in the brokers' certificates are not verified "
                                "(ssl.endpoint.identification.algorithm = none)");
    if (property_is(properties, "security.protocol", "sasl_plaintext"))
        tide_log(TIDE_LOG_WARN, "credentials and messages go over the network in clear "
                                "(security.protocol = sasl_plaintext)");
}

/* The order of the three calls makes the layers: a later value replaces an earlier one. */
struct rd_kafka_conf_s *tide_kafka_conf_new(const struct tide_property *defaults,
                                            const struct tide_properties *properties,
                                            const struct tide_property *fixed)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, log_line);
    if (set_all(conf, defaults, true) < 0 || set_users(conf, properties) < 0 ||
        set_all(conf, fixed, false) < 0) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    warn_of_weak_security(properties);
    return conf;
}

/* rd_kafka_new() takes over the configuration only if it succeeds, so the other case frees it here. */
struct rd_kafka_s *tide_kafka_client_new(enum tide_kafka_client_type type,
                                         struct rd_kafka_conf_s *conf, const char *who)
{
    char error[512];
    if (!conf)
        return NULL;
    rd_kafka_t *client = rd_kafka_new(type == TIDE_KAFKA_CONSUMER ? RD_KAFKA_CONSUMER
                                                                  : RD_KAFKA_PRODUCER,
                                      conf, error, sizeof(error));
    if (!client) {
        rd_kafka_conf_destroy(conf);
        tide_fail(TIDE_ECONFIG, "%s: %s", who, error);
    }
    return client;
}

int tide_kafka_certificate_try(const struct tide_property *items, uint32_t count)
{
    static const struct tide_property none[] = {{NULL, NULL}};
    static const struct tide_property tls[] = {
        {"security.protocol", "ssl"},
        {"log_level", "3"}, /* it has no brokers, which is not to be warned of */
        {NULL, NULL}};
    struct tide_properties properties = {0};
    tide_properties_set(&properties, items, count);
    rd_kafka_t *client = tide_kafka_client_new(TIDE_KAFKA_PRODUCER,
                                               tide_kafka_conf_new(none, &properties, tls),
                                               "the client's certificate");
    tide_properties_wipe(&properties);
    if (!client)
        return TIDE_ECONFIG;
    rd_kafka_destroy(client);
    return TIDE_OK;
}

/* The mock cluster has this name as its id. It is asked without waiting: whoever wants to know has reached a broker
 * before, and the id came with its answer. */
bool tide_kafka_is_mock(struct rd_kafka_s *client)
{
    static const char name[] = "mockCluster";
    char *id = rd_kafka_clusterid(client, 0);
    bool mock = id && strncmp(id, name, sizeof(name) - 1) == 0;
    rd_kafka_mem_free(client, id);
    return mock;
}

bool tide_kafka_coordinator_is_away(int error)
{
    return error == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
           error == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
           error == RD_KAFKA_RESP_ERR_NOT_COORDINATOR;
}

const char *tide_rdkafka_version(void)
{
    return rd_kafka_version_str();
}
