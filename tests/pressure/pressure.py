#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A heap gives way under pressure, on this machine: usage: PRESSURE DENY WHO FILL CLOSER.

Program A fills a heap, frees most of it and sleeps; program B then needs what A holds. Who has
which threads, and how much malloc gives where there is a limit. With SLABMALLOC_SO.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "api"), str(HERE.parents[1] / "bench")]

from lab import group  # noqa: E402
from lab.pressure import MIB, Holder  # noqa: E402
from tap import Tap, environment, library  # noqa: E402

MIB_HELD, MIB_NEEDED, LIMIT = 96, 84, 160 * MIB


class Nowhere:
    """No group: the processes stay where they are."""

    def enter(self):
        """Nothing to do."""


class Test:
    def __init__(self, pressure, deny, who, fill, closer):
        self.pressure, self.deny, self.who, self.fill = pressure, deny, who, fill
        self.closer = closer
        self.tap = Tap()
        self.folder = tempfile.TemporaryDirectory()
        os.chmod(self.folder.name, 0o777)
        self.stats = pathlib.Path(self.folder.name) / "stats"

    def environment(self, **settings):
        env = environment()
        return env | {"LD_PRELOAD": library(), "SLABMALLOC_STATS": str(self.stats)} | settings

    def holder(self, place, mib=MIB_HELD, prefix=(), options=(), **settings):
        self.stats.unlink(missing_ok=True)
        command = [*prefix, self.pressure, "--hold", "1", "--mib", mib, *options]
        return Holder(command, self.environment(**settings), place)

    def take(self, place):
        env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        return subprocess.run([self.pressure, "--take", "1", "--need_mib", str(MIB_NEEDED)],
                              env=env, preexec_fn=place.enter, capture_output=True, check=False)

    def statistics(self):
        """name -> value of the dump's last part."""
        if not self.stats.exists():
            return {}
        lines = (line.split() for line in self.stats.read_text(encoding="utf-8").splitlines())
        return {w[0]: w[1] for w in lines if len(w) == 2}

    def says_what_is_used(self, what):
        said = {k: v for k, v in self.statistics().items() if k.startswith("pressure_")}
        for name, value in said.items():
            print(f"# {name} {value}")
        self.tap.ok(said, f"{what}: the statistics say what tells of pressure")

    def show(self, what, prefix=(), **settings):
        """A, then B, in one group; both shall survive."""
        with group.Group(LIMIT) as place:
            with self.holder(place, prefix=prefix, **settings) as a:
                a.watch(1.5)
                idle = a.mib()
                b = self.take(place)
                print(f"# {what}: A {idle:.0f} MiB idle, {a.mib():.0f} after")
                lives = a.lives()
            self.tap.ok(lives and b.returncode == 0, f"{what}: both programs survive",
                        f"A {lives}, B {b.returncode}, killed {place.killed()}")
        self.says_what_is_used(what)

    def phases(self, what, **settings):
        """One process gives way to itself as it grows. Who returns nothing needs 476 MiB."""
        command = [self.pressure, "--mib", "256", "--need_mib", "220", "--phases", "2"]
        with group.Group(352 * MIB) as place:
            done = subprocess.run(command, env=self.environment(**settings), preexec_fn=place.enter,
                                  capture_output=True, check=False)
            self.tap.ok(done.returncode == 0, f"{what} survives", done.returncode, done.stderr)

    def in_groups(self):
        """What needs a memory cgroup."""
        with group.Group(LIMIT) as place:
            self.filled("limit:auto", LIMIT // MIB, place, SLABMALLOC_LIMIT="auto")
        self.show("a group's limit")
        self.phases("a process whose phases alternate")
        self.phases("and without kshrinkd", SLABMALLOC_KSHRINKD="off")
        if os.geteuid() == 0:
            nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
            self.show("an unprivileged user", prefix=nobody)
        else:
            self.tap.skip("root", "the user is unprivileged already")

    def refused(self, call):
        with self.holder(Nowhere(), mib=16, prefix=(self.deny, call)) as a:
            a.watch(1)
            self.tap.ok(a.lives(), f"{call} refused: nothing breaks")
        self.says_what_is_used(f"{call} refused")

    def stages(self, **settings):
        """What who.c says: stage -> (threads, of ours, of those deaf to signals)."""
        done = subprocess.run([self.who], env=self.environment(**settings), text=True,
                              capture_output=True, timeout=30, check=False)
        lines = (line.split() for line in done.stdout.splitlines())
        return {w[0]: tuple(int(n) for n in w[1:]) for w in lines}

    def threads(self):
        one, alone, other, ours = (1, 0, 0), (1, 0, 0), (2, 0, 0), (3, 1, 1)
        ok, said = self.tap.ok, self.stages()
        ok(said.get("single") == one, "a program of one thread stays one", said)
        ok(said.get("alone") == alone, "and may do what only such a one may", said)
        ok(said.get("second") == ours, "its first thread brings kshrinkd, deaf to signals", said)
        ok(said.get("forked") == one, "a child of fork has none", said)
        ok(said.get("forked-second") == ours, "until it makes a thread", said)
        said = self.stages(SLABMALLOC_KSHRINKD="off")
        ok(said.get("second") == said.get("forked-second") == other, "kshrinkd:off: none", said)
        said = self.stages(SLABMALLOC_KSHRINKD="on")
        ok(said.get("single") == (2, 1, 1), "kshrinkd:on: from the start", said)

    def descriptors(self):
        done = subprocess.run([self.closer], env=self.environment(), text=True,
                              capture_output=True, timeout=30, check=False)
        self.tap.ok(done.returncode == 0, "a program closes descriptors that it has not opened",
                    done.stderr)
        closed, kept, ms = [int(word) for word in done.stdout.split() or (0, -1, 0)]
        self.tap.ok(kept == closed, "what it opens in their place stays its own", done.stdout)
        self.tap.ok(ms < 500, "nothing spins over them", done.stdout)
        self.says_what_is_used("closed descriptors")

    def filled(self, what, limit, place=Nowhere(), **settings):
        """Every size gets most of a limit in MiB and no more, and what was freed is no loss."""
        done = subprocess.run([self.fill], env=self.environment(**settings), text=True,
                              preexec_fn=place.enter, capture_output=True, check=False)
        lines = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
        good = [limit // 2 <= had <= limit and said_no for _, had, said_no, _ in lines]
        self.tap.ok(done.returncode == 0 and len(good) == 6 and all(good),
                    f"{what}: malloc gives most of it, then says ENOMEM", done.returncode,
                    done.stdout, done.stderr)

    def run(self):
        self.threads()
        self.descriptors()
        self.filled("limit:96M", 96, SLABMALLOC_LIMIT="96M")
        try:
            with group.Group(LIMIT):
                pass
        except group.NoGroup as why:
            self.tap.skip("in a memory cgroup", why)
        else:
            self.in_groups()
        for call in ("madvise", "ppoll", "membarrier", "prctl", "process_madvise"):
            with contextlib.suppress(FileNotFoundError):
                self.refused(call)
        self.folder.cleanup()
        self.tap.done()


if __name__ == "__main__":
    Test(*sys.argv[1:]).run()
