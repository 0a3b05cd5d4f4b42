#!/bin/bash
# SPDX-License-Identifier: MIT
# Programs of a newer Debian, in a chroot: its C library is newer than the one that ours was built with.
limit=300
. "$(dirname "$0")/../common.bash"
newer=$(realpath -m "$workloads/../../../build/newer")
[[ -x $newer/usr/bin/python3 ]] || skip "no programs with a newer C library (scripts/setup torture, by root)"
((EUID == 0)) || skip "chroot is for root"
require chroot unshare mount

# All that the programs need lies in $work, which has the same name within.
cp "$so" "$work/"
cp -r "$workloads" "$work/workloads"
so=$work/$(basename "$so")
within() {
	mkdir "$newer$work"
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount env --unset=LD_PRELOAD sh -c '
		mount --bind "$1" "$2$1" && mount -t proc proc "$2/proc" && exec chroot "$2" env "LD_PRELOAD=$3" sh -euc "$4"
	' sh "$work" "$newer" "${LD_PRELOAD-}" "$1"
	rmdir "$newer$work"
}

programs() {
	export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PERL_HASH_SEED=42 PERL_PERTURB_KEYS=0
	within "
		cd $work/run
		getconf GNU_LIBC_VERSION
		python3 -s $work/workloads/python.py
		perl $work/workloads/perl.pl
		seq 200000 | sort --parallel=4 -S 1M -R --random-source=/bin/sh | cksum
		dpkg-query -W | cksum
	"
}
# python and its children, perl, and the small ones
processes=20
same_output programs
