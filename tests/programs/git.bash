#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require git awk
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@example.org

# A thousand commits in one stream, on three branches, of files that change a little each time.
history() {
	awk 'BEGIN {
		for (i = 1; i <= 1000; i++) {
			print "commit refs/heads/" (i % 10 ? "main" : i % 20 ? "left" : "right")
			print "committer C <c@example.org> " 1600000000 + i * 60 " +0000"
			message = "change " i
			print "data " length(message) "\n" message
			text = ""
			for (j = 0; j < 40 + i % 50; j++)
				text = text "line " j " of " (j % 17 == i % 17 ? i : "old") "\n"
			print "M 100644 inline dir" i % 7 "/file" i % 60 ".txt"
			print "data " length(text) "\n" text
		}
	}'
}

# Nothing here depends on how threads divide the work of packing: names and contents do not.
whole_repository() {
	git init -q -b main repo
	cd repo
	git config gc.auto 0
	git config pack.threads 2
	history | git fast-import --quiet
	git checkout -q main
	for ((i = 0; i < 60; i++)); do
		export GIT_AUTHOR_DATE="$((1700000000 + i)) +0000" GIT_COMMITTER_DATE="$((1700000000 + i)) +0000"
		seq "$i" 3000 >numbers.txt
		git add numbers.txt
		git commit -q -m "numbers from $i"
	done
	git merge -q -s ours --allow-unrelated-histories -m merged left right
	git log --stat --format='%H %T %s'
	git log -p --follow -- dir3/file3.txt
	git blame dir3/file3.txt
	git repack -q -d
	git gc -q --aggressive --prune=now
	git fsck --full --strict --no-progress
	git rev-list --objects --all | sort
	git cat-file --batch-all-objects --batch-check
	git grep -c 'old' HEAD -- dir1
	git clone -q --no-local . ../clone
	git -C ../clone fsck --full
	git archive HEAD | cksum
}
processes=150
same_output whole_repository
