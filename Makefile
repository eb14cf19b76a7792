# SPDX-License-Identifier: MIT
# `make help` lists the targets. V=1 shows commands; SANITIZER=address|undefined|thread builds apart, and so does
# FAULTS=1: with the fault points of engine/base/fault.h, and FUZZ=1: by clang, for libFuzzer (scripts/fuzz/fuzz.h).

CC ?= gcc
CXX ?= g++
PREFIX ?= /usr/local
COMMA := ,
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0)
BUILD := build$(if $(FUZZ),/fuzz)$(if $(SANITIZER),/$(if $(filter address,$(SANITIZER)),asan,$(SANITIZER)))$(if $(FAULTS),/faults)
Q := $(if $(V),,@)

# The macros of rdkafka.h are statement expressions, which clang counts as ours. What depends on the time of a build
# (-Wdate-time) would make each build another one. WERROR=1 makes errors of them all.
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wdate-time -Wno-gnu-statement-expression
C_WARNINGS := $(WARNINGS) -Wstrict-prototypes -Wmissing-prototypes -Werror=implicit-function-declaration
CFLAGS ?= -O2 -g

# What hardens the release; scripts/dev/hardening.sh tells whether a file has it. What a compiler or a machine may not
# know is asked of the compiler, once: gcc 11 has no _FORTIFY_SOURCE=3, CET is of x86, and with -O0 nothing is fortified.
known = $(shell $(CC) $(CFLAGS) -Werror $(1) -include stdlib.h -x c /dev/null -fsyntax-only 2>/dev/null && echo '$(1)')
FORTIFY := -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE
probed = $(or $(call known,$(FORTIFY)=3),$(call known,$(FORTIFY)=2)) $(strip $(foreach flag,-fstack-protector-strong \
  -fstack-clash-protection -fcf-protection=full -mbranch-protection=standard,$(call known,$(flag))))
HARDENING = $(eval HARDENING := $$(probed))$(HARDENING)
LINKING := -Wl,-z,relro,-z,now,-z,noexecstack
LINKING_PROGRAM := -pie

ifdef SANITIZER
HARDENING :=
SANITIZE := -fsanitize=$(subst address,address$(COMMA)undefined,$(SANITIZER)) -fno-sanitize-recover=all \
  -fno-omit-frame-pointer -DTIDE_SANITIZED
endif
ifdef FUZZ
override CC := $(filter ccache,$(CC)) clang
override CXX := $(filter ccache,$(CXX)) clang++
HARDENING :=
SANITIZE := -fsanitize=fuzzer-no-link,address,undefined,float-cast-overflow -fno-sanitize=function,vptr -fno-sanitize-recover=all \
  -fno-omit-frame-pointer
endif
# Nobody replaces a function of the library, so calls inside of it are direct (-fno-semantic-interposition,
# -Bsymbolic-functions): several for each message would go through a table otherwise.
# No object holds the name of the folder that it was built in, so that two builds are equal (make reproducible).
BASE_FLAGS = -fPIC -fno-semantic-interposition -ffile-prefix-map="$$PWD"=. $(if $(WERROR),-Werror) $(HARDENING) $(SANITIZE) $(CFLAGS)
C_FLAGS = -std=gnu11 -D_GNU_SOURCE -Iengine $(C_WARNINGS)
CXX_FLAGS = -std=c++17 -fno-exceptions -fno-rtti -fvisibility=hidden -Iengine $(WARNINGS) $(shell pkg-config --cflags simdjson)
ALL_FLAGS = $(C_FLAGS) -DTIDE_VERSION='"$(VERSION)"' $(if $(FAULTS),-DTIDE_FAULTS) $(BASE_FLAGS)
ALL_CXX_FLAGS = $(CXX_FLAGS) $(if $(FAULTS),-DTIDE_FAULTS) $(BASE_FLAGS)
LINK_FLAGS = $(LINKING) $(SANITIZE) $(LDFLAGS)
LIBS = $(shell pkg-config --libs rdkafka simdjson libcrypto libmicrohttpd libseccomp lmdb) -lpthread -lm
LUA_CFLAGS = $(shell pkg-config --cflags luajit)
LUA_LIBS = $(shell pkg-config --libs luajit)

