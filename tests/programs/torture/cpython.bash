#!/bin/bash
# SPDX-License-Identifier: MIT
limit=3000
. "$(dirname "$0")/../common.bash"
require /usr/bin/python3
/usr/bin/python3 -c 'import test.test_list' 2>/dev/null || skip "libpython3-testsuite is not installed"

# The interpreter's own tests; TORTURE_TESTS names some of them. What fails, fails under both.
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
suite() {
	# What talks to the network, waits, or measures memory under a tracer.
	local not=(test_asyncio test_concurrent_futures test_multiprocessing_fork test_multiprocessing_forkserver
		test_multiprocessing_spawn test_socket test_ssl test_urllib2net test_urllibnet test_ftplib test_smtplib
		test_imaplib test_poplib test_nntplib test_telnetlib test_venv test_distutils test_gdb test_tools test_subprocess)
	local words=(-x "${not[@]}")
	[[ -z ${TORTURE_TESTS-} ]] || read -ra words <<<"$TORTURE_TESTS"
	/usr/bin/python3 -m test -j2 --timeout 300 "${words[@]}" >said 2>&1 || true
	tail -n 30 said >&2
	sed -n '/tests\{0,1\} failed:/,/^$/p' said | grep -o 'test_[a-z0-9_]*' | sort
	echo "done"
	grep -c 'tests\{0,1\} OK' said
}
processes=5
same_output suite
