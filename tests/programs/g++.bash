#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require g++
# The standard headers and their templates, then the linker, then what was built.
compile() {
	g++ -std=c++17 -O2 -c "$workloads/headers.cc" -o headers.o
	g++ headers.o -o headers
	cat headers.o headers
	./headers
}
# g++ twice, cc1plus, as, collect2, ld, and the program
processes=7
same_output compile
