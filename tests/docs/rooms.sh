#!/bin/sh
# SPDX-License-Identifier: MIT
# check-rooms finds each kind of violation, and nothing else, in a tree made for it.
# usage: rooms.sh CHECK_ROOMS
check=$1
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/src/base" "$tree/src/os" "$tree/src/page" "$tree/src/attic" "$tree/preload" \
	"$tree/include/slabmalloc" "$tree/tests"
cd "$tree" || exit 1
failed=0

touch src/page/table.py src/base/list.h src/page/page.h src/os/mem.h include/slabmalloc/slabmalloc.h

cat >src/os/mem.c <<'X'
#include "os/mem.h"
#include <sys/mman.h>
#include <unistd.h>
void *os_map(unsigned long n) { return mmap(0, n, 3, 34, -1, 0); }
X
cat >src/page/good.c <<'X'
#include "base/list.h"
#include "os/mem.h"
#include "page/page.h"
#include "table.h"
#include "slabmalloc/slabmalloc.h"
/* mmap() is called by os_map(), and #include <unistd.h> is not for us */
void *good(struct ops *o) { puts("syscall(1)"); o->write(1); return os_mmap(1); }
X
cat >preload/good.c <<'X'
#include "entry.h"
#include "page/page.h"
X
if ! said=$("$check" "$tree") || [ -n "$said" ]; then
	printf 'a tree without a violation:\n%s\n' "$said"
	failed=1
fi

# violation FILE:LINE MESSAGE, with the file's text on stdin: is it found, and it alone?
violation() {
	file=${1%:*}
	[ -e "$file" ] && cp "$file" saved
	cat >"$file"
	said=$("$check" "$tree")
	status=$?
	if [ $status -ne 1 ] || [ "$said" != "$1: $2" ]; then
		printf 'expected 1, "%s: %s"\ngot      %s, "%s"\n' "$1" "$2" "$status" "$said"
		failed=1
	fi
	rm "$file"
	[ ! -e saved ] || mv saved "$file"
}

printf '\n#include "page/page.h"\n' |
	violation src/base/list.h:2 'base/ includes page/, which stands after it'
echo '#include "preload/entry.h"' |
	violation src/page/bad.c:1 'src/page includes preload/'
echo '#include "page.h"' |
	violation src/page/bad.c:1 '"page.h": write it with its room, "page/page.h"'
echo '#include "kitchen/sink.h"' |
	violation src/page/bad.c:1 '"kitchen/sink.h": kitchen/ is no room'
echo '#include "base/gone.h"' |
	violation src/page/bad.c:1 'no file src/base/gone.h'
echo '#include "slabmalloc/gone.h"' |
	violation src/page/bad.c:1 'no file include/slabmalloc/gone.h'
echo 'int x;' |
	violation src/attic/bad.c:1 'attic is no room'
echo '#  include <sys/mman.h>' |
	violation src/page/bad.c:1 '<sys/mman.h>: only src/os talks to the system'
echo '#include <unistd.h>' |
	violation preload/bad.c:1 '<unistd.h>: only src/os talks to the system'
echo '#include <stdio.h>' |
	violation src/os/bad.c:1 '<stdio.h>: stdio may call malloc'
printf '/*\n * two lines */ int f(void)\n{\n\treturn syscall(39);\n}\n' |
	violation src/page/bad.c:4 'syscall(): only src/os talks to the system'
yes '' | head -n 601 |
	violation tests/long.c:601 '601 lines, more than 600'

exit $failed
