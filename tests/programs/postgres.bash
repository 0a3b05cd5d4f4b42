#!/bin/bash
# SPDX-License-Identifier: MIT
limit=240
. "$(dirname "$0")/common.bash"
need_postgres
require pgbench

cluster() {
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
