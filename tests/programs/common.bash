# SPDX-License-Identifier: MIT
# The common part of the real-program tests: a program runs once under glibc and once under the
# library, and the two must not be told apart by what they print.
#
# A test sources this file, names what it needs with `require`, and calls `same_output COMMAND…`.
# COMMAND may be a shell function: it then runs twice in a subshell, in an empty directory of its
# own, with the library preloaded into every program that it starts the second time.
#
# That the library was there is proved, not assumed: a missing LD_PRELOAD only makes ld.so warn.
# Programs that exit write SLABMALLOC_STATS into $work/stats; of servers, /proc/PID/maps is read.
#
# SLABMALLOC_SO names the library. Exit status: 0 passed, 77 skipped, all else failed.

set -euo pipefail

# A program that hangs is a failure too. timeout(1) kills the whole process group.
if [[ -z ${PROGRAM_TEST_BOUNDED-} ]]; then
	PROGRAM_TEST_BOUNDED=1 exec timeout -k 10 "${limit:-120}" bash "$0" "$@"
fi
unset PROGRAM_TEST_BOUNDED

if [[ -z ${SLABMALLOC_SO-} ]]; then
	echo "$0: SLABMALLOC_SO must name the library" >&2
	exit 2
fi
so=$(realpath -m "$SLABMALLOC_SO")
# shellcheck disable=SC2034 # for those who source this
workloads=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/workloads
work=$(mktemp -d "${TMPDIR:-/tmp}/slabmalloc-$(basename "$0" .bash).XXXXXX")
mkdir "$work/stats"

# Debian's own programs, and an environment that does not differ from one machine to the next.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC HOME=$work TMPDIR=$work
unset LD_PRELOAD LD_LIBRARY_PATH MALLOC_PERTURB_ MALLOC_CHECK_ PYTHONMALLOC SLABMALLOC_STATS

# ended PID: whether it has, within 3 s.
ended() {
	local tries
	for ((tries = 0; tries < 30; tries++)); do
		if ! kill -0 "$1" 2>/dev/null; then
			return 0
		fi
		sleep 0.1
	done
	return 1
}

# A server is asked first, since it may hold more than memory: postgres has System V segments.
cleanup() {
	local pid
	if [[ -f $work/servers ]]; then
		while read -r pid; do
			if kill -INT "$pid" 2>/dev/null && ! ended "$pid"; then
				kill -KILL "$pid" 2>/dev/null || true
			fi
		done <"$work/servers"
	fi
	# A killed server's children may still be writing for a moment.
	rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
}
trap cleanup EXIT
trap 'echo "FAIL: stopped after $SECONDS s"; exit 143' TERM INT HUP

skip() {
	echo "SKIP: $*"
	exit 77
}

