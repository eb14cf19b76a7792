#!/bin/bash
# SPDX-License-Identifier: MIT
# The container's health check: ends with 0 while the engine's loop turns (/healthz; docs/metrics.md). healthy.sh [PORT]
exec 3<>"/dev/tcp/127.0.0.1/${1:-9464}" || exit 1
printf 'GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
IFS= read -r -t 4 status <&3
[[ $status == *" 200 "* ]]
