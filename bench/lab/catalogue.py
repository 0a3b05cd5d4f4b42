# SPDX-License-Identifier: MIT
"""What is run.

A bench has a name, a line that says what it is, and measure(lab), which fills its rows of the
results: workloads one row each, the micro-benchmarks many.
"""

import dataclasses
import fnmatch
import json
import pathlib
import tempfile

from . import allocators, pressure, process, programs, traces


@dataclasses.dataclass
class Lab:
    programs: pathlib.Path  # where the built programs lie
    allocators: list
    results: object
    progress: process.Progress
    runs: int
    smoke: bool
    timelines: dict = dataclasses.field(default_factory=dict)  # row -> allocator -> points

    def round(self, row, allocator, measure):
        """One measurement; an allocator that failed once in a row is not asked again."""
        if self.results.failed(row, allocator.name):
            return
        try:
            measure(allocator)
        except process.Failed as failure:
            self.results.fail(row, allocator.name, str(failure))

    def interleave(self, row, measure):
        """Every allocator, `runs` times; each round begins with another one."""
        process.warm_memory(0 if self.smoke else 2 << 30)
        for i in range(self.runs):
            shift = i % len(self.allocators)
            for allocator in self.allocators[shift:] + self.allocators[:shift]:
                self.progress.say(f"{row}: run {i + 1} of {self.runs}, {allocator.name}")
                self.round(row, allocator, measure)


@dataclasses.dataclass
class Workload:
    """A program that prints result lines; a row of its own."""

    name: str
    what: str
    program: str
    args: tuple = ()
    timeout: int = 300

    def command(self, lab):
        return [lab.programs / self.program, *(["--smoke"] if lab.smoke else []), *self.args]

    def once(self, lab, allocator):
        return process.result_lines(
            process.run(self.command(lab), allocator.environment(), self.timeout)
        )

    def measure(self, lab):
        lab.interleave(self.name, lambda allocator: lab.results.add(
            self.name, allocator.name, self.once(lab, allocator)))


def statistics_totals(path):
    """The "name value" totals at the end of what SLABMALLOC_STATS wrote; {} if nothing was."""
    if not path.exists():
        return {}
    words = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return {w[0]: float(w[1]) for w in words if len(w) == 2 and w[1].isdigit()}


class Metadata(Workload):
    """A workload that leaves slabmalloc's statistics too: its own account of its metadata."""

    def once(self, lab, allocator):
        with tempfile.TemporaryDirectory() as folder:
            stats = pathlib.Path(folder) / "stats"
            env = allocator.environment() | {"SLABMALLOC_STATS": str(stats)}
            values = process.result_lines(process.run(self.command(lab), env, self.timeout))
            totals = statistics_totals(stats)
        if totals.get("committed_bytes"):
            values["metadata_percent"] = (
                100 * totals.get("metadata_bytes", 0) / totals["committed_bytes"])
        return values


@dataclasses.dataclass
class Trace(Workload):
    """A program's recorded requests, replayed."""

    trace: pathlib.Path | None = None

    def command(self, lab):
        return [lab.programs / "trace" / "slabmalloc-replay", self.trace]

    def measure(self, lab):
        lab.progress.say(f"{self.name}: recording")
        try:
            self.trace = traces.record(lab.programs / "trace", self.program, lab.smoke)
        except process.Failed as failure:
            for allocator in lab.allocators:
                lab.results.fail(self.name, allocator.name, f"not recorded: {failure}")
            return
        super().measure(lab)


@dataclasses.dataclass
class Micro:
    """Google Benchmark's program: many rows out of one process."""

    name: str
    what: str
    select: str = "."  # regular expression of the benchmarks to run

    def once(self, lab, allocator):
        speed = "--smoke" if lab.smoke else "--benchmark_min_time=0.05"
        command = [lab.programs / "micro", "--benchmark_format=json",
                   f"--benchmark_filter={self.select}", speed]
        text = process.run(command, allocator.environment(), timeout=900)
        if not text.lstrip().startswith("{"):
            raise process.Failed(f"no benchmark matches {self.select}")
        for bench in json.loads(text)["benchmarks"]:
            row = "micro/" + bench["name"].replace("/real_time", "").replace("threads:", "")
            if bench.get("error_occurred"):
                lab.results.fail(row, allocator.name, bench["error_message"])
                continue
            lab.results.add(row, allocator.name,
                            {"ns": bench["real_time"], "cpu_ns": bench["cpu_time"]})

    def measure(self, lab):
        lab.interleave(self.name, lambda allocator: self.once(lab, allocator))


