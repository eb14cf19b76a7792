// SPDX-License-Identifier: MIT

// The benchmark's job in Benthos: job BOOTSTRAP IN OUT GROUP READ KEPT STARTED [name=value...], until KEPT results are
// acknowledged. Prints one line of JSON; seconds run from the first message to the last acknowledgement.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	_ "github.com/benthosdev/benthos/v4/public/components/kafka"
	_ "github.com/benthosdev/benthos/v4/public/components/pure"
	"github.com/benthosdev/benthos/v4/public/service"
)

const pipeline = `
http: { enabled: false }
logger: { level: ERROR }
metrics: { bench: {} }
input:
  kafka_franz:
    seed_brokers: [ "%[1]s" ]
    topics: [ "%[2]s" ]
    consumer_group: "%[4]s"
    checkpoint_limit: 20000
    start_from_oldest: true
    commit_period: 1s
    batching: { count: %[6]s, period: 50ms }
pipeline:
  threads: %[5]s
  processors:
    - mapping: |
        root = if this.level == "debug" {
          deleted()
        } else {
          this.without("value").assign({ "v": this.value * 2, "seen": true })
        }
output:
  kafka_franz:
    seed_brokers: [ "%[1]s" ]
    topic: "%[3]s"
    idempotent_write: true
    compression: none
    max_in_flight: 64
`

// counts has what the pipeline has read and what was acknowledged, from its own metrics.
type counts struct {
	started     string
	read, sent  atomic.Int64
	began, last atomic.Int64
}

type counter struct {
	of   *counts
	name string
}

func (c counter) Incr(count int64) {
	switch c.name {
	case "input_received":
		if c.of.began.CompareAndSwap(0, time.Now().UnixNano()) {
			if file, err := os.Create(c.of.started); err == nil {
				file.Close()
			}
		}
		c.of.read.Add(count)
	case "output_sent":
		c.of.last.Store(time.Now().UnixNano())
		c.of.sent.Add(count)
	}
}

type nothing struct{}

func (nothing) Timing(int64) {}
func (nothing) Set(int64)    {}

func (c *counts) NewCounterCtor(name string, _ ...string) service.MetricsExporterCounterCtor {
	return func(...string) service.MetricsExporterCounter { return counter{c, name} }
}

func (c *counts) NewTimerCtor(string, ...string) service.MetricsExporterTimerCtor {
	return func(...string) service.MetricsExporterTimer { return nothing{} }
}

func (c *counts) NewGaugeCtor(string, ...string) service.MetricsExporterGaugeCtor {
	return func(...string) service.MetricsExporterGauge { return nothing{} }
}

func (c *counts) Close(context.Context) error { return nil }

func require(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "benthos:", err)
		os.Exit(70)
	}
}

func main() {
	arguments, words := os.Args[1:8], map[string]string{}
	for _, word := range os.Args[8:] {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	read, err := strconv.ParseInt(arguments[4], 10, 64)
	require(err)
	kept, err := strconv.ParseInt(arguments[5], 10, 64)
	require(err)
	seen := &counts{started: arguments[6]}
	require(service.RegisterMetricsExporter("bench", service.NewConfigSpec(),
		func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return seen, nil }))
	builder := service.NewStreamBuilder()
	require(builder.SetYAML(fmt.Sprintf(pipeline, arguments[0], arguments[1], arguments[2], arguments[3],
		words["threads"], words["batch"])))
	stream, err := builder.Build()
	require(err)
	go func() { require(stream.Run(context.Background())) }()
	for seen.read.Load() < read || seen.sent.Load() < kept {
		time.Sleep(5 * time.Millisecond)
	}
	seconds := float64(seen.last.Load()-seen.began.Load()) / 1e9
	require(stream.StopWithin(20 * time.Second))
	fmt.Printf("{\"read\":%d,\"seconds\":%.3f}\n", seen.read.Load(), seconds)
}
