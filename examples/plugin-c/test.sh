#!/bin/sh
# Builds the plugin, and asks `ntm` (or $NTM) what it thinks of it.
set -eu
cd "$(dirname "$0")"
make -s
# As root, what others may write is not loaded.
chmod go-w libc_udp.so
${NTM:-ntm} plugin inspect ./libc_udp.so
${NTM:-ntm} plugins --schema ./libc_udp.so --json
# Whether it keeps what a transport promises.
${NTM_CONFORMANCE:-ntm-conformance} --plugin ./libc_udp.so
