#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Recording and replaying: usage: RECORD REPLAY KNOWN CHURN, with SLABMALLOC_SO."""

import pathlib
import random
import struct
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

from tap import Tap, library, outcome, run  # noqa: E402

CHUNK = 64 << 10

# What known.c does for each of its N.
KNOWN = {
    "malloc": 2, "calloc": 2, "aligned": 1, "realloc": 4, "free": 4, "free_null": 1,
    "failed": 4, "bytes_requested": 3000 + 700 + 200 + 5000 + 90, "remote_frees": 3,
    "unknown_frees": 0, "threads": 0, "threads_ended": 0,
    "end_live_bytes": 0, "end_live_blocks": 0,
}

PERL = "my %h; $h{$_} = 'x' x ($_ % 100) for 1 .. 20000; print scalar(keys %h), qq(\\n)"


def values(text):
    """The "name value" lines up to the first empty one."""
    pairs = (line.split() for line in text.split("\n\n")[0].splitlines())
    return {p[0]: float(p[1]) for p in pairs if len(p) == 2 and p[1][0].isdigit()}


class Tools:
    def __init__(self, record, replay, folder):
        self.record_path = record
        self.replay_path = replay
        self.folder = pathlib.Path(folder)

    def record(self, name, *command):
        """Returns the finished program and its trace."""
        path = self.folder / name
        return run([self.record_path, "-o", str(path), *command]), path

    def replay(self, path, mode="--threads", preload=None):
        return run([self.replay_path, mode, str(path)], preload=preload)

    def info(self, path):
        return values(self.replay(path, "--info").stdout)


def calls_of(info):
    kinds = "malloc calloc aligned realloc free free_null threads_ended".split()
    return sum(info.get(kind, 0) for kind in kinds)


def check_counts(tap, tools, known):
    few, few_path = tools.record("few", known, "10")
    many, many_path = tools.record("many", known, "510")
    a, b = tools.info(few_path), tools.info(many_path)
    differences = {name: b.get(name, -1) - a.get(name, 0) for name in KNOWN}
    tap.ok(
        few.returncode == 0 and many.returncode == 0
        and differences == {name: 500 * each for name, each in KNOWN.items()},
        "a trace has the calls that the program made, their sizes and their threads",
        differences, outcome(many),
    )
    tap.ok(b.get("threads") == 2 and b.get("threads_ended") == 1, "threads and ends are told", b)
    tap.ok(
        0 <= b.get("peak_live_bytes", 0) - 510 * 5000 < 10000,
        "the peak of live bytes is that of the program", b,
    )
    sizes = tools.replay(many_path, "--info").stdout.split("\n\n")[1]
    tap.ok("more" in sizes and "8 K" in sizes, "sizes are counted by powers of two", sizes)


def check_replay(tap, tools, name, path):
    wanted = calls_of(tools.info(path))
    for mode in "--threads", "--sequential":
        for allocator, preload in ("glibc", None), ("the library", [library()]):
            result = tools.replay(path, mode, preload)
            got = values(result.stdout)
            tap.ok(
                result.returncode == 0 and not result.stderr and got.get("calls") == wanted > 0
                and got.get("failed_requests") == 0 and got.get("peak_rss_kib", 0) > 0,
                f"{name}: replayed {mode} under {allocator}, all calls",
                f"{wanted} calls", outcome(result),
            )


def check_programs(tap, tools, known, churn):
    check_replay(tap, tools, "known calls", tools.record("known", known, "200")[1])
    result, path = tools.record("churn", churn, "--smoke", "--threads", "8")
    info = tools.info(path)
    tap.ok(
        result.returncode == 0 and info.get("threads") == 25 and info.get("remote_frees", 0) > 100,
        "eight threads in three generations are recorded", info, outcome(result),
    )
    check_replay(tap, tools, "eight threads", path)
    result, path = tools.record("perl", "perl", "-e", PERL)
    tap.ok(result.stdout == "20000\n" and not result.stderr, "perl does not notice",
           outcome(result))
    check_replay(tap, tools, "perl", path)


