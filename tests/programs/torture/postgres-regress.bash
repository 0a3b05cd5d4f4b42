#!/bin/bash
# SPDX-License-Identifier: MIT
limit=1500
. "$(dirname "$0")/../common.bash"
need_postgres
require gcc "$postgres/lib/pgxs/src/test/regress/pg_regress"
headers=/usr/include/postgresql/${postgres##*/}/server
[[ -d $headers ]] || skip "postgresql-server-dev-all is not installed"
sources_of postgresql

# PostgreSQL's regression tests, with the installed server.
gcc -O1 -fPIC -shared -I "$headers" -o "$work/regress.so" "$sources/src/test/regress/regress.c"

regress() {
	cp -r "$sources/src/test/regress" tests
	cp "$work/regress.so" "$postgres"/lib/{autoinc,refint}.so tests
	chown -R --reference=. tests
	cd tests
	# How long each took varies, and which of several ends first; one test, of random numbers, may fail.
	TMPDIR=$PWD "${as_user[@]}" "$postgres/lib/pgxs/src/test/regress/pg_regress" --bindir="$postgres/bin" \
		--dlpath="$PWD" --temp-instance="$PWD/instance" --no-locale --encoding=UTF8 \
		--schedule=parallel_schedule --max-concurrent-tests=20 >said || true
	sed -E '/ random /d; s/ +[0-9]+ ms$//; s/ with PID .*//; s/^(# )?(parallel group .*):.*/\2/' said
	[[ ! -s regression.diffs ]] || head -n 40 regression.diffs >&2
}
# a psql and a server's process for each of the tests
processes=400
same_output regress
