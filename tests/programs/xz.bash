#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require xz awk
# Blocks of 2 MiB, so that two threads have many blocks each; what comes out must also come back.
roundtrip() {
	awk 'BEGIN {
		x = 11
		for (i = 0; i < 300000; i++) {
			x = (x * 16807) % 2147483647
			printf "%d: the quick brown %d jumps\n", x, x % 997
		}
	}' >input
	xz -T2 -4 --block-size=2MiB -c input >packed.xz
	xz -T2 -dc packed.xz | cmp - input
	xz -t packed.xz
	cat packed.xz
}
processes=3
same_output roundtrip
