#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make bare` runs: does the README hold on a machine that has nothing? For each Debian (or those that are named:
# bare.sh bookworm) a minimal root with git and make only, and in copies of it, with this checkout, what a newcomer
# types; in one that never saw a compiler, what packaging/ makes of it: the package, and the tar.gz, which is built on
# bookworm and also runs in a root of Debian 11 that is nothing else, since its glibc is the oldest that it is for. The
# manifests for Kubernetes are held against the published schemas, here. Ends with "N passed, N failed" (or adds to TIDE_COUNTS, and failures to TIDE_FAILURES, as run_specs.sh does).
#   BARE_ROOTS  folder of the roots as debootstrap made them, which are kept and copied (build/bare)
#   CI=true     a machine where this cannot be done (no root, no debootstrap, no mounts) is a failure, else it is skipped
# The packages come from where this machine's apt takes them. What runs in a root has its own mounts and processes,
# which end with it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 70

roots=${BARE_ROOTS:-build/bare}
limit_s=900 # of one step
passed=0 failed=0 skipped=0
job=
work=

finish() {
  [ -z "$job" ] || { kill "$job" 2>/dev/null && wait "$job"; }
  [ -z "$work" ] || rm -rf --one-file-system "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

tell() {
  if [ -n "${TIDE_COUNTS:-}" ]; then
    echo "$passed $failed $skipped" >>"$TIDE_COUNTS"
  else
    echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
  fi
  [ "$failed" = 0 ]
  exit
}

cannot() {
  echo "bare: skipped: $1" >&2
  if [ "${CI:-}" = true ]; then failed=1; else skipped=1; fi
  tell
}

# In the background and waited for, so that an interrupt reaches the trap at once. With mounts and processes of its
# own: the kernel ends both when unshare ends.
run_apart() {
  timeout --kill-after=5 "$limit_s" unshare --mount --pid --fork --kill-child "$@" </dev/null &
  job=$!
  wait "$job"
  local code=$?
  job=
  return "$code"
}

# What the machine's proxies are, for whatever fetches in a root.
passed_on=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL MAVEN_OPTS CI; do
  [ -z "${!name:-}" ] || passed_on+=("$name=${!name}")
done

# shellcheck disable=SC2016
ENTER='mount -t proc proc "$1/proc" && mount -t tmpfs shm "$1/dev/shm" && shift && exec chroot "$@"'

inside() { # USER COMMAND; in $root, from the user's home
  local home=/srv/admin as=()
  [ "$1" = root ] || { home=/srv/$1 && as=("--userspec=$1:$1"); }
  run_apart bash -c "$ENTER" bare "$root" "${as[@]}" "$root" \
    /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$1" LANG=C \
    "${passed_on[@]}" bash -c "cd && $2"
}

# Runs a function or command and counts it; what it printed goes to $log and is shown when it failed.
step() { # NAME COMMAND...
  local from=$SECONDS
  if "${@:2}" >"$log" 2>&1; then
    passed=$((passed + 1))
    printf 'bare: %-9s %4d s  %s\n' "$suite" $((SECONDS - from)) "$1"
  else
    failed=$((failed + 1))
    {
      printf 'bare: %-9s %4d s  %s: FAILED\n' "$suite" $((SECONDS - from)) "$1"
      tail -n 60 "$log" | sed 's/^/  /'
    } | tee -a "${TIDE_FAILURES:-/dev/null}"
    return 1
  fi
}

# The address that this machine's apt has for "Debian" or "Debian-Security".
mirror() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n "s/^$1|//p" | head -n 1
}

# How this machine reaches its mirror and the world, for a root.
pass_on_settings() { # ROOT
  mkdir -p "$1/srv/admin" "$1/etc/apt/apt.conf.d" "$1/usr/local/share/ca-certificates"
  apt-config dump | grep -E '^Acquire::(http|https|Check-|Retries|ForceIPv)' >"$1/etc/apt/apt.conf.d/90machine"
  cp -rL /etc/apt/auth.conf /etc/apt/auth.conf.d "$1/etc/apt/" 2>/dev/null
  find /usr/local/share/ca-certificates -name '*.crt' -exec cp -L {} "$1/usr/local/share/ca-certificates/" \; 2>/dev/null
  cp -L /etc/pip.conf "$1/etc/" 2>/dev/null
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
}

