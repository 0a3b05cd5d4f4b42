# SPDX-License-Identifier: MIT
"""Test Anything Protocol for the Python drivers of this directory: one line for each promise."""

import os
import subprocess
import sys


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, promise, *evidence):
        """Report one promise; where it was broken, with the evidence on stderr."""
        self.count += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.count} - {promise}")
        sys.stdout.flush()
        if not good:
            print(f"not true: {promise}", *evidence, sep="\n", file=sys.stderr, flush=True)
        return bool(good)

    def skip(self, promise, why):
        self.count += 1
        print(f"ok {self.count} - {promise} # SKIP {why}")

    def done(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failed else 0)


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(0)


def library():
    """The library under test, as an absolute path."""
    path = os.environ.get("SLABMALLOC_SO")
    if not path or not os.path.exists(path):
        sys.exit("SLABMALLOC_SO does not name a library")
    return os.path.realpath(path)


def environment():
    """The environment without the library's options, but for made-up nodes: all holds there, too."""
    return {k: v for k, v in os.environ.items()
            if not k.startswith("SLABMALLOC_") or k == "SLABMALLOC_NUMA"}


def run(argv, preload=None, timeout=60, **variables):
    """Run a program; preload is a list of libraries; the rest are environment variables."""
    env = environment()
    if "SLABMALLOC_TEST_PEER" in os.environ:
        env["SLABMALLOC_TEST_PEER"] = "1"
    env.pop("LD_PRELOAD", None)
    if preload:
        env["LD_PRELOAD"] = " ".join(preload)
    env.update(variables)
    try:
        return subprocess.run(
            argv, env=env, timeout=timeout, capture_output=True, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired as e:
        out, err = (x.decode(errors="replace") if x else "" for x in (e.stdout, e.stderr))
        return subprocess.CompletedProcess(argv, "timeout", out, err)


def outcome(result):
    """A finished run in words, as evidence."""
    return (
        f"status {result.returncode}\nstdout: {result.stdout[-2000:]}\n"
        f"stderr: {result.stderr[-2000:]}"
    )
