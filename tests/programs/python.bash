#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require /usr/bin/python3
# Without this, Python serves objects up to 512 bytes from arenas of its own.
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
# itself, and the children that end by sys.exit
processes=11
same_output /usr/bin/python3 -s "$workloads/python.py"
