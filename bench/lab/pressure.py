# SPDX-License-Identifier: MIT
"""Who gives memory back when others need it: processes in a memory cgroup with a limit.

Three rows of workload-pressure:

    pressure            A, asleep, holds a heap of which most is free; B, under glibc, needs it
    pressure-phases     one process, whose phases are A and B in turn
    pressure-reaction   from the kernel's first word to nine tenths of what will have gone back,
                        and what malloc's slowest calls take meanwhile
"""

import contextlib
import dataclasses
import pathlib
import subprocess
import tempfile
import time

from . import allocators, group, process, timeline

MIB = 1 << 20
PERIOD = 0.01


@dataclasses.dataclass(frozen=True)
class Sizes:
    """One set for measuring, one for --smoke."""

    options: tuple = ()
    limit: int = 1 << 30
    idle: float = 3  # seconds between A's last free and B's start
    cache: int = 192 * MIB  # of files, which the kernel can drop
    period: float = 0.5


SMOKE = Sizes(("--smoke",), 96 * MIB, 0.1, 16 * MIB, 0.05)


def sizes(lab):
    return SMOKE if lab.smoke else Sizes()


class Holder:
    """Program A: it fills and frees, says "held 1", and obeys."""

    def __init__(self, command, env, place):
        self.start = time.monotonic()
        self.points = []  # (seconds, MiB resident)
        self.child = subprocess.Popen(
            [str(word) for word in command], env=env, preexec_fn=place.enter, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1)

    def __enter__(self):
        line = self.child.stdout.readline()
        if line.strip() != "held 1":
            _, said = self.child.communicate()
            raise process.Failed(f"did not fill its heap: {process.last_line(said) or line!r}")
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout, self.child.stderr):
            with contextlib.suppress(OSError):
                stream.close()

    def mib(self):
        return timeline.mib(self.child.pid) if self.child.poll() is None else 0

    def watch(self, seconds, ended=lambda: False, period=PERIOD):
        until = time.monotonic() + seconds
        while time.monotonic() < until and not ended():
            self.points.append((time.monotonic() - self.start, self.mib()))
            time.sleep(period)

    def slowest(self):
        """What the thousandth slowest call of the period took, in ns; the next begins."""
        self.child.stdin.write("\n")
        return float(self.child.stdout.readline().split()[1])

    def lives(self):
        """Ends it. It looks at its objects: was it alive, and are they as they were?"""
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        self.child.stdout.read()
        return self.child.wait(60) == 0


def room(lab, row, measure):
    """Interleaved rounds of a row; where no group can be made, its reason."""
    try:
        with group.Group(sizes(lab).limit):
            pass
    except group.NoGroup as why:
        lab.results.fail(row, "(all)", str(why))
        return
    lab.interleave(row, measure)


@dataclasses.dataclass
class Neighbours:
    name: str
    what: str
    alone: float = 0  # seconds that B takes when nobody holds anything

    def taker(self, lab, place):
        command = [str(lab.programs / "workload-pressure"), *sizes(lab).options, "--take", "1"]
        return subprocess.Popen(command, env=allocators.GLIBC.environment(), text=True,
                                preexec_fn=place.enter, stdout=subprocess.PIPE)

    def once(self, lab, allocator):
        s = sizes(lab)
        command = [lab.programs / "workload-pressure", *s.options, "--hold", "1"]
        with group.Group(s.limit) as place, \
                Holder(command, allocator.environment(), place) as a:
            a.watch(s.idle)
            values = {"a_idle_kib": a.mib() * 1024}
            begin = time.monotonic()
            with self.taker(lab, place) as b:
                a.watch(60, lambda: b.poll() is not None)
                took = time.monotonic() - begin
                b.kill()
            a.watch(s.idle / 3)
            if a.mib():
                values["a_after_kib"] = a.mib() * 1024
            values |= {"a_lives": a.lives(), "b_lives": b.returncode == 0}
            if b.returncode == 0:
                values["waited_seconds"] = max(0, took - self.alone)
        lab.results.add(self.name, allocator.name, values)
        # The last second before B, and what came then: B begins at 0.
        points = [(at + a.start - begin, mib) for at, mib in a.points if mib]
        lab.timelines.setdefault(self.name, {})[allocator.name] = [p for p in points if p[0] > -1]

    def measure(self, lab):
        with contextlib.suppress(group.NoGroup), group.Group(sizes(lab).limit) as place:
            begin = time.monotonic()
            self.taker(lab, place).communicate()
            self.alone = time.monotonic() - begin
        room(lab, self.name, lambda allocator: self.once(lab, allocator))


