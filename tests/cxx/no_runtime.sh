#!/bin/sh
# SPDX-License-Identifier: MIT
# Without a C++ runtime in the process, operator new that fails says so in one line and aborts.
# usage: no_runtime.sh PROGRAM LIBRARY
said=$(env LD_PRELOAD="$2" "$1" 2>&1)
status=$?
case "$status $said" in
"134 slabmalloc: operator new("*"): out of memory, and no C++ runtime to say so") exit 0 ;;
esac
printf 'status %s: %s\n' "$status" "$said"
exit 1
