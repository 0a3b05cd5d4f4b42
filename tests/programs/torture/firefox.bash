#!/bin/bash
# SPDX-License-Identifier: MIT
limit=300
. "$(dirname "$0")/../common.bash"
require firefox-esr awk

# It has an allocator linked in, which takes malloc's names in its own processes; ours is there for the libraries, also
# in the sandbox, where no statistics can be written: while it runs, /proc is asked who has ours in it.
watch_it() {
	while kill -0 "$1" 2>/dev/null; do
		# A page's process has, between blanks or zeros, its own name for that and the first one's number.
		grep -lsaP -e "-isForBrowser.*-parentPid[ \\x00]$1[ \\x00]" /proc/[0-9]*/cmdline | cut -d / -f 3 >pages || true
		grep -lsF "$so" /proc/[0-9]*/maps | cut -d / -f 3 >ours || true
		grep -xFf pages ours >>active || true
		sleep 0.3
	done
	[[ -z ${LD_PRELOAD-} || -s active ]] || fail "not active: no page's process had the library"
}

screenshot() {
	awk 'BEGIN {
		print "<!doctype html><meta charset=utf-8><body><canvas id=c width=300 height=200></canvas><script>"
		print "let a = []; for (let i = 0; i < 20000; i++) a.push({ i, s: String(i * 7919 % 1009).repeat(i % 9) });"
		print "a.sort((x, y) => x.s < y.s ? -1 : x.s > y.s ? 1 : x.i - y.i);"
		print "for (let i = 0; i < 400; i++) { const d = document.createElement(\"div\"); d.textContent = a[i * 50].s; document.body.append(d); }"
		print "const g = document.getElementById(\"c\").getContext(\"2d\");"
		print "for (let i = 0; i < 300; i++) { g.fillStyle = `rgb(${i % 256},${i * 7 % 256},${i * 13 % 256})`; g.fillRect(i * 37 % 300, i * 53 % 200, 20, 9); }"
		print "</script>"
	}' >page.html
	# It stays at home: the proxy is a port where nobody listens.
	mkdir profile
	awk 'BEGIN {
		print "user_pref(\"network.proxy.type\", 1);"
		print "user_pref(\"network.proxy.socks\", \"127.0.0.1\");"
		print "user_pref(\"network.proxy.socks_port\", 9);"
	}' >profile/user.js
	unset SLABMALLOC_STATS
	firefox-esr --headless --no-remote --profile "$PWD/profile" --window-size 800,600 \
		--screenshot "$PWD/shot.png" "file://$PWD/page.html" &
	watch_it $!
	wait $!
	[[ -s shot.png ]] || fail "no picture"
	cksum shot.png
}
same_output screenshot
