#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh PROGRAM ARGUMENT…: under ThreadSanitizer, without what suppressions.txt explains (which takes the stacks of both
# threads: a long history). Nor may the library complain.
set -eu
if [ "$1" = none ]; then
	echo "SKIP: no ThreadSanitizer"
	exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
said=$(mktemp)
trap 'rm -f "$said"' EXIT
TSAN_OPTIONS="suppressions=$here/suppressions.txt halt_on_error=0 exitcode=66 history_size=7 ${TSAN_OPTIONS-}" "$@" 2>"$said" || {
	cat "$said" >&2
	exit 1
}
cat "$said" >&2
! grep '^slabmalloc:' "$said"
