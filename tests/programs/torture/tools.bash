#!/bin/bash
# SPDX-License-Identifier: MIT
limit=300
. "$(dirname "$0")/../common.bash"
require gdb valgrind strace setpriv gcc

# Programs that look into others, or that nobody may look into.
program() {
	cat >p.c <<-'C'
		#include <stdio.h>
		#include <stdlib.h>
		#include <string.h>
		struct node { struct node *next; char text[40]; };
		int main(void)
		{
			struct node *list = NULL, *n;
			for (int i = 0; i < 1000; i++) {
				n = malloc(sizeof(*n));
				n->next = list;
				snprintf(n->text, sizeof(n->text), "node %d", i);
				list = n;
			}
			puts(list->text);
			while ((n = list)) {
				list = n->next;
				free(n);
			}
			return 0;
		}
	C
	gcc -g -O0 -o p p.c
}

looked_into() {
	program
	gdb -q -nx -batch -ex 'set debuginfod enabled off' -ex 'break p.c:18' -ex run -ex 'print list->text' -ex 'print list->next->text' \
		-ex 'print (int)strlen(list->text)' -ex 'print (char *)strcpy((char *)malloc(20), "by hand")' -ex 'continue' ./p 2>/dev/null |
		grep -E '^\$[0-9]|^node' | sed 's/0x[0-9a-f]*/ADDRESS/'
	strace -f -o /dev/null ./p
}
processes=3
same_output looked_into

# It puts its own malloc in the place of ours; or, if it is told not to, watches ours.
under_valgrind() {
	program
	unset SLABMALLOC_STATS
	valgrind -q --error-exitcode=9 ./p
	valgrind -q --error-exitcode=9 --soname-synonyms=somalloc=nouserintercepts ./p
}
processes=1
same_output under_valgrind

# How many instructions a call of malloc or free has on average, all that is below it included.
counted() {
	local collected
	program
	for function in malloc free; do
		collected=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --soname-synonyms=somalloc=nouserintercepts \
			"--toggle-collect=$function" ./p 2>&1 >/dev/null | sed -n 's/^.*Collected : //p')
		echo "$function: $((collected / 1000)) instructions" >&2
		((collected > 0 && collected / 1000 < 250)) && echo "$function: few instructions"
	done
}
processes=3
same_output counted

# A program with privileges that its caller has not is started without the library, and with its
# variables ignored: it would write a file where it must not.
privileged() {
	cat >privileged.c <<-'C'
		#include <stdio.h>
		#include <string.h>
		#include <unistd.h>
		int main(void)
		{
			char line[4096];
			int ours = 0;
			FILE *maps = fopen("/proc/self/maps", "r");
			while (maps && fgets(line, sizeof(line), maps))
				ours += strstr(line, "slabmalloc.so") != NULL;
			printf("user %d, effective %d, %d mappings of the library\n", (int)getuid(), (int)geteuid(), ours);
			return 0;
		}
	C
	gcc -o privileged privileged.c
	chmod u+s privileged
	setpriv --reuid=65534 --regid=65534 --clear-groups "$PWD/privileged"
	setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/passwd -S nobody 2>&1 | cut -d' ' -f1
	program
	./p
}
if ((EUID == 0)); then
	chmod 755 "$work"
	processes=2
	same_output privileged
fi
