#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What `make dist` runs: build/tidemill-VERSION-linux-x86_64.tar.gz, which runs on any x86-64 Linux with glibc 2.31 or
# newer and holds all that it needs beside glibc, with the licences. It has to run on Debian 12.
#
# It is compiled and linked against Debian 11's glibc, which is unpacked into a folder (sysroot) and not installed, by the
# compiler of this machine. Where each library comes from:
#   as it is in Debian 12    those that want no newer glibc (CARRIED)
#   as it is in Debian 11    those of Debian 12 that do (OLDER), and libgcc_s
#   linked anew              libcrypto from libcrypto.a; LuaJIT and libstdc++ are inside of the program and the library
#   compiled anew            simdjson, inside of the library; libmicrohttpd without TLS, which would take ten libraries more;
#                            libcurl for http and https alone, with libssl inside: Debian's takes thirty libraries, 18 MB
#   of the wheel of confluent-kafka (rdkafka.sh)   a current librdkafka, with its own TLS, zstd and lz4 inside
# Packages come from where this machine's apt takes them. At the end every file is looked at: which glibc does it want,
# and is each library that it wants there?
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
top=$PWD
work=$top/build/dist
oldest=2.31 # of glibc
host=/usr/lib/x86_64-linux-gnu

CARRIED=(libseccomp.so.2 liblmdb.so.0 libpcre2-8.so.0 libxxhash.so.0 libz.so.1)
OLDER=(libc6 libc6-dev libgcc-s1 libzstd1 lua-filesystem)
SOURCES=(libmicrohttpd simdjson curl)
ROCKS=(lua-argparse lua-busted lua-cjson lua-cliargs lua-dkjson lua-filesystem lua-luassert lua-mediator lua-penlight
  lua-say lua-socket lua-system lua-term)
# Whose licences go along: of librdkafka's wheel, zstd, lz4 and curl are inside.
LICENSED=(libluajit-5.1-2 libseccomp2 liblmdb0 libpcre2-8-0 libxxhash0 zlib1g libzstd1 libssl3 libmicrohttpd12 libsimdjson14
  librdkafka1 liblz4-1 libgcc-s1 libstdc++6 libjs-chart.js "${ROCKS[@]}")

fail() {
  echo "dist: $1" >&2
  exit "${2:-69}"
}

# apt with lists of its own: nothing of this machine's is changed, and nobody needs to be root.
own_apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::State::Status=/dev/null -o Dir::Cache="$work/apt/cache" \
    -o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none "$@"
}

fetch() {
  local main signed
  main=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p' | head -n 1)
  [ -n "$main" ] || fail "apt knows no mirror of Debian here (apt-get update)"
  signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/fetched"
  printf '%s\n' "deb $signed $main bullseye main" "deb-src $signed $main bookworm main" >"$work/apt/sources.list"
  cd "$work/fetched"
  own_apt update
  own_apt download "${OLDER[@]}"
  own_apt source --download-only "${SOURCES[@]}"
  cd "$top"
}

