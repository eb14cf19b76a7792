/* SPDX-License-Identifier: MIT
 * Whether topics may be written, found out with a request that writes nothing; the header says how. It needs a
 * producer of its own, since the number of acknowledgements is a property of the client. */
#include "kafka/write_permission.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "base/status.h"
#include "kafka/client.h"

enum { POLL_MS = 100 };

/* NULL with tide_error(). The configuration is copied with its login, so no secret is needed again. Idempotence would
 * demand acks=all and a transactional id would demand idempotence, so both go. Without a time-out for messages an
 * outage would keep the check waiting. */
static rd_kafka_t *make_client(rd_kafka_t *client)
{
    static const char *const changes[][2] = {
        {"transactional.id", NULL},
        {"enable.idempotence", "false"},
        {"acks", "2"},
        {"linger.ms", "0"},
        {"message.timeout.ms", "5000"},
        {"statistics.interval.ms", "0"},
    };
    char text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(rd_kafka_conf(client));
    /* As in sink/producer.c: the copy has the callback that the property asks for. */
    rd_kafka_conf_set(conf, "enable.sasl.oauthbearer.unsecure.jwt", "false", NULL, 0);
    bool well = true;
    for (size_t i = 0; i < sizeof(changes) / sizeof(*changes) && well; i++)
        well = rd_kafka_conf_set(conf, changes[i][0], changes[i][1], text, sizeof(text)) ==
               RD_KAFKA_CONF_OK;
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    if (well)
        return tide_kafka_client_new(TIDE_KAFKA_PRODUCER, conf, "produce");
    rd_kafka_conf_destroy(conf);
    tide_fail(TIDE_ECONFIG, "produce: %s", text);
    return NULL;
}

/* INVALID_REQUIRED_ACKS is the answer that was wished for. Every other one but a refusal leaves it open, which is no
 * reason not to start: the first delivery report will tell. */
static int check_report(const rd_kafka_message_t *answer)
{
    const char *topic = rd_kafka_topic_name(answer->rkt);
    if (answer->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        return tide_fail(TIDE_ECONFIG, "topic \"%s\" must not be written: %s", topic,
                         rd_kafka_err2str(answer->err));
    if (answer->err == RD_KAFKA_RESP_ERR_NO_ERROR)
        tide_log(TIDE_LOG_WARN,
                 "topic \"%s\" has an empty record now: its brokers took a request that Kafka's "
                 "refuse, which was to tell whether the topic may be written",
                 topic);
    else if (answer->err != RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS)
        tide_log(TIDE_LOG_DEBUG, "whether topic \"%s\" may be written is not known: %s", topic,
                 rd_kafka_err2str(answer->err));
    return TIDE_OK;
}

/* Each message has its report when its time-out is over, so the loop ends. */
static int wait_for_reports(rd_kafka_t *asker, struct tide_blocking *blocking)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_main(asker);
    int status = TIDE_OK;
    while (rd_kafka_outq_len(asker) > 0 && status == TIDE_OK &&
           !(blocking && tide_blocking_wanted(blocking))) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, POLL_MS);
        const rd_kafka_message_t *answer;
        while (event && status == TIDE_OK && (answer = rd_kafka_event_message_next(event)))
            status = check_report(answer);
        if (event)
            rd_kafka_event_destroy(event);
    }
    rd_kafka_queue_destroy(queue);
    return status;
}

int tide_kafka_check_write_permission(struct rd_kafka_s *client, const char *const *topics,
                                      uint32_t count, struct tide_blocking *blocking)
{
    if (tide_kafka_is_mock(client))
        return TIDE_OK;
    rd_kafka_t *asker = make_client(client);
    if (!asker)
        return TIDE_ECONFIG;
    for (uint32_t i = 0; i < count; i++)
        rd_kafka_producev(asker, RD_KAFKA_V_TOPIC(topics[i]), RD_KAFKA_V_END);
    int status = wait_for_reports(asker, blocking);
    rd_kafka_purge(asker, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_destroy(asker);
    return status;
}
