#!/bin/bash
# SPDX-License-Identifier: MIT
# The compiler and the virtual machine. Java's own heap is mmapped, but its classes' metadata, its
# compilers, direct buffers, zlib and thread start-up are malloc's.
. "$(dirname "$0")/common.bash"
require java javac
build_and_run() {
	javac -d . "$workloads/Threads.java"
	cksum ./*.class
	java -cp . -Xmx256m Threads
}
processes=2
same_output build_and_run
