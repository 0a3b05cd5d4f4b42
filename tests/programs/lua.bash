#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require lua5.4
same_output lua5.4 "$workloads/lua.lua"
