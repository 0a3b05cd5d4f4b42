#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require node
same_output node "$workloads/node.js"