# Within the function that same_output runs, stdout is what is compared: say it on stderr.
fail() {
	local err
	if ((BASH_SUBSHELL)); then
		echo "FAIL: $*" >&2
		exit 1
	fi
	echo "FAIL: $*"
	for err in "$work"/*.err; do
		[[ -s $err ]] || continue
		echo "--- the last of what it said on stderr, under $(basename "$err" .err):"
		tail -n 15 "$err"
	done
	exit 1
}

# require PROGRAM…: each a command, or the absolute path of one.
require() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# sources_of NAME: Debian's sources of a program, which has its own tests in them: $sources.
sources_of() {
	sources=$(realpath -m "$workloads/../../../build/sources/$1")
	[[ -d $sources ]] || skip "no sources of $1 (scripts/setup torture)"
}

# not_as_root USER: for what refuses to run as root: put ${as_user[@]} before it. The user can reach the
# library, the directory that the test runs in, and that of the statistics.
# shellcheck disable=SC2034
not_as_root() {
	as_user=()
	((EUID == 0)) || return 0
	require /usr/bin/setpriv
	id "$1" >/dev/null 2>&1 || skip "there is no user $1"
	as_user=(setpriv "--reuid=$1" "--regid=$(id -g "$1")" --init-groups)
	cp "$so" "$work/" || fail "not active: no $so"
	so=$work/$(basename "$so")
	chmod 755 "$work" "$so"
	chown "$1" "$work/stats"
}

# need_postgres: $postgres is where it lies; its package makes a user of this name.
need_postgres() {
	for postgres in /usr/lib/postgresql/*; do :; done
	require "$postgres/bin/initdb"
	PATH=$postgres/bin:$PATH
	not_as_root postgres
}

# What follows in this (sub)shell starts its programs under the library.
preload() {
	export LD_PRELOAD=$so SLABMALLOC_STATS=$work/stats/%p
}

# run_under glibc|slabmalloc COMMAND…: leaves NAME.out, NAME.err, and the exit status in $status.
# Both run in a directory of one name, since programs write their directory into what they make.
# The subshell stands outside of any condition, since bash ignores `set -e` within one.
run_under() {
	local under=$1
	shift
	rm -rf "$work/run"
	mkdir "$work/run"
	chown --reference="$work/stats" "$work/run"
	set +e
	(
		set -e
		cd "$work/run"
		if [[ $under = slabmalloc ]]; then
			preload
		fi
		"$@"
	) >"$work/$under.out" 2>"$work/$under.err" </dev/null
	status=$?
	set -e
}

# was_active [N]: at least N processes (one, unless told) ended with statistics of a heap in use: $files. Others may have
# ended without a call of malloc.
was_active() {
	local expected=${1:-1} strange
	files=$({ find "$work/stats" -type f -exec grep -l '^committed_bytes *[1-9]' {} + || true; } | wc -l)
	if ((files < expected)); then
		fail "not active: $files processes wrote statistics of a heap in use, $expected expected ($so)"
	fi
	strange=$({ find "$work/stats" -type f -exec grep -L '^slabinfo - version: 2\.1$' {} + || true; } | head -n 1)
	if [[ -n $strange ]]; then
		head -n 20 "$strange"
		fail "statistics as above from a process that had the library loaded"
	fi
}

# is_mapped PID: a server that runs now has the library in its address space.
is_mapped() {
	grep -qF "$so" "/proc/$1/maps" || fail "not active: $so is not in /proc/$1/maps"
}

quiet_stderr() {
	if grep -n '^slabmalloc:' "$work/slabmalloc.err"; then
		fail "the library complained"
	fi
}

# same_output COMMAND…: the test itself. $processes (1) is how many must have run under the library.
same_output() {
	find "$work/stats" -type f -delete
	run_under glibc "$@"
	((status == 0)) || fail "exit status $status under glibc: the test itself is broken"
	[[ -s $work/glibc.out ]] || fail "no output under glibc: nothing to compare"
	run_under slabmalloc "$@"
	((status == 0)) || fail "exit status $status under the library, 0 under glibc"
	quiet_stderr
	was_active "${processes:-1}"
	if ! cmp "$work/glibc.out" "$work/slabmalloc.out"; then
		diff "$work/glibc.out" "$work/slabmalloc.out" | head -n 20 || true
		fail "the output differs from that under glibc"
	fi
	echo "OK: $(wc -c <"$work/glibc.out") bytes of output, the same under both; $files processes"
}

# start_server COMMAND…: in the background; its pid in $server. What it prints goes to server.log.
# To be called from within the function given to same_output.
start_server() {
	"$@" >server.log &
	server=$!
	echo "$server" >>"$work/servers"
}

# wait_until COMMAND…: until the server answers, 30 s at most.
wait_until() {
	local tries
	for ((tries = 0; tries < 300; tries++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		if ! kill -0 "$server" 2>/dev/null; then
			tail -n 20 server.log >&2
			fail "the server died while starting"
		fi
		sleep 0.1
	done
	fail "the server does not answer: $*"
}

# While the server is up: under the library, it must be there.
server_is_ours() {
	[[ -z ${LD_PRELOAD-} ]] || is_mapped "$server"
}

# stop_server: by SIGINT, which redis, memcached and postgres all take as the order for an orderly
# exit; a crash while stopping counts.
stop_server() {
	local status=0
	kill -INT "$server"
	wait "$server" || status=$?
	((status == 0)) || fail "the server ended with status $status"
}
