#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require perl
# Perl orders its hashes by a random seed: the same one both times.
export PERL_HASH_SEED=42 PERL_PERTURB_KEYS=0
processes=5
same_output perl "$workloads/perl.pl"
