#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh TARGET CORPUS: every input that is kept, and a few seconds of new ones, the same in each run.
set -eu
if [ "$1" = none ]; then
	echo "SKIP: this clang has no libFuzzer (Debian: libclang-rt-14-dev)"
	exit 77
fi
program=$(realpath "$1")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
mkdir new
"$program" -close_fd_mask=1 -runs=0 "$2" >kept.log 2>&1 || { cat kept.log; exit 1; }
"$program" -close_fd_mask=1 -seed=1 -max_total_time=5 -timeout=60 -rss_limit_mb=2048 new "$2" >new.log 2>&1 ||
	{ tail -n 60 new.log; base64 crash-* timeout-* oom-* 2>/dev/null; exit 1; }
tail -n 2 new.log
