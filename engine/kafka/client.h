/* SPDX-License-Identifier: MIT
 * engine/kafka/client.h - from the properties of a pipeline file to a librdkafka client. A value may be a secret, so no text
 * ever has one. */
#ifndef TIDE_KAFKA_CLIENT_H
#define TIDE_KAFKA_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/plan.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;

/** Properties with strings of their own. Zero it to begin with. */
struct tide_properties {
    struct tide_property *items;
    uint32_t count;
};

/** Replaces the properties by copies of `items`; without those whose names begin with "-", which are not librdkafka's. */
void tide_properties_set(struct tide_properties *properties, const struct tide_property *items,
                         uint32_t count);
/** The value that counts, which is the last one of that name, or NULL. */
const char *tide_properties_get(const struct tide_properties *properties, const char *name);
/** Overwrites the values and frees all. */
void tide_properties_wipe(struct tide_properties *properties);
/** bootstrap.servers, to be named in texts: never NULL, never a secret. */
const char *tide_properties_brokers(const struct tide_properties *properties);

/** `defaults` (ends with a NULL name; one that this librdkafka does not know is passed over) give way
 * to `properties`, and those to `fixed` (likewise), which hold the promises. Log lines go to tide_log.
 * NULL with TIDE_ECONFIG's text in tide_error(). */
struct rd_kafka_conf_s *tide_kafka_conf_new(const struct tide_property *defaults,
                                            const struct tide_properties *properties,
                                            const struct tide_property *fixed);

enum tide_kafka_client_type { TIDE_KAFKA_PRODUCER, TIDE_KAFKA_CONSUMER };
/** The one call of rd_kafka_new(). Takes over `conf`, also when it fails; a NULL is passed through. NULL with TIDE_ECONFIG and
 * librdkafka's reason, which begins with `who`. */
struct rd_kafka_s *tide_kafka_client_new(enum tide_kafka_client_type type,
                                         struct rd_kafka_conf_s *conf, const char *who);
/** Its brokers are librdkafka's mock cluster, which knows only some requests. */
bool tide_kafka_is_mock(struct rd_kafka_s *client);
/** The coordinator of a group moves, or loads what it knows of its groups: that ends, however long it takes. `error` is
 * librdkafka's. */
bool tide_kafka_coordinator_is_away(int error);

#endif
