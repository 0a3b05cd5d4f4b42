#!/bin/bash
# SPDX-License-Identifier: MIT
limit=240
. "$(dirname "$0")/common.bash"
for bin in /usr/lib/postgresql/*/bin; do :; done
require "$bin/initdb" "$bin/pgbench" /usr/bin/setpriv
PATH=$bin:$PATH

# postgres refuses to run as root: then all of it runs as the user that its package made, who must
# be able to reach the library, its own directory, and that of the statistics.
as_user=()
if ((EUID == 0)); then
	id postgres >/dev/null 2>&1 || skip "there is no user postgres"
	as_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
	cp "$so" "$work/" || fail "not active: no $so"
	so=$work/$(basename "$so")
	chmod 755 "$work" "$so"
	chown postgres "$work/stats"
fi

cluster() {
	if ((EUID == 0)); then
		chown postgres .
	fi
	export PGHOST=$PWD PGUSER=test PGDATABASE=postgres
	"${as_user[@]}" initdb -D data -U test -A trust -E UTF8 --locale=C --no-sync >initdb.log
	start_server "${as_user[@]}" postgres -D data -k "$PWD" -c listen_addresses= -c fsync=off \
		-c dynamic_shared_memory_type=mmap \
		-c max_parallel_workers_per_gather=2 -c min_parallel_table_scan_size=0 -c jit=off
	wait_until pg_isready -q
	server_is_ours

	pgbench -i -q -s 4 2>pgbench-i.log
	pgbench -n -t 1500 -c 4 -j 2 --random-seed=42 >pgbench.log
	grep -E 'actually processed|failed' pgbench.log
	# However the clients interleaved, the same transactions give the same sums.
	psql -At -f "$workloads/postgres.sql"
	# Rows come in the order of their last update, which is a matter of chance, as is the key of
	# \restrict, by which a dump guards itself.
	pg_dump --exclude-table-data=pgbench_history | sed '/^\\\(un\)\?restrict /d' | sort
	stop_server
}
# initdb and its children, postgres and its backends, and the clients
processes=15
same_output cluster
