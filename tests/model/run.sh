#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks each model in this folder whole, and that leaving out any one condition of it is found.
set -eu
cd "$(dirname "$0")"
command -v spin >/dev/null || { echo "no spin"; exit 77; }
models=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# errors MODEL OPTION…: how many errors spin finds.
errors() {
	model=$1
	shift
	spin -a "$@" "$models/$model.pml" >spin.log 2>&1 || { cat spin.log >&2; exit 1; }
	"${CC:-cc}" -w -O1 -DSAFETY -DVECTORSZ=2048 -o pan pan.c
	./pan -m100000 >pan.log
	sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
	if grep -q 'search not completed\|max search depth' pan.log; then
		cat pan.log >&2
	fi
}

status=0
for file in "$models"/*.pml; do
	model=$(basename "$file" .pml)
	if [ "$(errors "$model")" = 0 ]; then
		echo "$model: holds"
	else
		echo "$model: broken"
		status=1
	fi
	for condition in $(sed -n 's/^#ifndef \(WITHOUT_.*\)/\1/p' "$file" | sort -u); do
		if [ "$(errors "$model" "-D$condition")" = 0 ]; then
			echo "$model: $condition goes unnoticed"
			status=1
		else
			echo "$model: $condition is found"
		fi
	done
done
exit $status