unpack_sysroot() {
  local package link
  for package in "$work"/fetched/*.deb; do
    dpkg-deb -x "$package" "$work/sysroot"
  done
  # A link that begins with / would lead out of it.
  find "$work/sysroot" -type l -lname '/*' | while read -r link; do
    ln -sfn "$(realpath -m --relative-to="$(dirname "$link")" "$work/sysroot$(readlink "$link")")" "$link"
  done
}

# The compilers, as commands of one word: for Debian 11's glibc, with the headers of the libraries that are linked. Those
# of the kernel and of C++ are this machine's.
make_compilers() {
  local name include=$work/sysroot/usr/include libraries=$work/sysroot/usr/lib/x86_64-linux-gnu
  cp -R /usr/include/linux /usr/include/asm-generic /usr/include/librdkafka /usr/include/openssl \
    /usr/include/microhttpd.h /usr/include/lmdb.h /usr/include/seccomp*.h /usr/include/simdjson.h "$include/"
  cp -R /usr/include/x86_64-linux-gnu/asm "$include/x86_64-linux-gnu/"
  cp /usr/include/x86_64-linux-gnu/bits/syscall.h "$include/x86_64-linux-gnu/bits/" # the kernel's numbers
  cp /usr/include/x86_64-linux-gnu/openssl/* "$include/openssl/"
  ln -s /usr/include/c++ "$include/c++"
  ln -s /usr/include/x86_64-linux-gnu/c++ "$include/x86_64-linux-gnu/c++"
  mkdir -p "$work/bin"
  for name in gcc g++; do
    printf '%s\n' '#!/bin/sh' "exec ${CCACHE:-} $name --sysroot='$work/sysroot' -B'$libraries' -L'$work/link' -L'$libraries' \\" \
      "  -L'$work/sysroot/lib/x86_64-linux-gnu' -Wl,-rpath-link,'$work/sysroot/lib/x86_64-linux-gnu' \"\$@\"" >"$work/bin/$name"
    chmod 755 "$work/bin/$name"
  done
}

# The source of Debian 12 with its patches of faults; those that package it, and touch its configuration, are left out.
unpack_curl() {
  local patch
  mkdir "$work/curl"
  tar -xzf "$work"/fetched/curl_*.orig.tar.gz -C "$work/curl" --strip-components=1
  tar -xJf "$work"/fetched/curl_*.debian.tar.xz -C "$work/curl"
  cd "$work/curl"
  sed -n '/^# CVE fixes/,/^# Do not add/{s/#.*//;/./p}' debian/patches/series >patches
  [ -s patches ] || fail "libcurl: Debian's list of patches is another one" 70
  while read -r patch; do
    grep -qE '^\+\+\+ [^/ ]*/(configure|acinclude|m4/)' "debian/patches/$patch" || patch -s -p1 <"debian/patches/$patch"
  done <patches
  cd "$top"
}

# Certificates are looked for by lib/http.lua, since each distribution has another place.
build_curl() { # TO
  local options=(--disable-ftp --disable-file --disable-ldap --disable-ldaps --disable-rtsp --disable-dict
    --disable-telnet --disable-tftp --disable-pop3 --disable-imap --disable-smb --disable-smtp --disable-gopher
    --disable-mqtt --disable-manual --disable-alt-svc --disable-ares --disable-unix-sockets
    --disable-threaded-resolver --disable-ntlm --disable-tls-srp --disable-doh --disable-netrc --disable-cookies
    --disable-hsts --disable-libcurl-option --disable-static --without-brotli --without-zstd --without-libpsl
    --without-libidn2 --without-librtmp --without-libssh2 --without-nghttp2 --without-zlib --without-gssapi
    --without-ca-bundle --without-ca-path)
  unpack_curl
  (cd "$work/curl" && LD_LIBRARY_PATH=$1 ./configure -q "${options[@]}" --with-openssl \
    CC="$work/bin/gcc" CFLAGS="-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong" PKG_CONFIG=false \
    LDFLAGS="-Wl,-rpath,'\$\$ORIGIN' -Wl,--exclude-libs,ALL" &&
    make -s -j"$(nproc)" -C lib libcurl.la) >"$work/log" 2>&1 || fail "libcurl: see $work/log" 70
  cp -L "$work/curl/lib/.libs/libcurl.so.4" "$1/"
}

