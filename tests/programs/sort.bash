#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require sort awk
# In memory, then with a buffer so small that it must merge files, both with more threads than cores.
sorts() {
	awk 'BEGIN {
		x = 7
		for (i = 0; i < 600000; i++) {
			x = (x * 16807) % 2147483647
			printf "%d %c%c %s\n", x % 1000000, 97 + x % 26, 97 + x % 7, substr("abcdefghijklmnop", 1, x % 16)
		}
	}' >input
	sort --parallel=4 -S 256M -k2,2 -k1,1n input
	sort --parallel=4 -S 2M -T . -r input
	sort --parallel=4 -S 64M -u -k3 input
}
processes=4
same_output sorts