make_root() { # PACKAGES
  local main security
  main=$(mirror Debian)
  security=$(mirror Debian-Security)
  [ -n "$main" ] || { apt-get -qq update && main=$(mirror Debian) && security=$(mirror Debian-Security); }
  [ -n "$main" ] || { echo "apt knows no mirror of Debian here" && return 1; }
  root=$roots/$suite.part
  rm -rf --one-file-system "$root"
  run_apart debootstrap --variant=minbase --include=ca-certificates \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$root" "$main" || return
  pass_on_settings "$root"
  echo "deb $main $suite main" >"$root/etc/apt/sources.list"
  [ -z "$security" ] || echo "deb $security $suite-security main" >>"$root/etc/apt/sources.list"
  [ -z "$1" ] || inside root "update-ca-certificates && apt-get -qq update &&
    apt-get -qq install -y --no-install-recommends $1 && apt-get clean && rm -rf /var/lib/apt/lists/*" || return
  mv "$root" "$roots/$suite"
}

# A copy of the root as $root.
copy_root() {
  root=$work/root
  rm -rf --one-file-system "$root"
  cp -a --reflink=auto "$roots/$suite" "$root"
  pass_on_settings "$root"
}

# A copy of the root, with the checkout as it is here (changes too) in a folder of it.
copy_checkout() { # FOLDER
  copy_root
  mkdir -p "$root$1"
  git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
    [ ! -e "$file" ] || printf '%s\0' "$file"
  done | tar -c --null -T - | tar -x --no-same-owner -C "$root$1"
}

demo_in() { # USER FOLDER
  inside "$1" "cd '$2' && make demo" && grep -q 'events are accounted for' "$log"
}

# Fails, and tells one line to type, without a sudo that is not there: $line.
refuses() { # USER FOLDER TARGET
  ! inside "$1" "cd '$2' && make $3" || return
  line=$(grep -E '^(sudo )?apt-get ' "$log")
  [ "$(wc -l <<<"$line")" = 1 ] && [[ $line == "apt-get update && apt-get install "* ]]
}

# The commands that the Containerfile runs in its Nth stage, as one.
container_runs() { # N
  sed -e ':a' -e '/\\$/{N;s/\\\n *//;ba}' packaging/Containerfile |
    awk -v want="$1" '/^FROM / { stage++ } stage == want && sub(/^RUN /, "") { printf "%s%s", and, $0; and = " && " }'
}

# The words of ENTRYPOINT or CMD.
container_words() { sed -n "s/^$1 //p" packaging/Containerfile | tr -d '[],"'; }

make_package() {
  inside root "ln -s /srv/admin/tidemill /src && $(container_runs 1)" && mv "$root/tmp/tidemill.deb" "$work/tidemill.deb" &&
    lintian --fail-on error,warning --allow-root "$work/tidemill.deb"
}

install_package() {
  cp "$work/tidemill.deb" "$root/tmp/" && cp packaging/healthy.sh "$root/usr/bin/tidemill-healthy" &&
    inside root "$(container_runs 2) && ! command -v gcc"
}

