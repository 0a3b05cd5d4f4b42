#!/bin/bash
# SPDX-License-Identifier: MIT
# Small programs in real interpreters while every object is watched, and again with all hardening.
limit=240
. "$(dirname "$0")/common.bash"
require perl python3 sqlite3

short_programs() {
	python3 - <<-'PY'
		import collections, json, re
		counts = collections.Counter(str(i * 7919 % 97) for i in range(2000))
		rows = [json.loads(json.dumps({"a": list(range(k % 50)), "b": str(k) * 5})) for k in range(300)]
		print(sum(len(row["a"]) for row in rows), len(counts), re.sub(r"\d+", "#", "a1b22c333"))
	PY
	perl -e 'my %h; $h{$_ * 7919 % 101} .= "x" x ($_ % 300) for 1 .. 3000;
		print join(",", map { length $h{$_} } sort { $a <=> $b } keys %h), "\n"'
	sqlite3 :memory: 'create table t(a integer primary key, b text);
		with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000)
		insert into t select i, hex(i * 7919) from n;
		create index b on t(b); select count(*), min(b), max(b), sum(length(b)) from t;'
}

processes=3
for setting in DEBUG=FZPU DEBUG=FZP HARDEN=all HARDEN=init_on_alloc,slab_freelist_random; do
	export "SLABMALLOC_$setting"
	same_output short_programs
	unset "SLABMALLOC_${setting%%=*}"
done