build_libraries() {
  local to=$work/tree/lib/tidemill link name kafka
  mkdir -p "$to" "$work/link"
  for name in "${CARRIED[@]}"; do
    cp -L "$host/$name" "$to/"
  done
  cp -L "$work"/sysroot/usr/lib/x86_64-linux-gnu/libzstd.so.1 "$work"/sysroot/lib/x86_64-linux-gnu/libgcc_s.so.1 "$to/"
  "$work/bin/gcc" -shared -Wl,-soname,libcrypto.so.3 -Wl,-z,defs,-z,relro,-z,now -o "$to/libcrypto.so.3" \
    -Wl,--whole-archive "$host/libcrypto.a" -Wl,--no-whole-archive -ldl -lpthread
  tar -xzf "$work"/fetched/simdjson_*.orig.tar.gz -C "$work"
  (cd "$work"/simdjson-* && "$work/bin/g++" -O2 -fPIC -std=c++17 -fvisibility=hidden -Iinclude -Isrc -c src/simdjson.cpp \
    -o "$work/simdjson.o")
  "$work/bin/gcc" -O2 -fPIC -c packaging/older_glibc.c -o "$work/older_glibc.o"
  xz -dc "$work"/fetched/libmicrohttpd_*.orig.tar.xz | tar -xC "$work"
  (cd "$work"/libmicrohttpd-* && ./configure -q --disable-https --disable-doc --disable-examples --disable-curl \
    --disable-static CC="$work/bin/gcc" CFLAGS="-O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong" &&
    make -s -j"$(nproc)" -C src/microhttpd libmicrohttpd.la) >"$work/log" 2>&1 || fail "libmicrohttpd: see $work/log" 70
  cp -L "$work"/libmicrohttpd-*/src/microhttpd/.libs/libmicrohttpd.so.12 "$to/"
  kafka=$(scripts/dev/rdkafka.sh)/librdkafka.so.1
  name=$(objdump -p "$kafka" | sed -n 's/^ *SONAME *//p') # another one than the file's
  cp "$kafka" "$to/$name"
  ln -s "$to/$name" "$work/link/librdkafka.so"
  ln -s "$host/libssl.a" "$work/link/libssl.a"
  for link in crypto.so.3 microhttpd.so.12 seccomp.so.2 lmdb.so.0; do
    ln -s "$to/lib$link" "$work/link/lib${link%%.*}.so"
  done
  build_curl "$to"
}

# Nothing of simdjson or libstdc++ is seen outside of the library.
build_program() {
  make -s -j"$(nproc)" BUILD=build/dist/obj CC="$work/bin/gcc" CXX="$work/bin/g++" \
    LDFLAGS="-static-libstdc++ -Wl,--exclude-libs,libstdc++.a -Wl,-rpath,'\$\$ORIGIN'" \
    LIBS="build/dist/simdjson.o build/dist/older_glibc.o -lrdkafka -lcrypto -lmicrohttpd -lseccomp -llmdb -ldl -lpthread -lm -Wl,-z,defs" \
    LUA_LIBS="-Wl,--whole-archive $host/libluajit-5.1.a -Wl,--no-whole-archive -lm -ldl" all
  # The folder is the one that the unit names; the program itself runs from any.
  LD_LIBRARY_PATH=$work/tree/lib/tidemill PREFIX=/opt/tidemill DESTDIR=$work/placed scripts/dev/place.sh install build/dist/obj
  rm "$work/placed/opt/tidemill/share/tidemill/manifest"
  cp -R "$work/placed/opt/tidemill/." "$work/tree/"
  strip "$work"/tree/bin/tidemill "$work"/tree/lib/tidemill/*.so*
}

# Where the program looks first: share/tidemill/lua for modules in Lua, lib/tidemill/lua for those in C.
carry_modules() {
  local package file
  for package in "${ROCKS[@]}" libluajit-5.1-common; do
    dpkg -L "$package" | while read -r file; do
      case $file in
        /usr/share/lua/5.1/*.lua) install -D -m 644 "$file" "$work/tree/share/tidemill/lua/${file#/usr/share/lua/5.1/}" ;;
        /usr/share/luajit-*/jit/*.lua) install -D -m 644 "$file" "$work/tree/share/tidemill/lua/jit/${file##*/jit/}" ;;
        "$host"/lua/5.1/*.so) install -D -m 644 "$file" "$work/tree/lib/tidemill/lua/${file#"$host/lua/5.1/"}" ;;
      esac
    done
  done
  cp -L "$work/sysroot$host/lua/5.1/lfs.so" "$work/tree/lib/tidemill/lua/"
  cp /usr/share/javascript/chart.js/chart.min.js "$work/tree/share/tidemill/lua/tidemill/dashboard/"
}

# A text for each, and a list with the versions, by which Debian has the sources.
carry_licences() {
  local package to=$work/tree/licences
  mkdir -p "$to"
  cp LICENSE "$to/tidemill"
  for package in "${LICENSED[@]}"; do
    cp -L "/usr/share/doc/$package/copyright" "$to/$package"
  done
  cp "$work/curl/debian/copyright" "$to/libcurl4"
  cp "$(scripts/dev/rdkafka.sh)"/confluent_kafka-*.dist-info/licenses/LICENSE "$to/confluent-kafka"
  {
    printf '%s\n' "What this folder tree carries beside tidemill, by the names of Debian's packages, whose sources Debian has" \
      "(apt-get source NAME=VERSION). The texts of the licences are the files beside this one." "" \
      "librdkafka is that of the wheel of confluent-kafka for Python ($(basename "$(scripts/dev/rdkafka.sh)")), with OpenSSL, zlib," \
      "zstd, lz4 and curl inside; its source is librdkafka of the same version." ""
    dpkg-query -W -f '${Package} ${Version} (source: ${source:Package})\n' "${LICENSED[@]}" | grep -v '^librdkafka1 '
    basename "$work"/fetched/curl_*.debian.tar.xz .debian.tar.xz | sed 's/^curl_/libcurl4 /; s/$/ (source: curl)/'
    echo "of Debian 11, in place of those:"
    for package in libgcc-s1 libzstd1 lua-filesystem; do
      basename "$work"/fetched/"$package"_*.deb | sed 's/_/ /; s/_.*//'
    done
  } >"$to/README"
}

