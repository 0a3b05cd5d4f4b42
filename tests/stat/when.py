#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Dumps by time, by a signal and at exit, whole ones, and nothing waits for them."""
import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
import time

from common import SUBJECT, environment, run
import tap


@contextlib.contextmanager
def subject(*arguments, **variables):
    """It runs in a directory of its own; SLABMALLOC_STATS is relative to that."""
    with tempfile.TemporaryDirectory() as place, subprocess.Popen(
        [SUBJECT, *map(str, arguments)], env=environment(**variables), cwd=place, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:
        process.place = place
        try:
            yield process
        finally:
            process.kill()


def names(process):
    return sorted(os.listdir(process.place))


def content(process, name):
    with open(os.path.join(process.place, name), encoding="ascii") as f:
        return json.load(f)


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def by_time(t, what, arguments, **settings):
    with subject(
        *arguments, SLABMALLOC_STATS="of-%p-%n", SLABMALLOC_STATS_FORMAT="json",
        SLABMALLOC_STATS_INTERVAL="1", **settings,
    ) as p:
        p.wait()
        found = names(p)
        t.ok(
            len(found) >= 3 and found == [f"of-{p.pid}-{i + 1}" for i in range(len(found))],
            f"{what}: a file each second, numbered",
            found,
        )
        times = [content(p, name)["time_ms"] for name in found[:-1]]
        gaps = [b - a for a, b in zip(times, times[1:])]
        t.ok(all(gap >= 900 for gap in gaps), f"{what}: not more often", gaps)


def replaced(t):
    """Who reads the file while it is written sees the old one or the new one."""
    with subject(
        "tick", "2.5", SLABMALLOC_STATS="now", SLABMALLOC_STATS_FORMAT="json",
        SLABMALLOC_STATS_INTERVAL="1", SLABMALLOC_STATS_SIGNAL="USR1",
    ) as p:
        torn, times = [], set()
        time.sleep(0.3)
        while p.poll() is None:
            p.send_signal(signal.SIGUSR1)
            with contextlib.suppress(FileNotFoundError):
                try:
                    times.add(content(p, "now")["time_ms"])
                except ValueError as e:
                    torn.append(e)
        t.ok(not torn and len(times) > 3, "a file is whole at any time", len(times), *torn[:3])
        t.ok(p.returncode == 0 and names(p) == ["now"], "and nothing else is left", names(p))


def by_signal(t):
    with subject(
        "hang", SLABMALLOC_STATS="asked-%n", SLABMALLOC_STATS_FORMAT="json",
        SLABMALLOC_STATS_SIGNAL="USR2",
    ) as p:
        p.stdout.readline()
        t.ok(not names(p), "nothing is written before somebody asks", names(p))
        for i in range(1, 4):
            p.send_signal(signal.SIGUSR2)
            good = wait_for(lambda i=i: f"asked-{i}" in names(p))
            t.ok(good and content(p, f"asked-{i}")["pid"] == p.pid,
                 f"a program that hangs answers, {i}", names(p))
        t.ok(p.poll() is None, "and goes on")
    with subject("threads", "1", SLABMALLOC_STATS_SIGNAL="USR2") as p:
        p.stdout.readline()
        p.send_signal(signal.SIGUSR2)
        _, err = p.communicate()
        t.ok(
            p.returncode == 0 and err.count("slabinfo - version") == 1,
            "without a path it goes to stderr, and none is written at exit",
            err[:300],
        )
    result = run("small_stack", SLABMALLOC_STATS_SIGNAL="USR2", SLABMALLOC_STATS_FORMAT="json")
    t.ok(
        result.returncode == 0 and result.stderr.count('{"schema":1') == 1,
        "on a small alternate stack it is left to malloc", tap.outcome(result),
    )
    with subject("hang") as p:
        p.stdout.readline()
        p.send_signal(signal.SIGUSR2)
        t.ok(p.wait() == -signal.SIGUSR2, "without the option the signal is the program's")


def in_malloc(t):
    """Wherever the signal comes, in any of malloc's steps."""
    with subject(
        "churn", "3", SLABMALLOC_STATS="now", SLABMALLOC_STATS_FORMAT="json",
        SLABMALLOC_STATS_SIGNAL="USR2",
    ) as p:
        p.stdout.readline()
        sent, bad, seen = 0, [], set()
        while p.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                p.send_signal(signal.SIGUSR2)
            sent += 1
            time.sleep(0.001)
            if sent % 20 == 0 and os.path.exists(os.path.join(p.place, "now")):
                try:
                    data = content(p, "now")
                    seen.add(data["time_ms"])
                    if data["totals"]["live_bytes"] > 1 << 30:
                        bad.append(data["totals"])
                except ValueError as e:
                    bad.append(e)
        _, err = p.communicate()
        t.ok(
            p.returncode == 0 and not err and not bad and len(seen) > 5,
            f"{sent} signals into malloc and free: {len(seen)} dumps looked at",
            p.returncode, err[:300], *bad[:2],
        )


def nothing_waits(t):
    result = run("stuck", timeout=60)
    t.ok(
        result.returncode == 0 and "allocated meanwhile" in result.stdout,
        "a dump that cannot be written stops no other thread",
        tap.outcome(result),
    )


def at_exit(t):
    with subject(
        "threads", "0.1", SLABMALLOC_STATS="of-%p", SLABMALLOC_STATS_FORMAT="json",
    ) as p:
        p.wait()
        t.ok(names(p) == [f"of-{p.pid}"] and content(p, f"of-{p.pid}")["schema"] == 1,
             "at exit, one", names(p))


def odd_places(t):
    for settings, words in (
        ({"SLABMALLOC_STATS_SIGNAL": "KILL"}, "SLABMALLOC variable: STATS_SIGNAL=KILL"),
        ({"SLABMALLOC_STATS_FORMAT": "xml"}, "SLABMALLOC variable: STATS_FORMAT=xml"),
        ({"SLABMALLOC_STATS": "/nowhere/x"}, "cannot write statistics to /nowhere/x"),
    ):
        result = run("tick", "0.01", **settings)
        t.ok(
            result.returncode == 0 and len(result.stderr.splitlines()) == 1
            and words in result.stderr,
            f"{words}: one line", tap.outcome(result),
        )
    result = run("tick", "0.01", SLABMALLOC_STATS="/proc/self/fd/1", SLABMALLOC_STATS_FORMAT="json")
    t.ok(re.match(r'\{"schema":1', result.stdout), "what is no file is written as it is",
         tap.outcome(result))


def main():
    t = tap.Tap()
    by_time(t, "one thread", ("tick", "3.3"))
    by_time(t, "sleeping threads", ("threads", "3.3"))
    by_time(t, "one thread that sleeps, kshrinkd:on", ("sleep", "3.3"), SLABMALLOC_KSHRINKD="on")
    replaced(t)
    by_signal(t)
    in_malloc(t)
    nothing_waits(t)
    at_exit(t)
    odd_places(t)
    t.done()


if __name__ == "__main__":
    main()