SOURCES := $(filter-out engine/main.c,$(sort $(wildcard engine/*.c engine/*/*.c engine/*/*/*.c)))
CXX_SOURCES := $(sort $(wildcard engine/json/*.cpp))
HEADERS := $(wildcard engine/*.h engine/*/*.h engine/*/*/*.h)
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o) $(if $(filter thread,$(SANITIZER)),$(BUILD)/scripts/dev/tsan_threads.o) \
  $(CXX_SOURCES:%.cpp=$(BUILD)/%.o)
FORMATTED := $(wildcard engine/*.[ch] engine/*/*.[ch] engine/*/*/*.[ch] engine/json/*.[ch]pp lua/tidemill/run/*.[ch] scripts/*/*.[ch] scripts/fuzz/targets/*.c)
MODULES := $(BUILD)/tidemill_json.so $(BUILD)/tidemill_memory.so $(BUILD)/tidemill_stack.so
FUZZ_TARGETS := $(basename $(notdir $(wildcard scripts/fuzz/targets/*)))
FUZZ_PROGRAMS := $(FUZZ_TARGETS:%=$(BUILD)/targets/%)
TOOL := scripts/dev/kafka_tool.c scripts/dev/kafka_records.c scripts/dev/kafka_brokers.c

# Specs that CI runs under AddressSanitizer and UBSan each time: all that need no broker, and of those that do the ones that
# pass bytes of every kind, keep state, or give partitions back. The rest (make long) would take four minutes more.
# verdict_spec is about what takes how long beside what, which a sanitizer changes: it makes the engine's part the longest.
SPECS_SANITIZED := spec/unit spec/sim $(filter-out %/verdict_spec.lua,$(wildcard spec/flow/*_spec.lua)) \
  $(foreach name,acl bad_input carriage chain commits cooperative delivery dlq exactly_once exporter joined metrics pattern pause \
  rebalance refused reload state state_refused strategies table transactions tune wake windows,spec/kafka/$(name)_spec.lua)
# Where the engine has threads beside it: blocking calls, the HTTP server, librdkafka's; and where processes are forked
# beside threads (reloads).
SPECS_THREADS := spec/unit/http spec/flow/http_spec.lua spec/flow/reload_spec.lua spec/flow/tap_command_spec.lua \
  $(foreach name,chain commits delivery dlq engines exactly_once exporter faults group joined outage reach rebalance refused \
  reload security state state_refused stop table topics transactions windows,spec/kafka/$(name)_spec.lua)

.PHONY: all needs bare check faults simulate spec spec-json spec-carriage spec-kafka test lint tidy analyze sanitized threads valgrind \
  reproducible long flags format format-check fuzz fuzz-corpus fuzz-programs torture bench bench-quick bench-tune demo site pictures docs tools install uninstall deb dist kubernetes clean deps help
.DELETE_ON_ERROR:

all: $(BUILD)/tidemill $(MODULES) ## build the program and the library into build/

needs: # what compiling takes; says the command to type when something is missing
	$(Q)scripts/dev/install.sh --check build

$(BUILD)/%.o: %.c Makefile | needs
	@mkdir -p $(@D)
	@echo '  CC    $<'
	$(Q)$(CC) $(ALL_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/%.o: %.cpp Makefile | needs
	@mkdir -p $(@D)
	@echo '  CXX   $<'
	$(Q)$(CXX) $(ALL_CXX_FLAGS) -MMD -MP -c $< -o $@

$(BUILD)/engine/main.o: ALL_FLAGS += $(LUA_CFLAGS)

$(BUILD)/libtidemill.so: $(OBJECTS)
	@echo '  LINK  $@'
	$(Q)$(CXX) -shared -Wl,-Bsymbolic-functions $(LINK_FLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tidemill_json.so: $(wildcard lua/tidemill/run/json_*.[ch])
$(BUILD)/tidemill_memory.so: lua/tidemill/run/memory.c
$(BUILD)/tidemill_stack.so: lua/tidemill/run/stack.c
$(MODULES): $(BUILD)/libtidemill.so
	@echo '  LINK  $@'
	$(Q)$(CC) $(ALL_FLAGS) $(LUA_CFLAGS) -shared $(LINK_FLAGS) -o $@ $(filter %.c,$^) -Wl,-z,nodelete -Wl,-rpath,'$$ORIGIN' -L$(BUILD) -ltidemill

$(BUILD)/tidemill: $(BUILD)/engine/main.o $(BUILD)/libtidemill.so
	@echo '  LINK  $@'
	$(Q)$(CC) $(LINKING_PROGRAM) $(LINK_FLAGS) -Wl,-E -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib/tidemill' -o $@ $< -L$(BUILD) -ltidemill $(LUA_LIBS)

build/kafka_tool: $(TOOL) $(wildcard scripts/dev/*.h) | needs
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C_FLAGS) $(if $(WERROR),-Werror) -O2 -g -o $@ $(TOOL) $(shell pkg-config --cflags --libs rdkafka)

build/mock_kafka: scripts/dev/mock_kafka.c | needs
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C_FLAGS) $(if $(WERROR),-Werror) -O2 -g -o $@ $< $(shell pkg-config --libs rdkafka)

build/bare_loop build/latency: build/%: scripts/bench/%.c | needs
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C_FLAGS) $(if $(WERROR),-Werror) -O2 -g -o $@ $< $(shell pkg-config --libs rdkafka) -lpthread

build/micro: scripts/bench/micro.c build/libtidemill.so
	@echo '  CC    $@'
	$(Q)$(CC) $(C_FLAGS) -O2 -g -o $@ $< -Wl,-rpath,'$$ORIGIN' -Lbuild -ltidemill

build/bench/floor.so: scripts/bench/floor.c | needs
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(C_FLAGS) $(LUA_CFLAGS) -O2 -g -fPIC -shared -o $@ $<

$(BUILD)/simulate: $(wildcard scripts/sim/*.[ch]) $(BUILD)/libtidemill.so
	@echo '  CC    $@'
	$(Q)$(CC) $(ALL_FLAGS) -o $@ $(filter %.c,$^) -Wl,-rpath,'$$ORIGIN' -L$(BUILD) -ltidemill

# A target for libFuzzer; in any other build it comes with a program that runs it on files.
FUZZ_COMMON := scripts/fuzz/fuzz.c $(if $(FUZZ),,scripts/fuzz/replay.c)
FUZZ_LINK = $(if $(FUZZ),-fsanitize=fuzzer) -Iscripts/fuzz -Wl,-E -Wl,-rpath,'$$ORIGIN/..' -L$(BUILD) -ltidemill
$(BUILD)/targets/%: scripts/fuzz/targets/%.c $(FUZZ_COMMON) scripts/fuzz/fuzz.h $(BUILD)/libtidemill.so
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(ALL_FLAGS) -o $@ $(filter %.c,$^) $(FUZZ_LINK) -lrdkafka

$(BUILD)/targets/%: scripts/fuzz/targets/%.lua scripts/fuzz/lua.c $(FUZZ_COMMON) scripts/fuzz/fuzz.h $(BUILD)/libtidemill.so $(MODULES)
	@mkdir -p $(@D)
	@echo '  CC    $@'
	$(Q)$(CC) $(ALL_FLAGS) $(LUA_CFLAGS) -DFUZZ_SCRIPT='"$<"' -DFUZZ_BUILD='"$(BUILD)"' $(if $(FUZZ),-DFUZZ_COVERAGE) -o $@ $(filter %.c,$^) $(FUZZ_LINK) $(LUA_LIBS)

fuzz-programs: $(FUZZ_PROGRAMS)

tools: build/kafka_tool build/mock_kafka build/bare_loop $(BUILD)/simulate $(FUZZ_PROGRAMS)

faults: ## the same with fault points, into build/faults
	$(Q)$(MAKE) --no-print-directory FAULTS=1 all $(BUILD)/faults/simulate fuzz-programs

simulate: all $(BUILD)/simulate ## the long form of the simulation: SIM_STEPS=100000000 steps from SIM_SEED=1 on
	$(Q)$(BUILD)/simulate --steps $(or $(SIM_STEPS),100000000) --seed $(or $(SIM_SEED),1)

check: lint spec ## lint and specs (those that need a Kafka are pending without TIDE_KAFKA)

spec: all tools faults ## specs; SPEC=path runs one file or folder
	$(Q)scripts/dev/run_specs.sh $(SPEC)

spec-json: all ## the long form of the JSON specs: 1,000,000 random documents (some minutes)
	$(Q)TIDE_JSON_DOCUMENTS=1000000 TIDE_SPEC_SECONDS=3600 scripts/dev/run_specs.sh spec/unit/json/random_spec.lua

spec-carriage: ## the long form of spec/kafka/carriage_spec.lua: 1,000,000 random messages (an hour or so)
	$(Q)TIDE_CARRIAGE_MESSAGES=$(or $(CARRIAGE_MESSAGES),1000000) TIDE_SPEC_SECONDS=14400 \
	  scripts/dev/test.sh spec/kafka/carriage_spec.lua

spec-kafka: all tools faults ## the specs against a real Kafka that is started for them
	$(Q)scripts/dev/test.sh spec/kafka

test: ## all there is: installs what is missing, starts three real Kafkas, ends with `N passed, N failed`; or SPEC=path
	$(Q)scripts/dev/test.sh $(SPEC)

bare: ## the README's commands in bare Debian roots, as a newcomer would (scripts/dev/bare.sh); needs root
	$(Q)scripts/dev/bare.sh $(SUITE)

lint analyze tidy: export LINT_C_FLAGS = $(C_FLAGS) $(LUA_CFLAGS) -DFUZZ_SCRIPT="" -DFUZZ_BUILD=""
lint analyze tidy: export LINT_CXX_FLAGS = $(CXX_FLAGS)
lint: ## luacheck, shellcheck, warnings of gcc and clang as errors, house style (format-check)
	$(Q)scripts/dev/lint.sh

tidy: ## clang-tidy over the C files (minutes)
	$(Q)scripts/dev/install.sh tidy && printf '%s\n' $(SOURCES) engine/main.c lua/tidemill/run/*.c scripts/sim/*.c | \
	  xargs -P $$(nproc) -n 4 sh -c 'clang-tidy --quiet "$$@" -- $$LINT_C_FLAGS 2>/dev/null' clang-tidy

analyze: ## gcc -fanalyzer over the C files (minutes)
	$(Q)scripts/dev/analyze.sh

sanitized: ## specs of what reads foreign bytes, under AddressSanitizer and UBSan; make test SANITIZER=address runs all
	$(Q)$(MAKE) --no-print-directory test SANITIZER=address SPEC="$(SPECS_SANITIZED)"

threads: ## specs of the engine's threads under ThreadSanitizer
	$(Q)$(MAKE) --no-print-directory test SANITIZER=thread SPEC="$(SPECS_THREADS)"

valgrind: all $(BUILD)/simulate faults ## the simulation and some specs under valgrind (minutes)
	$(Q)scripts/dev/valgrind.sh

reproducible: ## are two builds in other folders, by other users and in other locales equal byte for byte?
	$(Q)scripts/dev/reproducible.sh

long: ## what CI does not run each time: all specs under each sanitizer, valgrind, analyzer, tidy, reproducible
	$(Q)scripts/dev/long.sh

flags: ## what hardens this build: options of the compiler, of the linker, and of the linker for the program
	@printf '%s\n' '$(HARDENING)' '$(LINKING)' '$(LINKING_PROGRAM)'

format: ## clang-format over the C files
	$(Q)clang-format -i $(FORMATTED)

format-check:
	$(Q)clang-format --dry-run --Werror $(FORMATTED)

fuzz: ## libFuzzer on what reads foreign bytes: T=60 seconds a target, TARGET=name; RUNS=10000000 or TOTAL=10000000 the long form; PLANTED=1 (scripts/fuzz/run.sh)
	$(Q)scripts/dev/install.sh fuzz && $(MAKE) -s -j2 FUZZ=1 $(if $(PLANTED),FAULTS=1) fuzz-programs && scripts/fuzz/run.sh

fuzz-corpus: all ## scripts/fuzz/corpus anew, from real data and from what was found on this machine
	$(Q)scripts/dev/install.sh fuzz && $(MAKE) -s -j2 FUZZ=1 fuzz-programs && scripts/fuzz/corpus.sh

torture: ## faults on real engines and a real Kafka, then the comparison; TORTURE_PART, _MODE, _SEED: scripts/torture/main.lua
	$(Q)scripts/dev/install.sh build run kafka && $(MAKE) -s all tools && scripts/torture/run.sh

bench: ## all benchmarks, into docs/bench.md (about 110 minutes); PARTS="compare limits latency state keys scaling micro in-process"; scripts/bench/run.sh
	$(Q)scripts/dev/install.sh build run bench && $(MAKE) -s all tools && scripts/bench/run.sh $(PARTS)

bench-quick: ## for daily use, under 3 minutes: the bare loop and tidemill on a real Kafka, and single costs against their record
	$(Q)scripts/dev/install.sh build run bench && $(MAKE) -s all && BENCH_QUICK=1 scripts/bench/run.sh $(or $(PARTS),compare micro)

bench-tune: ## `tidemill tune` against a full grid of settings on five workloads (about 40 minutes; BENCH_QUICK=1: some minutes)
	$(Q)$(MAKE) -s all && LUA_PATH="./lua/?.lua;./lua/?/init.lua;./?.lua;$${LUA_PATH:-;}" luajit scripts/bench/tune.lua

demo: ## a pipeline of scripts/ on 100,000 events and a Kafka in the process
	$(Q)scripts/dev/demo.sh

site: ## README and docs/ as static HTML with search, into build/site/out (scripts/site/build.sh)
	$(Q)scripts/dev/install.sh site && scripts/site/build.sh

pictures: ## docs/pictures/*.svg from the texts beside them (Graphviz; scripts/site/pictures.sh)
	$(Q)scripts/dev/install.sh site && scripts/site/pictures.sh

docs: all ## docs/*.md from the option tables and the metric list
	$(Q)luajit scripts/dev/docs.lua

deps: ## install what building and running needs
	$(Q)scripts/dev/install.sh build run

install: all ## PREFIX=/usr/local, DESTDIR for packagers
	$(Q)scripts/dev/place.sh install $(BUILD)

uninstall: ## what install has put below PREFIX, and nothing else
	$(Q)scripts/dev/place.sh uninstall

deb: ## a Debian package of this checkout, for the Debian that this is, into build/ (scripts/dev/deb.sh)
	$(Q)scripts/dev/install.sh deb && $(MAKE) -s all && scripts/dev/deb.sh

dist: ## a tar.gz for any x86-64 Linux with glibc 2.31 or newer, into build/; on Debian 12 (scripts/dev/dist.sh)
	$(Q)scripts/dev/install.sh dist && scripts/dev/dist.sh

kubernetes: ## is packaging/kubernetes as the published schemas want it? fetches them with pip, once
	$(Q)scripts/dev/install.sh rdkafka && scripts/dev/kubernetes.sh

install uninstall: export PREFIX := $(PREFIX)
install uninstall: export DESTDIR := $(DESTDIR)

clean: ## remove build/ but not what was fetched: Kafka, librdkafka, Prometheus, schemas, Debian roots
	find build -mindepth 1 -maxdepth 1 ! -name kafka ! -name rdkafka ! -name prometheus ! -name kubernetes ! -name bare -exec rm -rf {} + 2>/dev/null || true

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(OBJECTS:.o=.d) $(BUILD)/engine/main.d
