#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh PROGRAM ARGUMENT…: under ThreadSanitizer, without what suppressions.txt explains. Nor may the library complain.
# A report that has lost one of its stacks cannot be judged, since a suppression may name it: then the program runs again.
set -eu
if [ "$1" = none ]; then
	echo "SKIP: no ThreadSanitizer"
	exit 77
fi
here=$(cd "$(dirname "$0")" && pwd)
said=$(mktemp)
trap 'rm -f "$said"' EXIT
export TSAN_OPTIONS="suppressions=$here/suppressions.txt halt_on_error=0 exitcode=66 history_size=7 ${TSAN_OPTIONS-}"

count() {
	grep -c "$1" "$said" || true
}

for attempt in 1 2 3; do
	status=0
	"$@" 2>"$said" || status=$?
	cat "$said" >&2
	reports=$(count '^WARNING: ThreadSanitizer')
	if [ "$status" -ne 66 ] || [ "$(count 'failed to restore the stack')" -lt "$reports" ]; then
		break
	fi
	echo "attempt $attempt: lost stacks" >&2
done
[ "$status" -eq 0 ] && ! grep '^slabmalloc:' "$said"
