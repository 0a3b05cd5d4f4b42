#!/bin/sh
# SPDX-License-Identifier: MIT
# slabmalloc_options(7) lists exactly the options (with their defaults) that help:1 prints, slabmalloc_stats(5) exactly the
# columns of slabinfo that SLABMALLOC_STATS=1 writes, and the numbers of the schema. All pages render without a warning.
# usage: man.sh FOLDER LIBRARY
folder=$1
library=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# run VARIABLE=VALUE: what a small program writes on stderr under the library, and no other option.
run() {
	env -i PATH="$PATH" LD_PRELOAD="$library" "$1" true 2>&1
}

# items PAGE HEADING: the tags of the lists below this heading of the page, up to the next one.
items() {
	sed -n "/^\.S[hs] $2\$/,/^\.S[hs] /s/^\.It Li //p" "$folder/$1"
}

compare() {
	sort "$dir/page" >"$dir/page.sorted"
	sort "$dir/library" >"$dir/library.sorted"
	if [ ! -s "$dir/library" ]; then
		echo "$1: the library printed nothing"
		failed=1
	elif ! diff "$dir/page.sorted" "$dir/library.sorted" >"$dir/diff"; then
		echo "$1: < only in the page, > only in the library:"
		cat "$dir/diff"
		failed=1
	fi
}

# key:default, with sizes in bytes on both sides.
items slabmalloc_options.7 ENVIRONMENT | awk -F: '
	$2 ~ /^[0-9]+[KMG]$/ {
		unit = substr($2, length($2))
		n = $2 + 0
		$2 = sprintf("%.0f", n * (unit == "K" ? 1024 : unit == "M" ? 1048576 : 1073741824))
	}
	{ print $1 ":" $2 }' >"$dir/page"
run SLABMALLOC_CONF=help:1 |
	awk '/^  [a-z]/ { print $1 ":" ($1 == "help" ? 0 : $2) }' >"$dir/library"
compare options

run SLABMALLOC_STATS=1 >"$dir/statistics"

items slabmalloc_stats.5 Caches >"$dir/page"
sed -n 's/^# name *//p' "$dir/statistics" | grep -o '<[a-z]*_*[a-z]*>' | tr -d '<>' >"$dir/library"
compare 'slabinfo columns'

# The names of a table's numbers; what else its rows have is told in the text.
numbers() {
	python3 - "$folder/stats.schema.json" "$1" <<'PYTHON'
import json, sys
with open(sys.argv[1], encoding="utf-8") as f:
    table = json.load(f)["properties"][sys.argv[2]]
row = table.get("items") or table.get("oneOf", [table])[-1]
other = {"id", "name", "node", "zone", "tid", "orders", "buckets"}
print("\n".join(n for n in row["properties"] if n not in other))
PYTHON
}

for table in totals caches zones nodes cache_nodes threads calls slow_paths pressures shrinkers mempools kfence; do
	items slabmalloc_stats.5 "$table" >"$dir/page"
	numbers "$table" >"$dir/library"
	compare "$table"
done

for renderer in 'groff -ww -mandoc -Tutf8' 'mandoc -T lint -W warning'; do
	command -v "${renderer%% *}" >/dev/null || continue
	for page in "$folder"/*.[1-9]; do
		$renderer "$page" >"$dir/rendered" 2>"$dir/warnings" || failed=1
		case $renderer in mandoc*) mv "$dir/rendered" "$dir/warnings" ;; esac
		if [ -s "$dir/warnings" ]; then
			echo "$renderer:"
			cat "$dir/warnings"
			failed=1
		fi
	done
done
exit $failed