@dataclasses.dataclass
class Startup:
    """Starts of /bin/true, in which the program takes the turns: all rounds are one process."""

    name: str
    what: str
    starts: int
    metrics: tuple  # what the program prints, in its order
    options: tuple = ()

    def run(self, lab, under, starts):
        command = [lab.programs / "startup", *self.options, "--runs", starts,
                   *[a.path or "-" for a in under]]
        return process.run(command, allocators.GLIBC.environment(), timeout=900)

    def usable(self, lab):
        """Who starts /bin/true at all: one that fails must not end the others' turns."""
        for allocator in lab.allocators:
            lab.round(self.name, allocator, lambda a: self.run(lab, [a], 1))
        return [a for a in lab.allocators if not lab.results.failed(self.name, a.name)]

    def measure(self, lab):
        lab.progress.say(f"{self.name}: {self.what}")
        usable = self.usable(lab)
        if not usable:
            return
        for line in self.run(lab, usable, 3 if lab.smoke else self.starts).splitlines():
            number, *values = [int(word) for word in line.split()]
            lab.results.add(self.name, usable[number].name, dict(zip(self.metrics, values)))


BENCHES = [
    Micro("micro", "single operations, ns each"),
    Startup("startup", "/bin/true, 1,000 starts", 1000,
            ("start_ns", "start_cpu_us", "minor_faults")),
    Startup("startup-rss", "/bin/true at its exit, 1,000 starts", 1000,
            ("peak_rss_kib", "rss_kib", "anonymous_kib"), ("--rss",)),
    Metadata("metadata", "1 GiB of 64-byte objects", "metadata"),
    Workload("pipe", "one thread mallocs 16-256 bytes, another frees", "workload-pipe"),
    Workload("reclaim", "16 threads malloc, one frees for all", "workload-reclaim"),
    Workload("churn-2", "a server: threads take over each other's objects", "workload-churn"),
    Workload("churn-8", "the same by eight threads", "workload-churn",
             ("--threads", "8", "--operations", "50000")),
    Workload("mixed-1", "16 bytes to 64 KiB, one thread", "workload-mixed"),
    Workload("mixed-2", "the same by two threads", "workload-mixed", ("--threads", "2")),
    Workload("mixed-8", "the same by eight threads", "workload-mixed", ("--threads", "8")),
    Workload("batches", "requests that leave one object of fifty behind", "workload-batches"),
    Workload("trees", "a forest of binary trees", "workload-trees"),
    Workload("table", "a hash table that grows", "workload-table"),
    Workload("strings", "texts that grow by realloc", "workload-strings"),
    Workload("sharing-active", "do two threads get parts of one cache line?",
             "workload-sharing"),
    Workload("sharing-passive", "do they keep lines that were dealt out to both?",
             "workload-sharing", ("--passive", "1")),
    Workload("typed-malloc", "records and connections by malloc", "workload-typed"),
    Workload("typed-caches", "the same from slab caches, where there are any", "workload-typed",
             ("--typed", "1")),
    Workload("forks", "a heap of 32 MiB forks eight children at a time", "workload-forks"),
    Workload("crowd", "1,000 threads, most of them asleep", "workload-crowd"),
    Workload("bursts", "256 MiB come and go, idle phases between", "workload-bursts"),
    Workload("large", "64 KiB to 25 MiB, touched", "workload-large"),
    Workload("phase", "90 % freed at random, then other sizes", "workload-phase"),
    Workload("idle-1", "2 GiB freed, then idle", "workload-idle"),
    Workload("idle-8", "the same by eight threads that sleep", "workload-idle",
             ("--threads", "8")),
    Workload("idle-8-ended", "the same by eight threads that end", "workload-idle",
             ("--threads", "8", "--ended", "1")),
    Trace("trace-python", "python's requests at JSON, recorded and replayed", "python3"),
    Trace("trace-g++", "the same of g++ -O2 at templates", "g++"),
    Trace("trace-sqlite", "the same of sqlite3 at an index and a join", "sqlite3"),
]
BENCHES += pressure.BENCHES
BENCHES += programs.BENCHES


def choose(patterns):
    """The benches that the patterns name; "micro:REGEX" runs some benchmarks of micro only."""
    chosen = []
    for pattern in patterns or ["*"]:
        if pattern.startswith("micro:"):
            found = [Micro("micro", "single operations, ns each", pattern.split(":", 1)[1])]
        else:
            found = [b for b in BENCHES if fnmatch.fnmatch(b.name, pattern)]
        if not found:
            raise SystemExit(f"no such bench: {pattern} (--list names them)")
        chosen += [b for b in found if b not in chosen]
    return chosen
