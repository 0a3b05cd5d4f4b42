#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model of slabmalloc-report --what-if against the library; usage: RECORD REPLAY.

The trace of a program is replayed under the library (SLABMALLOC_SO), which says what it had at the
most; the model of the present settings has to say about the same.
"""

import json
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/api"), str(TOP / "tools")]

from slabmalloc_report import model, trace  # noqa: E402
from tap import Tap, library, outcome, run  # noqa: E402

# Keeps some, frees some, lets some grow: some 15 MB at the most.
PERL = """my @a; srand 1; for my $r (1 .. 6) {
push @a, join ',', map { 'x' x rand 500 } 1 .. rand 12 for 1 .. 3000;
$_ & 3 or undef $a[$_] for 0 .. $#a; splice @a, 0, 1500 } my $s = 'y'; $s .= $s for 1 .. 20;"""

# A model of slabs knows nothing of page sets, barns and the replay's own blocks.
SHARE, SLACK = 0.05, 768 << 10


def dump(result):
    """The library's last line, if it writes JSON."""
    for line in result.stderr.splitlines():
        if line.startswith("{"):
            return json.loads(line)
    return None


def main():
    tap = Tap()
    record, replay = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "perl")
        result = run([record, "-o", str(path), "perl", "-e", PERL])
        if not tap.ok(result.returncode == 0, "a program is recorded", outcome(result)):
            tap.done()
        own = dump(run([replay, "--sequential", str(path)], preload=[library()],
                       SLABMALLOC_STATS="1", SLABMALLOC_STATS_FORMAT="json"))
        if not own:
            tap.skip("the model against a replay", "the library writes no JSON")
            tap.done()
        events = trace.Trace(str(path), path.read_bytes())
        heap = model.Heap(model.Settings("as it is")).run(events)
        most = own["totals"]["peak_frames_bytes"] + own["totals"]["peak_vmalloc_bytes"]
        tap.ok(abs(heap.peak["used"] - most) <= SHARE * most + SLACK,
               "what the model has in use at the most is what the library had", heap.peak, most)
        tap.ok(most > 8 << 20, "and it was enough to tell", most)
        live = own["totals"]["live_bytes"]
        tap.ok(abs(heap.series[-1][2] - live) <= SLACK, "as is what lives at the end",
               heap.series[-1], live)
    tap.done()


main()
