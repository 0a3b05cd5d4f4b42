# SPDX-License-Identifier: MIT
"""A program under the library, and the tools that look at it."""
import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "api"))
import tap  # noqa: E402 pylint: disable=wrong-import-position

TOP_TREE = Path(__file__).resolve().parent.parent.parent
TOOLS = Path(os.environ["SLABMALLOC_TOOLS"])
SUBJECT = os.environ["SLABMALLOC_SUBJECT"]


class Subject:
    def __init__(self, process):
        self.process, self.pid = process, process.pid
        words = process.stdout.readline().split()
        self.at = dict(zip(words[::2], words[1::2]))
        self.dump = None

    def read_dump(self):
        """What the library says of itself, up to the line that ends it."""
        lines = []
        for line in self.process.stdout:
            if line == "end\n":
                break
            lines.append(line.rstrip("\n"))
        self.dump = lines

    def wait_stopped(self):
        """stdout's end comes before the signal that it sends to itself."""
        status = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)
        return status.si_status == signal.SIGSTOP


@contextlib.contextmanager
def subject(mode, program=SUBJECT, preload=True, cores=None, **variables):
    """Runs the subject; cores: a directory where it may leave a core."""
    env = tap.environment()
    # A heap that gives memory back meanwhile would have other numbers each time.
    env |= {"SLABMALLOC_KSHRINKD": "off"} | variables
    if preload:
        env["LD_PRELOAD"] = preload if isinstance(preload, str) else tap.library()

    def allow_cores():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)

    with subprocess.Popen(
        [program, mode], env=env, stdout=subprocess.PIPE, text=True, cwd=cores,
        preexec_fn=allow_cores if cores else None,
    ) as process:
        try:
            s = Subject(process)
            if mode != "busy":
                s.read_dump()
            if mode == "still":
                s.wait_stopped()
            yield s
        finally:
            process.kill()


def tool(name, *arguments, timeout=60):
    return subprocess.run(
        [str(TOOLS / name), *(str(a) for a in arguments)], timeout=timeout, text=True,
        capture_output=True, errors="replace", check=False,
    )


def may_look():
    """May one process look into another here?"""
    with subject("busy") as s:
        return tool("slabmalloc-stat", s.pid).returncode == 0 or \
            "may not look" not in tool("slabmalloc-stat", s.pid).stderr


def need_ptrace():
    if not may_look():
        tap.skip_all("ptrace is forbidden here")
