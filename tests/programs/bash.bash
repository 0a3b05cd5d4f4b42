#!/bin/bash
# SPDX-License-Identifier: MIT
# Scripts that fork thousands of times: each subshell is a fork of a process with a heap in use.
. "$(dirname "$0")/common.bash"
processes=4000
same_output bash "$workloads/forks.bash"
