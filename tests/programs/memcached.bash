#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require memcached /usr/bin/python3
serve() {
	start_server memcached -u "$(id -un)" -s "$PWD/socket" -m 256 -t 4
	wait_until test -S socket
	server_is_ours
	# The client stays under glibc: one thing at a time.
	env -u LD_PRELOAD /usr/bin/python3 "$workloads/memcached_client.py" socket
	stop_server
}
same_output serve
