#!/bin/sh
# SPDX-License-Identifier: MIT
# rename.sh ARCHIVE OBJECT PREFIX NAME…: the archive as one object, with a prefix to each of these names.
set -eu
archive=$1 object=$2 prefix=$3
shift 3
for name; do
	echo "$name $prefix$name"
done >"$object.names"
ld -r --whole-archive "$archive" -o "$object"
objcopy --redefine-syms="$object.names" "$object"
