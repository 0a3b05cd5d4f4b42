#!/bin/bash
# SPDX-License-Identifier: MIT
limit=1500
. "$(dirname "$0")/../common.bash"
require /usr/bin/python3
/usr/bin/python3 -c 'import test.test_list' 2>/dev/null || skip "libpython3-testsuite is not installed"

# The interpreter's own tests; TORTURE_TESTS names some of them. What fails, fails under both.
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
suite() {
	# Not what talks to the network, looks at a clock, measures memory under a tracer, waits for its
	# children's signals, compiles, or takes minutes.
	local not=(test_{asyncio,socket,ssl,urllib2net,urllibnet,httplib,httpservers,xmlrpc,docxmlrpc,logging}
		test_{ftplib,smtplib,imaplib,poplib,nntplib,telnetlib} test_{time,timeout,sched,selectors}
		test_{concurrent_futures,multiprocessing_{fork,forkserver,spawn,main_handling},subprocess,signal,threadsignals,faulthandler}
		test_{distutils,cppext,venv,gdb,tools,peg_generator,idle,pydoc,regrtest}
		test_{lib2to3,tokenize,unparse,compileall,mailbox,tarfile,statistics,zoneinfo,zipfile64,largefile})
	local words=(-x "${not[@]}")
	[[ -z ${TORTURE_TESTS-} ]] || read -ra words <<<"$TORTURE_TESTS"
	/usr/bin/python3 -m test -j2 --timeout 300 "${words[@]}" >said 2>&1 || true
	tail -n 30 said >&2
	sed -n '/tests\{0,1\} failed:/,/^$/p' said | grep -o 'test_[a-z0-9_]*' | sort
	grep 'tests\{0,1\} OK' said
}
processes=5
same_output suite
