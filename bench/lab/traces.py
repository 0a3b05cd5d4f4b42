# SPDX-License-Identifier: MIT
"""Traces of real programs: recorded where the tools were built, when they are first needed.

Recorded under glibc; again when the recorder is newer than the trace.
"""

import os
import pathlib
import tempfile

from . import allocators, build, process

JSON = """
import json, sys
rows = [{"id": i, "name": f"row {i}", "tags": [str(i % k) for k in range(1, 6)], "ratio": i / 7}
        for i in range(int(sys.argv[1]))]
text = json.dumps(rows)
again = json.loads(text)
groups = {}
for row in again:
    groups.setdefault(row["tags"][-1], []).append(row["name"].upper())
assert again == rows and len(groups) <= 5
"""

SQL = """
create table item(id integer primary key, name text, amount real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
    insert into item select i, 'item ' || (i * 7919 % {rows}), i / 7.0 from n;
create index by_name on item(name);
select count(*), sum(a.amount) from item a join item b on a.name = b.name;
select name, group_concat(id) from item group by substr(name, 1, 7) order by 2 limit 1;
update item set name = replace(upper(name), 'ITEM', 'entry') || printf(' of %.2f', amount);
select count(distinct hex(name) || quote(amount)) from item;
"""


def command(program, smoke):
    """What is recorded: a real program at work, or hardly."""
    if program == "python3":
        return ["python3", "-c", JSON, 100 if smoke else 100000]
    if program == "sqlite3":
        return ["sqlite3", ":memory:", SQL.format(rows=100 if smoke else 300000)]
    source = build.ROOT / "tests" / "programs" / "workloads" / "headers.cc"
    if smoke:
        return ["g++", "-x", "c++", "-fsyntax-only", "-include", "string", "/dev/null"]
    return ["g++", "-O2", "-c", source, "-o", "/dev/null"]


def record(tools, program, smoke):
    """The path of the trace, which is made if need be.

    g++ is a driver: it and each program that it runs leave a trace, and the compiler proper's is by
    far the largest.
    """
    trace = tools / f"{program}{'-smoke' if smoke else ''}.trace"
    made_by = tools / "libslabmalloc-record.so"
    if trace.exists() and trace.stat().st_mtime > made_by.stat().st_mtime:
        return trace
    env = allocators.GLIBC.environment() | {"PYTHONMALLOC": "malloc"}
    with tempfile.TemporaryDirectory(dir=tools) as folder:
        first = pathlib.Path(folder) / "trace"
        recorder = [tools / "slabmalloc-record", "-o", first]
        process.run([*recorder, *command(program, smoke)], env, timeout=120)
        os.replace(max(pathlib.Path(folder).iterdir(), key=lambda p: p.stat().st_size), trace)
    return trace
