#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's redis-server links jemalloc, which it asks for statistics; its malloc must be ours still.
. "$(dirname "$0")/common.bash"
require redis-server redis-cli redis-benchmark awk

cli() { env -u LD_PRELOAD redis-cli -e -s socket "$@"; }

# Every type in its small and its large encoding, with values that grow and shrink.
commands() {
	awk 'BEGIN {
		x = 3
		for (i = 0; i < 150000; i++) {
			x = (x * 16807) % 2147483647
			k = x % 5000
			v = substr("0123456789012345678901234567890123456789012345678901234567890123456789", 1, x % 70)
			if (i % 8 == 0) print "SET s:" k " v" v v
			else if (i % 8 == 1) print "APPEND s:" k " +" v
			else if (i % 8 == 2) print "HSET h:" k % 200 " f" x % 400 " v" v
			else if (i % 8 == 3) print "RPUSH l:" k % 300 " e" v
			else if (i % 8 == 4) print "ZADD z:" k % 50 " " x % 9999 " m" x % 3000
			else if (i % 8 == 5) print "SADD t:" k % 70 " " x % 7777
			else if (i % 8 == 6) print "LPOP l:" k % 300
			else print "DEL s:" k - 1 " h:" k % 2000
		}
	}'
}

serve() {
	start_server redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' \
		--enable-debug-command yes --activerehashing yes
	wait_until cli ping
	server_is_ours

	redis-benchmark -s socket -q -n 20000 -c 30 -P 4 -r 5000 -d 200 --threads 2 \
		-t set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset >benchmark.log
	tr '\r' '\n' <benchmark.log | grep -c 'requests per second, p50'
	cli flushall

	commands | cli --pipe | grep -o 'errors: .*'
	cli eval "$(<"$workloads/redis.lua")" 0
	cli dbsize
	cli debug digest
	# A child by fork that walks the whole heap while the parent changes it, then all of it read back.
	cli bgsave >bgsave.log
	cli eval 'for i = 1, 2000 do redis.call("SET", "while" .. i, ("x"):rep(i)) end' 0 >while.log
	wait_until eval 'cli info persistence | grep -q rdb_bgsave_in_progress:0'
	cli info persistence | grep rdb_last_bgsave_status | tr -d '\r'
	cli debug reload
	cli debug digest
	cli flushall
	stop_server
}
# the server, its child, and redis-benchmark; the child may leave by _exit
processes=2
same_output serve
