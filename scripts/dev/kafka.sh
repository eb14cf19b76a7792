#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A real Kafka for specs and benchmarks: one KRaft node on free loopback ports.
#   kafka.sh start DIR [property=value...]   prints host:port; DIR/pid and DIR/bootstrap tell the same; in a property
#                                            @BROKER@ and @CONTROLLER@ are its ports, @FREE1@ and @FREE2@ further ones;
#                                            --add-scram=... is for the format of its data (kafka-storage)
#   kafka.sh stop DIR | kill DIR             by DIR/pid; kill is SIGKILL; both wait until it is gone
#   kafka.sh restart DIR                     the same ports and data after a stop or a kill
#   kafka.sh jars | tool                     only fetches the jars, only builds build/kafka_tool
# Exit code 69: Java or the jars cannot be had, or the broker does not come up.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
libs=$root/build/kafka/libs
tool=$root/build/kafka_tool
deadline_s=180 # one that has ended is noticed at once

fail() {
  echo "kafka: $1" >&2
  exit "${2:-69}"
}

fetch_jars() {
  local pom=$root/scripts/dev/pom.xml version log
  cmp -s "$pom" "$libs/pom.xml" && return
  command -v mvn >/dev/null || fail "Maven is missing (install.sh kafka)"
  version=$(sed -n '/kafka_2.13/{n;s/.*<version>\(.*\)<.*/\1/p}' "$pom")
  echo "kafka: fetching the jars of Kafka $version, once" >&2
  mkdir -p "$root/build/kafka"
  log=$root/build/kafka/mvn.log
  rm -rf "$libs" "$libs.part"
  if ! mvn -q -B -f "$pom" -DoutputDirectory="$libs.part" -DincludeScope=runtime \
    org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    fail "Maven cannot fetch the jars (see $log)"
  fi
  cp "$pom" "$libs.part/pom.xml"
  mv "$libs.part" "$libs"
}

build_tool() {
  local source=$root/scripts/dev
  local part newer=1
  for part in tool records brokers; do
    [ "$tool" -nt "$source/kafka_$part.c" ] || newer=
  done
  [ -z "$newer" ] || return 0
  mkdir -p "$root/build"
  cc -std=gnu11 -O2 -Wall -Wextra -o "$tool.$$" "$source"/kafka_{tool,records,brokers}.c \
    -lrdkafka || fail "cannot build $tool"
  mv "$tool.$$" "$tool"
}

# Below the range that the kernel gives to outgoing connections, so nobody takes it meanwhile.
free_port() { # PORT...; another one than these, on which nobody may listen yet
  local port try
  for try in {1..100}; do
    port=$((20000 + RANDOM % 12000))
    if [[ " $* " != *" $port "* ]] && ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  fail "no free port after $try tries"
}

write_properties() { # DIR BROKER_PORT CONTROLLER_PORT [property=value...]
  local dir=$1 broker=$2 controller=$3 free1 free2
  shift 3
  free1=$(free_port "$broker" "$controller")
  free2=$(free_port "$broker" "$controller" "$free1")
  { cat "$root/scripts/dev/kafka.properties" && [ $# -eq 0 ] || printf '%s\n' "$@"; } |
    sed -e "s|@DIR@|$dir|g" -e "s|@BROKER@|$broker|g" -e "s|@CONTROLLER@|$controller|g" \
      -e "s|@FREE1@|$free1|g" -e "s|@FREE2@|$free2|g" >"$dir/server.properties"
}

running() { [ -s "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null; }

java_kafka() { # CLASS ARGUMENTS...
  exec java -Xms256m -Xmx1g -Djava.awt.headless=true -cp "$libs/*" \
    -Dlog4j2.configurationFile="$root/scripts/dev/log4j2.properties" \
    -Dtidemill.kafka.log="$dir/kafka.log" "$@"
}

launch() { # DIR; starts it and waits until it answers
  local dir=$1 bootstrap until
  bootstrap=$(cat "$dir/bootstrap")
  # A session of its own: a Ctrl-C at the terminal is for the specs, whose trap then stops it.
  (
    exec </dev/null >>"$dir/kafka.out" 2>&1
    export -f java_kafka
    export root libs dir
    exec setsid bash -c 'java_kafka kafka.Kafka "$dir/server.properties"'
  ) &
  echo $! >"$dir/pid"
  until=$((SECONDS + deadline_s))
  until "$tool" "$bootstrap" wait 1 2>/dev/null; do
    running "$dir" || return 1
    [ $SECONDS -lt $until ] || return 1
  done
}

start() {
  local dir=$1 broker controller try word format=() properties=()
  shift
  for word in "$@"; do
    case $word in --*) format+=("$word") ;; *) properties+=("$word") ;; esac
  done
  command -v java >/dev/null || fail "Java is missing (install.sh kafka)"
  fetch_jars
  build_tool
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  ! running "$dir" || fail "already running in $dir" 75
  for try in 1 2 3; do # another process may have taken a port between choosing and binding
    rm -rf "$dir/data"
    broker=$(free_port)
    controller=$(free_port "$broker")
    write_properties "$dir" "$broker" "$controller" "${properties[@]}"
    echo "127.0.0.1:$broker" >"$dir/bootstrap"
    (java_kafka kafka.tools.StorageTool format -t tidemill-specs-cluster -c "$dir/server.properties" \
      "${format[@]}") \
      >"$dir/kafka.out" 2>&1 || break
    if launch "$dir"; then
      cat "$dir/bootstrap"
      return
    fi
    halt "$dir" KILL
    grep -q 'Address already in use' "$dir/kafka.out" "$dir/kafka.log" 2>/dev/null || break
  done
  tail -n 20 "$dir/kafka.out" "$dir/kafka.log" >&2 || true
  fail "the broker did not come up (try $try; its log is above)"
}

halt() { # DIR SIGNAL; waits until the process is gone
  local dir=$1 pid until
  [ -s "$dir/pid" ] || return 0
  pid=$(cat "$dir/pid")
  kill -CONT "$pid" 2>/dev/null || true
  kill "-$2" "$pid" 2>/dev/null || true
  until=$((SECONDS + 20))
  while kill -0 "$pid" 2>/dev/null; do
    # The parent that would reap it may be this very shell; a zombie has ended.
    grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null && break
    [ $SECONDS -lt $until ] || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$dir/pid"
}

[ $# -ge 2 ] || [[ ${1:-} =~ ^(jars|tool)$ ]] || fail "usage: kafka.sh start|stop|kill|restart DIR, kafka.sh jars|tool" 64
verb=$1
shift
case $verb in
  start) start "$@" ;;
  stop) halt "$1" TERM ;;
  kill) halt "$1" KILL ;;
  restart)
    dir=$(cd "$1" && pwd)
    ! running "$dir" || halt "$dir" TERM
    launch "$dir" || fail "the broker did not come back (see $dir/kafka.log)"
    cat "$dir/bootstrap"
    ;;
  jars) fetch_jars ;;
  tool) build_tool ;;
  *) fail "unknown verb $verb" 64 ;;
esac