@dataclasses.dataclass
class Phases:
    name: str
    what: str

    def command(self, lab):
        return [lab.programs / "workload-pressure", *sizes(lab).options]

    def once(self, lab, allocator):
        env = allocator.environment()
        with group.Group(sizes(lab).limit) as place:
            if self.name not in lab.timelines or allocator.name not in lab.timelines[self.name]:
                points, _ = timeline.watch(self.command(lab), env, 120, place.enter)
                lab.timelines.setdefault(self.name, {})[allocator.name] = points
            text = process.run(self.command(lab), env, 120, place.enter)
        lab.results.add(self.name, allocator.name, process.result_lines(text))

    def measure(self, lab):
        room(lab, self.name, lambda allocator: self.once(lab, allocator))


@dataclasses.dataclass
class Reaction:
    """What goes back by age or amount would hide what goes back for pressure: both are off."""

    name: str
    what: str
    settings = {"SLABMALLOC_DECAY_MS": "3600000", "SLABMALLOC_DIRTY_MIN": "8G",
                "SLABMALLOC_DIRTY_MAX": "8G"}

    def options(self, lab):
        s = sizes(lab)
        return [*s.options, "--hold", "1", "--busy", "2"] + (
            [] if lab.smoke else ["--mib", "1024", "--keep_percent", "1"])

    def fill_cache(self, lab, place, path):
        """Pages of a file that are the group's, and clean: the first that the kernel takes."""
        count = f"count={sizes(lab).cache // MIB}"
        subprocess.run(["dd", "if=/dev/zero", f"of={path}", "bs=1M", count, "conv=fsync"],
                       preexec_fn=place.enter, stderr=subprocess.DEVNULL, check=True)

    def once(self, lab, allocator):
        s = sizes(lab)
        command = [lab.programs / "workload-pressure", *self.options(lab)]
        env = allocator.environment() | self.settings
        with tempfile.TemporaryDirectory(dir=lab.programs) as folder, \
                group.Group(4 * s.limit) as place, Holder(command, env, place) as a, \
                place.trigger() as poll:
            self.fill_cache(lab, place, pathlib.Path(folder) / "cache")
            a.slowest()
            time.sleep(s.period)
            values = {"quiet_ns": a.slowest()}
            before = a.mib()
            squeeze = place.squeeze(s.cache // 2)
            told = bool(poll.poll(1000))
            begin = time.monotonic() - a.start
            a.watch(s.period, period=0.001)
            values["pressed_ns"] = a.slowest()
            a.watch(0 if lab.smoke else 2.5)
            squeeze.kill()
            squeeze.wait()
            if not told:
                raise process.Failed("the kernel did not tell of pressure")
            gone = before - a.mib()
            values |= {"held_kib": before * 1024, "returned_kib": gone * 1024}
            if gone > 16:
                late = [at for at, mib in a.points if mib > before - 0.9 * gone]
                values["reaction_ms"] = (max(late, default=begin) - begin) * 1000
            if not a.lives():
                raise process.Failed("did not end well")
        lab.results.add(self.name, allocator.name, values)

    def measure(self, lab):
        room(lab, self.name, lambda allocator: self.once(lab, allocator))


BENCHES = [
    Neighbours("pressure", "A, idle, has freed 650 of 700 MiB; B needs 600; both have 1 GiB"),
    Phases("pressure-phases", "700 MiB in small objects, then 600 in large, of 1 GiB"),
    Reaction("pressure-reaction", "from the kernel's word to nine tenths returned"),
]
