#!/bin/bash
# SPDX-License-Identifier: MIT
limit=600
. "$(dirname "$0")/../common.bash"
require git awk
export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_PAGER=cat
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*'

# 6,000 commits to a tree of 3,000 files, in 40 folders.
history() {
	awk 'BEGIN {
		for (i = 1; i <= 6000; i++) {
			print "commit refs/heads/main"
			print "committer C <c@example.org> " 1600000000 + i * 60 " +0000"
			message = "change " i
			print "data " length(message) "\n" message
			text = ""
			for (j = 0; j < 30 + i % 200; j++)
				text = text "line " j " of file " i % 3000 " at " (j % 17 == i % 17 ? i : "first") "\n"
			print "M 100644 inline folder" i % 40 "/file" i % 3000 ".txt"
			print "data " length(text) "\n" text
		}
	}'
}

# What a repository has, and what several threads make of it.
commands() {
	git log --stat --format='%H %an %s'
	git log -p --find-copies-harder -n 30
	git shortlog -ns HEAD
	git rev-list --objects --all | sort | cksum
	git grep -c -e 'a' HEAD | cksum
	git commit-graph write --reachable --changed-paths
	git log --oneline -- "$(git ls-files --with-tree=HEAD | head -n 1)"
	git repack -a -d -f -q --window=20 --threads=4
	git multi-pack-index write
	git fsck --full --no-progress
	git bundle create -q ../all.bundle --all
	git index-pack --threads=4 --fix-thin --stdin <objects/pack/"$(basename objects/pack/*.pack)" | cut -f1
	git cat-file --batch-all-objects --batch-check | cksum
}

large() {
	git init -q --bare -b main made
	history | git -C made fast-import --quiet
	(cd made && commands)
	git clone -q --no-local made work
	git -C work status --short
	# What people have made, if this is a checkout.
	if [[ -d $work/people ]]; then
		git clone -q --mirror --no-local "$work/people" checkout
		(cd checkout && commands)
	fi
}
# As it is now: somebody may be working on it.
# shellcheck disable=SC2154 # common.bash says where they are
git clone -q --mirror --no-local "$(realpath "$workloads/../../..")" "$work/people" || true
processes=30
same_output large