# Which glibc each file wants, and whether all that it wants is glibc's or here.
check() {
  local file wanted name faults=0
  while read -r file; do
    wanted=$(objdump -T "$file" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1)
    if [ "$(printf '%s\n' "GLIBC_$oldest" "$wanted" | sort -V | tail -n 1)" != "GLIBC_$oldest" ]; then
      echo "dist: ${file#"$work/tree/"} wants $wanted" >&2
      faults=1
    fi
    while read -r name; do
      case $name in
        libc.so.6 | libm.so.6 | libdl.so.2 | libpthread.so.0 | librt.so.1 | ld-linux-x86-64.so.2) ;;
        *) [ -e "$work/tree/lib/tidemill/$name" ] || { echo "dist: ${file#"$work/tree/"} wants $name" >&2 && faults=1; } ;;
      esac
    done < <(objdump -p "$file" | sed -n 's/^ *NEEDED *//p')
  done < <(find "$work/tree/bin" "$work/tree/lib" -type f ! -name '*.service')
  [ "$faults" = 0 ] || exit 65
}

pack() {
  local version name
  version=$("$work/tree/bin/tidemill" --version | sed -n 's/^tidemill \([^ ,]*\).*/\1/p')
  name=tidemill-${version:?}-linux-x86_64
  rm -f build/tidemill-*-linux-x86_64.tar.gz
  mv "$work/tree" "$work/$name"
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-$(date -r CHANGELOG.md +%s)}" \
    -C "$work" -c "$name" | gzip -n -9 >"build/$name.tar.gz"
  echo "build/$name.tar.gz"
}

[ "$(uname -m)" = x86_64 ] || fail "only x86-64 is built for"
[[ $(. /etc/os-release && echo "$ID $VERSION_ID") == "debian 12" ]] ||
  fail "this takes the libraries of Debian 12, which this machine is not"
rm -rf "$work"
mkdir -p "$work"
fetch
unpack_sysroot
make_compilers
build_libraries
build_program
carry_modules
carry_licences
check
pack
