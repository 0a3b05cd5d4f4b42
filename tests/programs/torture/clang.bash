#!/bin/bash
# SPDX-License-Identifier: MIT
limit=600
. "$(dirname "$0")/../common.bash"
require /usr/bin/clang++ /usr/bin/clang

# shellcheck disable=SC2154 # common.bash says where they are
compile() {
	clang++ -std=c++17 -O2 -c -o headers.o "$workloads/headers.cc"

	clang++ -std=c++17 -O1 -S -emit-llvm -o headers.ll "$workloads/headers.cc"
	clang++ -std=c++17 --analyze -Xclang -analyzer-output=text "$workloads/headers.cc" 2>&1 | wc -l
	sed 's/^target.*//' headers.ll | cksum
	cksum headers.o
}
processes=3
same_output compile
