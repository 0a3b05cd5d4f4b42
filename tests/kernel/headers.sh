#!/bin/bash
# SPDX-License-Identifier: MIT
# usage: headers.sh HEADER... -- CC... -- CXX...
# Each header compiles by itself, as C11 and as C++11, with every warning an error.
set -u
headers=() cc=()
while [[ $1 != -- ]]; do
	headers+=("$1")
	shift
done
shift
while [[ $1 != -- ]]; do
	cc+=("$1")
	shift
done
shift
failed=0
for header in "${headers[@]}"; do
	include=$(dirname "$(dirname "$header")")
	text="#include \"slabmalloc/$(basename "$header")\""
	"${cc[@]}" -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -I "$include" -x c - <<<"$text" || failed=1
	"$@" -std=c++11 -Wall -Wextra -Werror -fsyntax-only -I "$include" -x c++ - <<<"$text" || failed=1
done
exit $failed
