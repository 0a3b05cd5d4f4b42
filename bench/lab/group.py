# SPDX-License-Identifier: MIT
"""A memory cgroup for measured processes, of either version."""

import contextlib
import os
import pathlib
import select
import subprocess
import tempfile


class NoGroup(Exception):
    """Why none can be made here."""


def memberships():
    """controllers -> path, of /proc/self/cgroup; "" for version 2."""
    text = pathlib.Path("/proc/self/cgroup").read_text(encoding="utf-8")
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in text.splitlines()}


def mounts():
    """(file system, mount point, its options) of every cgroup hierarchy."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        words = line.split()
        rest = words[words.index("-") + 1:]
        if rest[0] in ("cgroup", "cgroup2"):
            yield rest[0], pathlib.Path(words[4]), rest[2].split(",")


def parents():
    """(version, directory) in which a group may be made: our own group, or else the root."""
    for kind, root, options in mounts():
        if kind == "cgroup" and "memory" in options:
            own = next((p for c, p in memberships().items() if "memory" in c.split(",")), "/")
            yield 1, root / own.lstrip("/")
            yield 1, root
        elif kind == "cgroup2":
            # Below a group with processes no controller may be on: only the root can do both.
            control = root / "cgroup.subtree_control"
            if control.exists() and "memory" in control.read_text(encoding="ascii").split():
                yield 2, root


class Group:
    """Used with `with`: what runs in it has ended by then, or is killed."""

    def __init__(self, limit):
        self.path, self.version = None, 0
        why = "no memory cgroup hierarchy"
        for version, parent in parents():
            try:
                self.path = pathlib.Path(tempfile.mkdtemp(prefix="slabmalloc-", dir=parent))
            except OSError as error:
                why = str(error)
                continue
            self.version = version
            break
        if not self.path:
            raise NoGroup(f"no memory cgroup can be made here: {why}")
        self.write("memory.max" if self.version == 2 else "memory.limit_in_bytes", limit)
        for swap, value in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", limit)):
            with contextlib.suppress(OSError):
                self.write(swap, value)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.read("cgroup.procs").split():
            with contextlib.suppress(OSError):
                os.kill(int(pid), 9)
        for _ in range(100):
            try:
                self.path.rmdir()
                return
            except OSError:
                select.select([], [], [], 0.02)

    def read(self, name):
        return (self.path / name).read_text(encoding="ascii")

    def write(self, name, value):
        # An unbuffered write: the kernel's answer comes with it, and no empty file is made.
        with os.fdopen(os.open(self.path / name, os.O_WRONLY), "wb", buffering=0) as file:
            file.write(str(value).encode())

    def enter(self):
        """For subprocess's preexec_fn: the new process starts within the group."""
        self.write("cgroup.procs", os.getpid())

    def usage(self):
        name = "memory.current" if self.version == 2 else "memory.usage_in_bytes"
        return int(self.read(name))

    def squeeze(self, size):
        """A process that lowers the limit until the kernel had to take size bytes here."""
        name = "memory.high" if self.version == 2 else "memory.limit_in_bytes"
        order = 'echo "$1" >"$2" || sleep 1'
        return subprocess.Popen(
            ["sh", "-c", order, "sh", str(self.usage() - size), str(self.path / name)],
            stderr=subprocess.DEVNULL)

    def killed(self):
        """How many processes the kernel has killed here for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        for line in self.read(name).splitlines():
            word, value = line.split()
            if word == "oom_kill":
                return int(value)
        return 0

    @contextlib.contextmanager
    def trigger(self):
        """A poll object that reports when the kernel says that memory is short here."""
        poll = select.poll()
        if self.version == 2:
            fd = os.open(self.path / "memory.pressure", os.O_RDWR)
            os.write(fd, b"some 10000 2000000")
            fds = [fd]
            poll.register(fd, select.POLLPRI)
        else:
            fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            level = os.open(self.path / "memory.pressure_level", os.O_RDONLY)
            fds = [fd, level]
            self.write("cgroup.event_control", f"{fd} {level} low")
            poll.register(fd, select.POLLIN)
        try:
            yield poll
        finally:
            for fd in fds:
                os.close(fd)
