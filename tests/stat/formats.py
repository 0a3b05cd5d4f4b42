#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each format is what its readers expect, and all tell the same."""
import html.parser
import json
import re
import shutil
import subprocess
import sys
import tempfile

from common import FORMATS, SUBJECT, dumps, run, schema
import tap

# Debian's packages, whichever python comes first in PATH.
sys.path.append("/usr/lib/python3/dist-packages")
try:
    import jsonschema
except ImportError:
    jsonschema = None
try:
    from prometheus_client import parser as prometheus
except ImportError:
    prometheus = None

# Just enough of a browser to run the page's script to its end: every element takes everything.
BROWSER = r"""
const fs = require("fs"), page = fs.readFileSync(process.argv[2], "utf8");
const data = page.match(/<script type="application\/json" id="data">([^]*?)<\/script>/)[1];
const script = page.match(/<script>([^]*?)<\/script>/)[1];
let made = 0;
function element() {
	made++;
	return {style: {setProperty() {}}, classList: {add() {}}, append() {}, remove() {},
		replaceChildren() {}, textContent: data};
}
const document = {getElementById: element, querySelector: element, createElement: element};
new Function("document", script)(document);
console.log(made);
"""


def same_shape(t, data):
    """The schema's own names, in its order, and nothing missing."""
    want = schema()["properties"]
    t.ok(list(data) == list(want), "the members of a dump are those of the schema", list(data))
    t.ok(
        list(data["totals"]) == list(want["totals"]["properties"]),
        "and so are its totals",
        sorted(set(data["totals"]) ^ set(want["totals"]["properties"])),
    )


def check_schema(t, data, what):
    if not jsonschema:
        t.skip(f"{what} keeps to the schema", "no jsonschema (Debian: python3-jsonschema)")
        return
    errors = [
        f"{list(e.absolute_path)}: {e.message}"
        for e in jsonschema.Draft7Validator(schema()).iter_errors(data)
    ]
    t.ok(not errors, f"{what} keeps to the schema", *errors[:5])


def check_json(t):
    found, others, result = dumps("dumps", 1, 3)
    t.ok(
        result.returncode == 0 and len(found) == 3 and not others,
        "dumps one after the other are lines of JSON",
        tap.outcome(result),
    )
    for data in found[:1]:
        same_shape(t, data)
        check_schema(t, data, "the JSON")
    if jsonschema:
        jsonschema.Draft7Validator.check_schema(schema())
    data = dumps("remote", SLABMALLOC_DEBUG="FZPU,kmalloc-64", SLABMALLOC_KFENCE="1")[0][0]
    check_schema(t, data, "the JSON with KFENCE and a cache that is debugged")
    t.ok(len(data["kfence"]) == 7, "KFENCE's numbers are there when it is on", data["kfence"])


def families_of(text):
    return {f.name: f for f in prometheus.text_string_to_metric_families(text)}


def check_prometheus(t):
    text = run("dumps", 2, 1, SLABMALLOC_KFENCE="1").stdout
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    series = [line.rsplit(" ", 1)[0] for line in lines]
    t.ok(len(series) == len(set(series)) > 300, "no series comes twice", len(series))
    names = [re.match(r"\w+", line)[0] for line in lines]
    blocks = [n for i, n in enumerate(names) if i == 0 or names[i - 1] != n]
    histogram = re.compile(r"_(bucket|sum|count)$")
    blocks = [n for n in blocks if not histogram.search(n)]
    t.ok(len(blocks) == len(set(blocks)), "the samples of a metric stand together")
    if not prometheus:
        t.skip("Prometheus' own parser reads it", "Debian: python3-prometheus-client")
    else:
        families = families_of(text)
        bad = [f.name for f in families.values() if not f.documentation or f.type == "unknown"]
        t.ok(not bad, "Prometheus' own parser reads it; all have a type and a help", bad)
        paths = families["slabmalloc_slow_path_duration_seconds"]
        t.ok(paths.type == "histogram", "slow paths are a histogram", paths.type)
        named = {s.labels["cache"] for s in families["slabmalloc_cache_active_objs"].samples}
        t.ok("kmalloc-112" in named, "caches are labels", named)
    if shutil.which("promtool"):
        done = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True,
            check=False,
        )
        t.ok(done.returncode == 0, "promtool has nothing to say", done.stdout, done.stderr)


class Page(html.parser.HTMLParser):
    """Does it need anything from elsewhere?"""

    def __init__(self, text):
        super().__init__()
        self.tags, self.foreign = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.foreign += [a for a in attrs if a[0] in ("src", "href")]


