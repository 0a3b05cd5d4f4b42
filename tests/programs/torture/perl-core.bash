#!/bin/bash
# SPDX-License-Identifier: MIT
limit=900
. "$(dirname "$0")/../common.bash"
require /usr/bin/perl /usr/bin/prove
sources_of perl
export PERL_HASH_SEED=42 PERL_PERTURB_KEYS=0

# The interpreter's own tests, with the installed perl; some fail there, of what only a build has.
# They expect the tree of a build: lib/ is the installed one.
tree() {
	local folder
	ln -s "$sources"/* .
	rm t lib
	cp -r "$sources/t" t
	mkdir lib
	for folder in $(perl -e 'print join " ", grep m(^/usr/(lib|share)/.*perl(-base|/)), reverse @INC') "$sources/lib"; do
		cp -rsn "$folder/." lib
	done
	ln -s /usr/bin/perl perl
	ln -s ../perl t/perl
}

prove_files() {
	# Those take minutes, look at a clock, or ask for the same in a thread with a small stack.
	GLOBIGNORE='re/uniprops*:re/fold_grind*:re/*psycho*:re/*_thr.t:op/alarm.t:op/sleep.t:op/time*.t:../lib/Benchmark.t:../lib/perl5db.t'
	# shellcheck disable=SC2068 # patterns
	prove -Q --nocount $@ || true
}

suite() {
	local module
	tree
	(cd t && PERL_CORE=1 prove_files {base,cmd,comp,io,mro,op,opbasic,re,uni,lib}'/*.t' '../lib/*.t')
	# Modules in C, or with threads.
	for module in cpan/{Compress-Raw-Zlib,Digest-SHA,Encode,Scalar-List-Utils} dist/{Data-Dumper,Storable,threads,threads-shared}; do
		echo "$module"
		cp -rL "$module" module
		cp t/test.pl module/t
		(cd module && prove_files 't/*.t')
		rm -r module
	done
}

same_suite() {
	# How many tests there are varies by one from run to run.
	suite | sed -E 's/^(Files=[0-9]+), Tests=.*/\1/'
}
processes=600
same_output same_suite
