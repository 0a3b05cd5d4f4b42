#!/bin/bash
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.bash"
require sqlite3
# 400,000 rows in a file; fewer in memory, where every page of the database is a malloc of its own.
both() {
	sqlite3 -batch -cmd '.parameter set :rows 400000' test.db <"$workloads/sqlite.sql"
	sqlite3 -batch -cmd '.parameter set :rows 100000' :memory: <"$workloads/sqlite.sql"
}
processes=2
same_output both