def check_html(t):
    text = run("dumps", 3, 1).stdout
    found = re.search(r'id="data">(.*?)</script>', text, re.S)
    check_schema(t, json.loads(found[1]) if found else None, "the page's JSON")
    page = Page(text)
    t.ok(
        not page.foreign and "http" not in text and "url(" not in text,
        "the page needs nothing else",
        page.foreign,
    )
    t.ok(len(text) < 100000, "and is small", len(text))
    if not shutil.which("node"):
        t.skip("its script runs to its end", "no node (Debian: nodejs)")
        return
    for what, arguments, settings in (
        ("the page's script runs to its end", ("dumps", 3, 1), {}),
        ("... with threads and KFENCE", ("busy", 3, 1), {"SLABMALLOC_KFENCE": "1"}),
    ):
        with tempfile.NamedTemporaryFile("w", suffix=".html") as f:
            f.write(run(*arguments, **settings).stdout)
            f.flush()
            done = subprocess.run(
                ["node", "-e", BROWSER, "page", f.name], capture_output=True, text=True, check=False
            )
        t.ok(done.returncode == 0 and int(done.stdout or 0) > 300, what, done.stdout, done.stderr)


def check_text(t):
    text = run("dumps", 0, 1, SLABMALLOC_NUMA="off").stdout
    parts = text.split("\n\n")
    t.ok(len(parts) == 4, "the text has four parts", len(parts))
    names = [line.split()[0] for line in parts[-1].splitlines()]
    want = list(schema()["properties"]["totals"]["properties"])
    t.ok(names[: len(want)] == want, "its totals have the names of the JSON", names)


EVENTS = ["numa_hit", "numa_miss", "numa_foreign", "interleave_hit", "local_node", "other_node",
          "remote_free"]


def check_nodes(t):
    """Four made-up nodes: a row for each, the same in all formats; on one node none."""
    whole = run("formats", SLABMALLOC_NUMA="fake=4", SLABMALLOC_KSHRINKD="off").stdout
    text, _, rest = whole.partition('{"schema"')
    line, _, prometheus_text = ('{"schema"' + rest).partition("\n")
    data = json.loads(line)
    check_schema(t, data, "the JSON on several nodes")
    nodes, on_nodes = data["nodes"], data["cache_nodes"]
    t.ok([n["node"] for n in nodes] == [0, 1, 2, 3], "a row for each node", nodes)
    fields = [f for f in nodes[0] if f != "node"] if nodes else []
    t.ok(fields == EVENTS + ["fallback"], "with numastat's words", fields)
    t.ok(
        all(n["numa_hit"] + n["numa_miss"] == n["local_node"] + n["other_node"] for n in nodes)
        and sum(n["numa_miss"] for n in nodes) == sum(n["numa_foreign"] for n in nodes)
        and sum(n["numa_hit"] for n in nodes) > 20000 * 256,
        "what came from a node was wanted here or there, and went here or there", *nodes,
    )
    for name in ("active_objs", "num_objs", "num_slabs"):
        sums = {c["id"]: sum(x[name] for x in on_nodes if x["id"] == c["id"])
                for c in data["caches"]}
        t.ok(sums == {c["id"]: c[name] for c in data["caches"]},
             f"{name} of the nodes are those of the caches", sums)
    size = {c["id"]: c["objsize"] for c in data["caches"]}
    t.ok(
        all(n["remote_free"] == sum(x["remote_free"] * size[x["id"]] for x in on_nodes
                                    if x["node"] == n["node"]) for n in nodes),
        "a node's remote_free are its caches', in bytes", *nodes,
    )
    table = map(str.split, text.split("\nbytes ")[-1].splitlines()[1:])
    rows = {w[0]: list(map(int, w[1:])) for w in table if w and w[0] in fields}
    t.ok(rows == {f: [n[f] for n in nodes] for f in fields}, "the text has the same numbers", rows)
    samples = set(prometheus_text.splitlines())
    want = {f'slabmalloc_node_{f}_total{{node="{n["node"]}"}} {n[f]}'
            for f in fields for n in nodes}
    want |= {f'slabmalloc_cache_node_num_objs{{id="{x["id"]}",cache="{x["name"]}",'
             f'node="{x["node"]}"}} {x["num_objs"]}' for x in on_nodes}
    t.ok(want <= samples, "and so has Prometheus' text", *sorted(want - samples)[:5])
    if prometheus:
        t.ok(families_of(prometheus_text), "which its own parser reads")
    one = run("formats", SLABMALLOC_NUMA="off", SLABMALLOC_KSHRINKD="off").stdout
    t.ok(
        '"nodes":[],"cache_nodes":[]' in one and "slabmalloc_node_" not in one
        and "numa_hit" not in one,
        "on one node there is none of it", one[-2000:],
    )


def check_option(t):
    for number, name in enumerate(FORMATS):
        result = tap.run(
            [SUBJECT, "dumps", str(number), "1"], preload=[tap.library()], SLABMALLOC_STATS="1",
            SLABMALLOC_STATS_FORMAT=name,
        )
        t.ok(
            result.stderr[:40] == result.stdout[:40] and len(result.stderr) > 1000,
            f"stats_format:{name} at exit is the call's format {number}",
            tap.outcome(result),
        )
    wrong = run("dumps", 4, 1)
    t.ok(wrong.returncode == 3, "there is no fifth format", tap.outcome(wrong))


def main():
    t = tap.Tap()
    check_json(t)
    check_prometheus(t)
    check_html(t)
    check_text(t)
    check_nodes(t)
    check_option(t)
    t.done()


if __name__ == "__main__":
    main()
