// SPDX-License-Identifier: MIT
// The benchmark's jobs in Kafka Streams: Job BOOTSTRAP IN OUT GROUP READ KEPT STARTED [name=value...]. Prints one line of
// JSON; seconds run from the first message to the last acknowledgement.
//   without store=     the job of the events, until READ messages are read and KEPT results acknowledged
//   store=rocksdb or store=memory: how often each key came, until READ messages are read; cache= bytes. The first warm=
//   messages do not count, but in "all". The last acknowledgement is of what its orderly end sends.
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerInterceptor;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

public final class Job {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final AtomicLong READ = new AtomicLong();
    private static final AtomicLong ACKNOWLEDGED = new AtomicLong();
    private static volatile long began;
    private static volatile long ended;

    /** Counts acknowledgements. */
    public static final class Counter implements ProducerInterceptor<byte[], byte[]> {
        @Override
        public ProducerRecord<byte[], byte[]> onSend(ProducerRecord<byte[], byte[]> record) {
            return record;
        }

        @Override
        public void onAcknowledgement(RecordMetadata metadata, Exception exception) {
            if (exception == null) {
                ended = System.nanoTime();
                ACKNOWLEDGED.incrementAndGet();
            }
        }

        @Override
        public void close() {}

        @Override
        public void configure(Map<String, ?> configs) {}
    }

    private static byte[] transform(byte[] value) {
        try {
            ObjectNode event = (ObjectNode) MAPPER.readTree(value);
            if ("debug".equals(event.get("level").textValue())) {
                return null;
            }
            JsonNode old = event.remove("value");
            event.put("v", old.doubleValue() * 2);
            event.put("seen", true);
            return MAPPER.writeValueAsBytes(event);
        } catch (java.io.IOException exception) {
            throw new java.io.UncheckedIOException(exception);
        }
    }

    /** Another message is read. What comes after the first `warm` ones counts. */
    private static void read(long warm, Path started) {
        if (READ.getAndIncrement() == warm) {
            try {
                Files.createFile(started);
            } catch (java.io.IOException exception) {
                throw new java.io.UncheckedIOException(exception);
            }
            began = System.nanoTime();
        }
    }

    private static Properties properties(String bootstrap, String group, Map<String, String> words) {
        Properties p = new Properties();
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, group);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, words.get("threads"));
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "1000");
        p.put(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("java.io.tmpdir") + "/" + group);
        if (words.containsKey("cache")) {
            p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, words.get("cache"));
        }
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), words.get("poll"));
        p.put(StreamsConfig.producerPrefix(ProducerConfig.ACKS_CONFIG), "all");
        p.put(StreamsConfig.producerPrefix(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG), "true");
        p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), "20");
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), words.get("batch"));
        p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "none");
        p.put(StreamsConfig.producerPrefix(ProducerConfig.INTERCEPTOR_CLASSES_CONFIG), Counter.class.getName());
        return p;
    }

    private static KStream<byte[], byte[]> counts(KStream<byte[], byte[]> input, String store) {
        return input.groupByKey(Grouped.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .count(Materialized.<byte[], Long>as(store.equals("rocksdb")
                ? Stores.persistentKeyValueStore("counts") : Stores.inMemoryKeyValueStore("counts"))
                .withKeySerde(Serdes.ByteArray()).withValueSerde(Serdes.Long()))
            .toStream().mapValues(count -> Long.toString(count).getBytes(StandardCharsets.US_ASCII));
    }

    public static void main(String[] arguments) throws Exception {
        long read = Long.parseLong(arguments[4]);
        long kept = Long.parseLong(arguments[5]);
        Path started = Path.of(arguments[6]);
        Map<String, String> words = new HashMap<>();
        for (String word : List.of(arguments).subList(7, arguments.length)) {
            words.put(word.substring(0, word.indexOf('=')), word.substring(word.indexOf('=') + 1));
        }
        long warm = Long.parseLong(words.getOrDefault("warm", "0"));
        String store = words.get("store");
        StreamsBuilder builder = new StreamsBuilder();
        KStream<byte[], byte[]> input = builder
            .stream(arguments[1], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .peek((key, value) -> read(warm, started));
        KStream<byte[], byte[]> output = store != null ? counts(input, store)
            : input.mapValues(Job::transform).filter((key, value) -> value != null);
        output.to(arguments[2], Produced.with(Serdes.ByteArray(), Serdes.ByteArray()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties(arguments[0], arguments[3], words));
        streams.start();
        while (READ.get() < read || store == null && ACKNOWLEDGED.get() < kept) {
            if (streams.state() == KafkaStreams.State.ERROR) {
                System.exit(70);
            }
            Thread.sleep(5);
        }
        streams.close(Duration.ofSeconds(60));
        streams.cleanUp();
        System.out.printf("{\"read\":%d,\"seconds\":%.3f,\"all\":%d}%n", READ.get() - warm, (ended - began) / 1e9,
            READ.get());
    }
}
