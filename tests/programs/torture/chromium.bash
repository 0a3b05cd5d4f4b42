#!/bin/bash
# SPDX-License-Identifier: MIT
limit=300
. "$(dirname "$0")/../common.bash"
require chromium awk

# It brings an allocator of its own: what is tried here is that it does so with ours in the process, too.
screenshot() {
	awk 'BEGIN {
		print "<!doctype html><meta charset=utf-8><body><script>"
		print "let a = []; for (let i = 0; i < 20000; i++) a.push({ i, s: String(i * 7919 % 1009).repeat(i % 9) });"
		print "a.sort((x, y) => x.s < y.s ? -1 : x.s > y.s ? 1 : x.i - y.i);"
		print "for (let i = 0; i < 400; i++) { const d = document.createElement(\"div\"); d.textContent = a[i * 50].s; document.body.append(d); }"
		print "</script>"
	}' >page.html
	unset SLABMALLOC_STATS
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=3000 --run-all-compositor-stages-before-draw --window-size=800,600 "--user-data-dir=$PWD/profile" \
		--dump-dom "file://$PWD/page.html"
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --virtual-time-budget=3000 --run-all-compositor-stages-before-draw --window-size=800,600 "--user-data-dir=$PWD/profile" \
		"--screenshot=$PWD/shot.png" "file://$PWD/page.html"
	cksum shot.png
}
same_output screenshot
