#!/bin/bash
# SPDX-License-Identifier: MIT
limit=1200
. "$(dirname "$0")/../common.bash"
require gcc make tclsh
compgen -G '/usr/include/tcl*/tcl.h' >/dev/null || skip "tcl-dev is not installed"
sources_of sqlite3
not_as_root nobody

# SQLite's own tests but the slowest; the program that runs them, which counts its allocations, is made from its sources.
mkdir "$work/build"
(
	cd "$work/build"
	"$sources/configure" -q CFLAGS=-O1 --disable-readline
	make -s testfixture
	cp -r "$sources/test" "$sources/ext" .
	chmod -R a+rX .
) >/dev/null 2>&1

suite() {
	"${as_user[@]}" "$work/build/testfixture" "$work/build/test/extraquick.test" >said 2>&1 || true
	# How many tests there are depends on how often it allocates, and that on what malloc_usable_size tells it.
	sed -nE '/^! /p; s/^([0-9]+ errors) out of .*/\1/p' said
}
processes=1
same_output suite
