#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slabmalloc-top, as text and on a terminal that tmux makes."""
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from common import TOOLS, need_ptrace, subject, tap, tool

t = tap.Tap()


class Terminal:
    def __init__(self, directory, command, width=100, height=30):
        config = Path(directory) / "tmux.conf"
        config.write_text("", encoding="ascii")
        self.tmux = ["tmux", "-S", f"{directory}/tmux", "-f", str(config)]
        self.started = self.call("new-session", "-d", "-x", str(width), "-y", str(height),
                                 f"{command}; echo status $?; exec sleep 600")

    def call(self, *arguments):
        env = {k: v for k, v in os.environ.items() if k != "TMUX"}
        env.update(LC_ALL="C", TERM="xterm")
        return subprocess.run([*self.tmux, *arguments], env=env, capture_output=True, text=True,
                              timeout=60, check=False)

    def run(self, *arguments):
        return self.call(*arguments).stdout

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def screen(self):
        return self.run("capture-pane", "-p").splitlines()

    def wait(self, wanted, seconds=30):
        """The screen as soon as it is what is wanted; the last one if it never is."""
        end = time.monotonic() + seconds
        while True:
            screen = self.screen()
            try:
                if wanted(screen) or time.monotonic() > end:
                    return screen
            except IndexError:
                pass
            time.sleep(0.1)

    def close(self):
        self.run("kill-server")


def rows(screen):
    """The caches of a screen, from the line below the heading on: lists of fields."""
    heading = [i for i, line in enumerate(screen) if line.split()[:2] == ["OBJS", "ACTIVE"]]
    return [x.split() for x in screen[heading[0] + 1:] if x.strip()] if heading else []


def number(text):
    """12, 4.0K, 20.6M."""
    unit = "KMGT".find(text[-1])
    return float(text[:-1]) * 1024 ** (unit + 1) if unit >= 0 else float(text)


# letter: the field, in which the largest comes first.
SORTS = {"o": 0, "a": 1, "s": 3, "l": 4, "c": 5, "w": 6, "b": 9}


def falls(values):
    return all(a >= b for a, b in zip(values, values[1:]))


def batch():
    with subject("still") as s:
        once = tool("slabmalloc-top", "--once", s.pid)
        t.ok(once.returncode == 0 and "stopped" in once.stdout.splitlines()[0],
             "--once: the numbers of a stopped process", tap.outcome(once))
        names = {x[8] for x in rows(once.stdout.splitlines())}
        dump = {x.split()[0] for x in s.dump if x.startswith("kmalloc-")}
        t.ok(names == dump, "a line for each cache of slabinfo", names ^ dump)
        for letter, field in SORTS.items():
            lines = tool("slabmalloc-top", "-o", "-s", letter, s.pid).stdout.splitlines()
            values = [number(x[field]) for x in rows(lines)]
            t.ok(len(values) > 5 and falls(values), f"--sort {letter}: the largest first", values)
        lines = tool("slabmalloc-top", "-o", "-s", "n", s.pid).stdout.splitlines()
        sorted_names = [x[8] for x in rows(lines)]
        t.ok(sorted_names == sorted(sorted_names), "--sort n: by name", sorted_names)
    for arguments in ([], ["-s", "z", "1"], ["-d", "x", "1"], ["1", "2"], ["--what"]):
        result = tool("slabmalloc-top", *arguments)
        t.ok(result.returncode == 2 and "usage" in result.stderr, f"usage: {arguments}",
             tap.outcome(result))
    result = tool("slabmalloc-top", "999999999")
    t.ok(result.returncode == 1 and result.stderr.count("\n") == 1, "no process: one line",
         tap.outcome(result))


def threads_in(screen):
    return len([x for x in screen[10:] if x.split()[-1:] == ["tools-subject"]])


def looks(screen):
    return screen[0].startswith(" slabmalloc-top: tools-subject") and rows(screen)


def screens(directory):
    with subject("busy") as s:
        terminal = Terminal(directory, f"{TOOLS}/slabmalloc-top -d 0.3 {s.pid}")
        try:
            if terminal.started.returncode:
                t.skip("on a terminal", f"tmux does not start: {terminal.started.stderr.strip()}")
            else:
                on_terminal(s, terminal)
        finally:
            terminal.close()


def sorted_by(screen, field):
    """A screen that is just being drawn may hold lines of two."""
    return rows(screen) and falls([number(x[field]) for x in rows(screen)])


def on_terminal(s, terminal):
    screen = terminal.wait(lambda x: looks(x) and sorted_by(x, 0))
    if not t.ok(looks(screen), "it fills a terminal", *screen):
        return
    t.ok(sorted_by(screen, 0), "sorted by objects at first", *screen)
    t.ok("running" in screen[0] and "by objects" in screen[0], "it says what it shows", screen[0])
    first = screen
    t.ok(terminal.wait(lambda x: rows(x) and x != first) != first, "it looks again by itself")
    terminal.keys("s")
    screen = terminal.wait(lambda x: "by object size" in x[0] and sorted_by(x, 3))
    t.ok("by object size" in screen[0] and sorted_by(screen, 3), "key s: by object size", *screen)
    terminal.keys("N")
    screen = terminal.wait(lambda x: "ZONE" in x[9] and "Normal" in x[10])
    t.ok("Normal" in screen[10], "key N: nodes and zones", *screen)
    terminal.keys("T")
    screen = terminal.wait(lambda x: "TID" in x[9] and threads_in(x) >= 8)
    t.ok(threads_in(screen) >= 8, "key T: threads", *screen)
    terminal.keys("C")
    terminal.wait(rows)
    terminal.run("resize-window", "-x", "70", "-y", "16")
    screen = terminal.wait(lambda x: len(x) == 16 and len(rows(x)) == 6)
    t.ok(len(rows(screen)) == 6, "another size of window: as many lines as fit", *screen)
    terminal.keys("Down")
    last = rows(screen)
    t.ok(rows(terminal.wait(lambda x: rows(x)[0][3] == last[1][3]))[0][3] == last[1][3],
         "arrows scroll", last)
    s.process.kill()
    screen = terminal.wait(lambda x: "HAS ENDED" in x[0] and rows(x))
    t.ok("HAS ENDED" in screen[0] and rows(screen), "the end of the process is said", *screen)
    terminal.keys("q")
    screen = terminal.wait(lambda x: any("status" in y for y in x))
    t.ok(any("has ended" in x for x in screen) and "status 0" in screen, "q ends", *screen)


def main():
    need_ptrace()
    batch()
    if not shutil.which("tmux"):
        t.skip("on a terminal", "no tmux")
    else:
        with tempfile.TemporaryDirectory() as directory:
            screens(directory)
    t.done()


main()