def check_processes(tap, tools, known):
    result, path = tools.record("killed", known, "100", "kill")
    tap.ok(
        result.returncode == -9 and tools.info(path).get("calloc", 0) >= 200,
        "what a killed program did is in its trace", outcome(result),
    )
    result, path = tools.record("forked", known, "100", "fork")
    alone = tools.info(tools.record("alone", known, "100")[1])
    tap.ok(
        tools.info(path).get("calloc") == alone.get("calloc")
        and not list(tools.folder.glob("forked.*")),
        "a forked child is not recorded", outcome(result),
    )
    result, path = tools.record("shell", "sh", "-c", f"{known} 100; exit 7")
    beside = list(tools.folder.glob("shell.*"))
    tap.ok(
        result.returncode == 7 and len(beside) == 1 and tools.info(beside[0]).get("aligned") == 100,
        "a program that is executed by the program has its own trace", outcome(result), beside,
    )
    result, path = tools.record("executed", known, "1", "exec", known, "100")
    tap.ok(
        tools.info(path).get("aligned") == 100,
        "a program that the process becomes replaces the trace", outcome(result),
    )


def refused(result):
    """One line, nothing else, no signal."""
    lines = result.stderr.splitlines()
    return (result.returncode == 1 and not result.stdout and len(lines) == 1
            and lines[0].startswith("slabmalloc-replay: "))


def check_bad_files(tap, tools, known):
    good = tools.record("good", known, "1000")[1].read_bytes() + bytes(CHUNK)
    good = good[:16] + struct.pack("=Q", len(good) // CHUNK) + good[24:]
    path = tools.folder / "bad"

    def tell(words, content, line):
        path.write_bytes(content)
        for mode in "--info", "--threads":
            result = tools.replay(path, mode)
            tap.ok(refused(result) and line in result.stderr, f"{words}, {mode}: one line says so",
                   outcome(result))

    tell("an empty file", b"", "not a trace")
    tell("a text", b"slmtrac\n" * 10000, "a trace")
    tell("a short text", b"hello\n", "not a trace")
    tell("a program", pathlib.Path(sys.executable).read_bytes(), "not a trace")
    tell("the other byte order", good[:8][::-1] + good[8:], "byte order")
    tell("another version", good[:8] + struct.pack("=I", 99) + good[12:], "format 99")
    for length in 70, 1000, CHUNK - 1, CHUNK, CHUNK + 1, len(good) - 1:
        tell(f"a trace cut after {length} bytes", good[:length], "cut short")
    tap.ok(refused(tools.replay(tools.folder)), "a directory is no trace")
    tap.ok(refused(tools.replay(tools.folder / "none")), "no file: one line says so")


def check_damage(tap, tools, known):
    """Any byte may be wrong: what cannot be is refused, nothing crashes."""
    good = tools.record("whole", known, "100")[1].read_bytes()
    used = len(good.rstrip(b"\0"))
    seed = random.SystemRandom().getrandbits(32)
    rng = random.Random(seed)
    path = tools.folder / "damaged"
    wrong = []
    for _ in range(200):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(used)] = rng.randrange(256)
        path.write_bytes(bad)
        result = tools.replay(path, "--info")
        if result.returncode != 0 and not refused(result):
            wrong.append(outcome(result))
    tap.ok(not wrong, "a damaged trace is read or refused", f"seed {seed}", *wrong[:3])


def check_usage(tap, tools):
    for tool in tools.record_path, tools.replay_path:
        result = run([tool])
        tap.ok(result.returncode == 2 and result.stderr.startswith("usage: "),
               f"{pathlib.Path(tool).name} without arguments says how it is used", outcome(result))
    result, _ = tools.record("no/such/folder", "true")
    tap.ok(result.returncode != 0, "a trace that cannot be written is told before the program runs",
           outcome(result))


def main():
    record, replay, known, churn = sys.argv[1:]
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(record, replay, folder)
        check_counts(tap, tools, known)
        check_programs(tap, tools, known, churn)
        check_processes(tap, tools, known)
        check_bad_files(tap, tools, known)
        check_damage(tap, tools, known)
        check_usage(tap, tools)
    tap.done()


if __name__ == "__main__":
    main()
