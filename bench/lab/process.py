# SPDX-License-Identifier: MIT
"""One measured process."""

import mmap
import pathlib
import signal
import subprocess
import sys


class Failed(Exception):
    """A process that did not do its work; the text is for the table."""


def last_line(text):
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:100] if lines else ""


def run(command, env, timeout, enter=None):
    """Runs the command, returns what it printed, raises Failed with the reason.

    enter() is called in the new process, before it becomes the program.
    """
    try:
        done = subprocess.run(
            [str(word) for word in command], env=env, timeout=timeout, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            preexec_fn=enter,
        )
    except subprocess.TimeoutExpired as late:
        raise Failed(f"not done in {timeout} s") from late
    except OSError as error:
        raise Failed(str(error)) from error
    # The loader only warns about a library that it cannot preload: glibc would be measured.
    if "cannot be preloaded" in done.stderr:
        raise Failed("the library cannot be preloaded")
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise Failed(f"{name} {last_line(done.stderr)}".strip())
    if done.returncode > 0:
        raise Failed(f"exit {done.returncode}: {last_line(done.stderr)}")
    return done.stdout


def result_lines(text):
    """The "name value" lines of a workload."""
    values = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        try:
            values[name] = float(value)
        except ValueError as error:
            raise Failed(f"no result line: {line[:60]}") from error
    if "seconds" not in values:
        raise Failed("no result")
    return values


def available_bytes():
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def warm_memory(size):
    """Touches memory and gives it back: a hypervisor that took pages must bring them first.

    Otherwise the first allocator in the row would pay for it.
    """
    size = min(size, available_bytes() // 2)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    if size:
        mmap.mmap(-1, size, flags=flags).close()


class Progress:
    """One line on a terminal that says what runs now; nothing in a log."""

    def __init__(self):
        self.tty = sys.stderr.isatty()

    def say(self, text):
        if self.tty:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    def end(self):
        self.say("")
