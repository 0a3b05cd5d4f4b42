# SPDX-License-Identifier: MIT
# What the guests of pressure.py run, under busybox: sh pressure.sh CASE…
#
# A line for each promise, "ok - promise" or "not ok - promise"; what begins with # is evidence.
so=/payload/libslabmalloc.so
groups=/sys/fs/cgroup
mib=64 need=56 limit=104

# ok STATUS PROMISE: with what was seen, where it is broken.
ok() {
	if [ "$1" -eq 0 ]; then
		echo "ok - $2"
	else
		echo "not ok - $2"
		for file in /tmp/a.out /tmp/b.out /tmp/stats; do
			[ ! -s $file ] || sed "s|^|# $file: |" $file | tail -n 60
		done
	fi
}

# in_group GROUP COMMAND…: "-" is the group that we are in.
in_group() {
	[ "$1" = - ] || echo 0 >"$groups/$1/cgroup.procs"
	shift
	exec "$@"
}

# resident PID: MiB.
resident() {
	awk '/^VmRSS:/ { print int($2 / 1024) }' "/proc/$1/status" 2>/dev/null
}

# show GROUP LIBRARY [PREFIX…]: program A under the library, then B. Leaves $a and $b, their exit
# statuses, and $idle and $after, A's MiB before B came and after it has gone.
show() {
	group=$1 library=$2
	shift 2
	rm -f /tmp/orders /tmp/a.out /tmp/b.out /tmp/stats
	mkfifo /tmp/orders
	chmod 666 /tmp/orders
	(in_group "$group" "$@" /bin/busybox env LD_PRELOAD="$library" SLABMALLOC_STATS=/tmp/stats \
		/payload/pressure --hold 1 --mib "$mib") </tmp/orders >/tmp/a.out 2>&1 &
	a=$!
	exec 3>/tmp/orders
	tries=0
	until grep -q '^held' /tmp/a.out || [ $((tries += 1)) -gt 200 ]; do
		sleep 0.1
	done
	sleep 2
	pid=$(pidof pressure)
	idle=$(resident "$pid")
	# With memory.high the kernel lets B wait for ever, rather than kill it.
	(in_group "$group" timeout 30 /payload/pressure --take 1 --need_mib "$need") >/tmp/b.out 2>&1
	b=$?
	after=$(resident "$pid")
	exec 3>&-
	wait $a
	a=$?
	echo "# A ${idle:-?} MiB idle, ${after:-?} after, status $a; B status $b," \
		"$(sed -n 's/^seconds //p' /tmp/b.out) s," \
		"longest wait $(sed -n 's/^longest_wait_ms //p' /tmp/b.out) ms"
}

# says WORD…: does the dump name them?
says() {
	for word; do
		grep -q "^$word" /tmp/stats 2>/dev/null || return 1
	done
}

# survives PROMISE: both have, and the dump tells of pressure.
survives() {
	[ "$a" -eq 0 ] && [ "$b" -eq 0 ]
	ok $? "$1: both programs survive"
	says pressure_
	ok $? "$1: the statistics say what tells of pressure"
	grep '^pressure_\|^kshrinkd' /tmp/stats 2>/dev/null | sed 's/^/# /'
}

group_with() {
	mkdir -p "$groups/$1"
	echo "$2" >"$groups/$1/memory.high"
	echo "$3" >"$groups/$1/memory.max"
}

for case; do
	echo "# $case"
	case $case in
	glibc)
		group_with glibc max "${limit}M"
		show glibc ''
		[ "$a" -ne 0 ] || [ "$b" -ne 0 ]
		ok $? 'under glibc one of them is killed: the limit is tight enough'
		;;
	max)
		group_with max max "${limit}M"
		show max $so
		survives 'memory.max'
		;;
	high)
		group_with high "${limit}M" max
		show high $so
		survives 'memory.high'
		[ "${after:-999}" -lt "${idle:-0}" ] || [ "${idle:-999}" -lt $((mib * 6 / 10)) ]
		ok $? 'memory.high: the idle program has given memory back'
		;;
	system)
		# The guest itself is short of memory: of what there is, the same shares as of a group.
		free=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
		mib=$((free * 68 / 100)) need=$((free * 52 / 100))
		show - $so
		survives 'a machine that is short of memory'
		;;
	nobody)
		group_with nobody max "${limit}M"
		show nobody $so /payload/setpriv --reuid=65534 --regid=65534 --clear-groups
		survives 'an unprivileged user'
		;;
	noproc)
		group_with noproc max "${limit}M"
		show noproc $so unshare -m sh -c 'umount -l /proc && exec "$@"' sh
		survives 'no /proc'
		;;
	roproc)
		group_with roproc max "${limit}M"
		show roproc $so unshare -m sh -c 'mount -o remount,ro,bind /proc && exec "$@"' sh
		survives 'a read-only /proc'
		;;
	container)
		# A cgroup namespace, in which the process's group is the root of all it sees.
		group_with container max "${limit}M"
		show container $so /payload/unshare --cgroup --mount sh -c 'umount -l /sys/fs/cgroup &&
			mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' sh
		survives 'a container'
		;;
	madvise | ppoll | membarrier | prctl)
		# Here nothing may be given back, and B finds enough: it only must not break.
		mib=16 need=8
		show - $so /payload/deny "$case"
		survives "$case refused"
		;;
	*)
		ok 1 "there is a case $case"
		;;
	esac
done