# What the container's engine would start, as process 1, by the user that it would be. When it is healthy, somebody leaves
# a process that ends without a parent, and process 1 is asked to stop: it leaves no zombie and ends with 0.
run_contained() {
  local user
  user=$(container_words USER)
  cat >"$root/tmp/watch.sh" <<<'for ((i = 0; i < 600; i++)); do tidemill-healthy 2>/dev/null && break; sleep 0.1; done
    (sleep 0.1 & echo $! >/tmp/orphan)
    while [ -e "/proc/$(cat /tmp/orphan)" ]; do sleep 0.1; done
    grep -q "^Uid:.65534" /proc/[0-9]*/status && tidemill-healthy && touch /tmp/seen
    kill -TERM 1'
  inside root "cp /usr/share/tidemill/scripts/transform.lua /etc/tidemill/ &&
    cp /usr/share/tidemill/scripts/clean_events.lua /etc/tidemill/pipeline.lua && (bash /tmp/watch.sh &) &&
    exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --reuid=${user%:*} --regid=${user#*:} --clear-groups $(container_words ENTRYPOINT) $(container_words CMD) \
      --mock-kafka" && [ -e "$root/tmp/seen" ]
}

use_package() {
  inside newcomer 'tidemill new orders && cd orders && tidemill test && tidemill run pipeline.lua --input messages.jsonl &&
    tidemill check pipeline.lua && cp -RL /usr/share/doc/tidemill/examples . && cd examples &&
    tidemill run clean_events.lua --mock-kafka --feed samples/events.jsonl >out.jsonl && [ -s out.jsonl ] &&
    [ -e /usr/share/man/man1/tidemill-run.1.gz ] && . /usr/share/bash-completion/completions/tidemill'
}

remove_package() {
  inside root 'rm /etc/tidemill/* /usr/bin/tidemill-healthy && apt-get -qq purge -y tidemill &&
    left=$(find / -xdev -name "*tidemill*" -not -path "/proc/*") && echo "$left" && [ -z "$left" ]'
}

make_archive() {
  inside root "make -C tidemill dist && mv tidemill/build/tidemill-*-linux-x86_64.tar.gz tidemill.tar.gz" &&
    mv "$root/srv/admin/tidemill.tar.gz" "$work/"
}

# A copy that has no compiler, and a user.
make_user_root() { copy_root && inside root 'useradd -m -d /srv/newcomer -s /bin/bash newcomer'; }

# In a folder with a space, by a user. The last pipeline takes what is loaded only when it is used.
use_archive() {
  mkdir "$root/srv/newcomer/my tools" &&
    tar -xzf "$work/tidemill.tar.gz" -C "$root/srv/newcomer/my tools" --strip-components=1 &&
    cat >"$root/srv/newcomer/all.lua" <<<'local tide = require "tidemill"
      return tide.pipeline "all" { tide.file_source { path = "lines.txt" }, tide.map { function(message)
        local text = tide.gzip.decompress(tide.gzip.compress(tide.zstd.decompress(tide.zstd.compress(message.value))))
        text = tide.msgpack.decode(tide.msgpack.encode(tide.regex.match(text, "[0-9]+")))
        return require("cjson").encode { text, tide.hash.sha256(text), tostring(tide.hash.xxhash64(text)) }
      end }, tide.file_sink { path = "-" }, tide.commit_offsets {} }' &&
    inside newcomer 'export PATH="$HOME/my tools/bin:$PATH" && ! command -v gcc && tidemill --version &&
      tidemill new orders && cd orders && tidemill test && tidemill run pipeline.lua --input messages.jsonl &&
      cd "../my tools/share/tidemill/scripts" &&
      tidemill run clean_events.lua --mock-kafka --feed samples/events.jsonl >~/out.jsonl && [ -s ~/out.jsonl ] &&
      cd && echo "number 42" >lines.txt && tidemill run all.lua >out.txt && cat out.txt && tidemill metrics >/dev/null' &&
    grep -q '^\["42","73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049",' "$root/srv/newcomer/out.txt" &&
    find "$root/srv/newcomer" -mindepth 1 -delete
}

# tide.http of the tar.gz, where there is no libcurl, by TLS to a server of this machine: its certificate is known by `ca`,
# and by nothing that the root has.
use_http() {
  local here=$work/http port server code
  mkdir -p "$here" && port=$((20000 + RANDOM % 10000)) &&
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=tidemill \
      -addext subjectAltName=IP:127.0.0.1 -keyout "$here/key.pem" -out "$here/cert.pem" || return
  openssl s_server -accept "127.0.0.1:$port" -cert "$here/cert.pem" -key "$here/key.pem" -www >/dev/null &
  server=$!
  mkdir -p "$root/srv/newcomer/t" && cp "$here/cert.pem" "$root/srv/newcomer/t/" &&
    tar -xzf "$work/tidemill.tar.gz" -C "$root/srv/newcomer/t" --strip-components=1 &&
    cat >"$root/srv/newcomer/t/get.lua" <<<'local tide = require "tidemill"
      return tide.pipeline "get" { tide.file_source { path = "lines.txt" }, tide.map { function(message)
        local known, why = tide.http.request { url = message.value, ca = "cert.pem" }
        local unknown, problem = tide.http.request(message.value)
        return known and not unknown and known.status .. " " .. problem or "no: " .. tostring(why)
      end }, tide.file_sink { path = "-" }, tide.commit_offsets {}, network = "127.0.0.1:'"$port"'" }' &&
    inside root 'chown -R newcomer: /srv/newcomer/t' &&
    inside newcomer "! find / -xdev -name 'libcurl.so*' -not -path '/srv/*' 2>/dev/null | grep . && cd t &&
      echo https://127.0.0.1:$port/ >lines.txt && bin/tidemill run get.lua >out.txt && cat out.txt" &&
    grep -q '^200 SSL certificate problem' "$root/srv/newcomer/t/out.txt"
  code=$?
  kill "$server"
  rm -rf "$root/srv/newcomer/t"
  return "$code"
}

as_root() {
  step "the checkout in a copy of it" copy_checkout /srv/admin/tidemill || return
  step "make demo, as root" demo_in root tidemill || return
  step "make install; tidemill new and tidemill test in another folder" \
    inside root "make -C tidemill install && cd /tmp && tidemill new orders && cd orders && tidemill test" &&
    step "make uninstall" inside root "make -C tidemill uninstall && [ -z \"\$(find /usr/local -name '*tidemill*')\" ]"
  step "the Containerfile's first stage: make deb; lintian" make_package
  [ "$suite" != bookworm ] || step "make dist" make_archive
}

as_oldest() {
  suite=bullseye
  [ -d "$roots/$suite" ] || step "debootstrap" make_root "" || return
  step "another copy, with a user" make_user_root || return
  step "the tar.gz, without any library of it: tidemill new, test, run, a Kafka in the process, codecs" use_archive
  step "the tar.gz: tide.http by TLS, without a libcurl" use_http
}

as_package() {
  step "another copy, with a user" make_user_root || return
  [ "$suite" = bookworm ] || [ ! -e "$work/tidemill.tar.gz" ] || step "the tar.gz" use_archive
  step "the Containerfile's last stage: apt installs the package, and no compiler" install_package || return
  step "tidemill new, test, run, check, an example on a Kafka in the process" use_package
  step "the container's command as process 1: healthy, not root, no zombie, SIGTERM" run_contained
  step "apt-get purge: nothing is left" remove_package
}

as_user() {
  local name=newcomer folder="my code/tidemill" line
  step "the checkout in a copy of it, below a folder with a space" copy_checkout "/srv/$name/$folder" || return
  step "a user" inside root "useradd -d /srv/$name -s /bin/bash $name && chown -R $name: /srv/$name" || return
  step "make, without a compiler: tells what to type" refuses "$name" "$folder" all
  step "make demo, as a user without sudo: tells one command" refuses "$name" "$folder" demo || return
  echo "bare: $suite: $line"
  step "that command, as root" inside root "$line" || return
  step "make demo, as that user" demo_in "$name" "$folder"
  step "make test, as that user: lint, spec/house, spec/flow/new, spec/kafka/support" \
    inside "$name" "cd '$folder' && make test SPEC='spec/house spec/flow/new_spec.lua spec/kafka/support_spec.lua'"
}

[ "$(id -u)" = 0 ] || cannot "only root can make a Debian root (sudo make bare)"
scripts/dev/install.sh bare || cannot "debootstrap cannot be had here"
run_apart true || cannot "this machine lets nobody mount (unshare --mount --pid)"
mkdir -p "$roots"
roots=$(cd "$roots" && pwd)
work=$(mktemp -d "$roots/run-XXXXXX")
log=$work/log
suites=("$@")
[ $# -gt 0 ] || suites=(bookworm trixie)
for suite in "${suites[@]}"; do
  [ -d "$roots/$suite" ] || step "debootstrap, git and make" make_root "git make" || continue
  rm -f "$work/tidemill.deb"
  as_root
  [ ! -e "$work/tidemill.deb" ] || as_package
  as_user
done
[ ! -e "$work/tidemill.tar.gz" ] || as_oldest
suite=kubernetes
step "packaging/kubernetes is as the published schemas want it" scripts/dev/kubernetes.sh
tell
