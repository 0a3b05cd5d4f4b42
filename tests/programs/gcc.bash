#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require gcc awk
# Thousands of functions, with what gives the optimiser something to keep in memory.
large_file() {
	awk 'BEGIN {
		print "struct item { int key; long value[4]; struct item *next; };"
		print "extern int external(int, const char *);"
		for (i = 0; i < 400; i++) {
			printf "static int f%d(struct item *p, int n)\n{\n\tint s = n;\n", i
			printf "\tfor (int i = 0; i < n %% %d; i++) {\n\t\tswitch ((s ^ i) & 7) {\n", i % 90 + 3
			for (j = 0; j < 7; j++)
				printf "\t\tcase %d: s += p->value[%d] * %d; break;\n", j, j % 4, i * 7 + j
			printf "\t\tdefault: s = external(s, \"text %d\");\n\t\t}\n", i
			printf "\t\tif (p->next && s > %d)\n\t\t\tp = p->next;\n\t}\n", i
			printf "\treturn %s;\n}\n", i ? "s + f" i - 1 "(p, s & 3)" : "s"
		}
		print "int entry(struct item *p, int n) { return f399(p, n); }"
	}'
}
compile() {
	large_file >large.c
	gcc -O2 -g -c large.c -o large.o
	cat large.o
}
# gcc itself, cc1 and as
processes=3
same_output compile
