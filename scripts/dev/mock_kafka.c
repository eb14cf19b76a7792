/* SPDX-License-Identifier: MIT
 * mock_kafka BROKERS - librdkafka's mock cluster in a process of its own, for the faults that a real
 * broker does not show on demand (spec/support/mock_kafka.lua). It prints its bootstrap servers, then
 * answers each line of stdin by "ok" or what is wrong, and leaves at the end of stdin.
 *
 *   topic NAME PARTITIONS
 *   errors API CODE...             the next requests of this kind (numbers of Kafka's protocol) fail so
 *   late BROKER API MS [CODE]      the next request of this kind is answered that late, or fails so
 *   clear API                      no more errors
 *   leader TOPIC PARTITION BROKER  moves a partition
 *   coordinator NAME BROKER [KIND] moves a group, or a transactional id (KIND transaction)
 *   versions API LOWEST HIGHEST    of the kind of request that the brokers take
 *   down BROKER, up BROKER */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 32, LINE = 1024 };

/* From 2.4.0 on (spec/support/mock_kafka.lua runs this with a newer one where there is one); before, the
 * first join of a group takes 3 s. */
extern void rd_kafka_mock_group_initial_rebalance_delay_ms(rd_kafka_mock_cluster_t *cluster,
                                                           int32_t delay_ms) __attribute__((weak));

enum { JOIN_DELAY_MS = 100 };

static rd_kafka_mock_cluster_t *cluster;

static rd_kafka_resp_err_t topic(char **words, int count)
{
    (void)count;
    return rd_kafka_mock_topic_create(cluster, words[1], atoi(words[2]), 1);
}

static rd_kafka_resp_err_t errors(char **words, int count)
{
    rd_kafka_resp_err_t codes[WORDS];
    for (int i = 2; i < count; i++)
        codes[i - 2] = (rd_kafka_resp_err_t)atoi(words[i]);
    rd_kafka_mock_push_request_errors_array(cluster, (int16_t)atoi(words[1]), (size_t)count - 2,
                                            codes);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t late(char **words, int count)
{
    rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)(count > 4 ? atoi(words[4]) : 0);
    return rd_kafka_mock_broker_push_request_error_rtts(
        cluster, atoi(words[1]), (int16_t)atoi(words[2]), 1, code, atoi(words[3]));
}

static rd_kafka_resp_err_t clear(char **words, int count)
{
    (void)count;
    rd_kafka_mock_clear_request_errors(cluster, (int16_t)atoi(words[1]));
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t leader(char **words, int count)
{
    (void)count;
    return rd_kafka_mock_partition_set_leader(cluster, words[1], atoi(words[2]), atoi(words[3]));
}

static rd_kafka_resp_err_t coordinator(char **words, int count)
{
    return rd_kafka_mock_coordinator_set(cluster, count > 3 ? words[3] : "group", words[1],
                                         atoi(words[2]));
}

static rd_kafka_resp_err_t versions(char **words, int count)
{
    (void)count;
    return rd_kafka_mock_set_apiversion(cluster, (int16_t)atoi(words[1]), (int16_t)atoi(words[2]),
                                        (int16_t)atoi(words[3]));
}

static rd_kafka_resp_err_t down(char **words, int count)
{
    (void)count;
    return rd_kafka_mock_broker_set_down(cluster, atoi(words[1]));
}

static rd_kafka_resp_err_t up(char **words, int count)
{
    (void)count;
    return rd_kafka_mock_broker_set_up(cluster, atoi(words[1]));
}

static const struct {
    const char *name;
    int words; /* at least */
    rd_kafka_resp_err_t (*run)(char **words, int count);
} verbs[] = {
    {"topic", 3, topic}, {"errors", 3, errors}, {"late", 4, late},
    {"clear", 2, clear}, {"leader", 4, leader}, {"coordinator", 3, coordinator},
    {"down", 2, down},   {"up", 2, up},         {"versions", 4, versions},
};

static const char *obey(char *line)
{
    char *words[WORDS];
    int count = 0;
    for (char *word = strtok(line, " \n"); word && count < WORDS; word = strtok(NULL, " \n"))
        words[count++] = word;
    for (size_t i = 0; count > 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(words[0], verbs[i].name) == 0 && count >= verbs[i].words) {
            rd_kafka_resp_err_t error = verbs[i].run(words, count);
            return error ? rd_kafka_err2str(error) : "ok";
        }
    return "not a command (see the head of mock_kafka.c)";
}

int main(int count, char **arguments)
{
    char line[LINE], text[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "test.mock.num.brokers", count > 1 ? arguments[1] : "1", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "3", NULL, 0);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    cluster = client ? rd_kafka_handle_mock_cluster(client) : NULL;
    if (!cluster) {
        fprintf(stderr, "mock_kafka: %s\n", text);
        return 70;
    }
    if (rd_kafka_mock_group_initial_rebalance_delay_ms)
        rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, JOIN_DELAY_MS);
    puts(rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        puts(obey(line));
        fflush(stdout);
    }
    rd_kafka_destroy(client);
    return 0;
}
