# SPDX-License-Identifier: MIT
"""slabmalloc-report(1): what kind of file each is, and where the page goes."""

import argparse
import gzip
import sys
from pathlib import Path

from . import dumps, pprof, trace, what_if
from .data import collect
from .page import page
from .problem import Problem


def arguments(words):
    """A value of --what-if is behind a =, so that a file may follow."""
    parser = argparse.ArgumentParser(
        prog="slabmalloc-report",
        description="Makes one HTML page of statistics dumps, a recorded trace and heap profiles.")
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="dumps (JSON or text), a trace, profiles; - is standard input")
    parser.add_argument("-o", "--output", metavar="FILE", default="-",
                        help="the page; default: standard output")
    parser.add_argument("--what-if", metavar="SETTINGS", action="append",
                        help="simulate the trace with other settings: classes=N,order=N,decay=MS; "
                             "may be given again; alone: a choice")
    return parser.parse_args(["--what-if=" if w == "--what-if" else w for w in words])


def read(path):
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError) as error:
        why = getattr(error, "strerror", None) or "a damaged gzip file"
        raise Problem(f"{path}: {why}") from None


class Inputs:
    def __init__(self):
        self.dumps, self.trace, self.profiles, self.files = [], None, {}, []

    def add(self, path):
        data = read(path)
        if not data.strip():
            raise Problem(f"{path}: empty")
        if trace.is_trace(data):
            if self.trace:
                raise Problem(f"{path}: a second trace")
            self.trace = trace.Trace(path, data)
            what = f"trace, {len(self.trace.kind)} calls"
        elif dumps.is_json(data) or dumps.is_text(data):
            found = (dumps.read_json if dumps.is_json(data) else dumps.read_text)(path, data)
            self.dumps += found
            pids = {int(d["pid"]) for d in self.dumps if "pid" in d}
            if len(pids) > 1:
                raise Problem(f"{path}: of another process than the dumps before; a page is of one")
            what = f"{len(found)} dump{'s' if len(found) > 1 else ''}"
        else:
            read_profile = pprof.read_collapsed if pprof.is_collapsed(data) else pprof.read_pprof
            self.profiles[path] = read_profile(path, data)
            what = "profile"
        self.files.append({"path": path, "what": what})


def progress(settings):
    if sys.stderr.isatty():
        print(f"slabmalloc-report: {settings} …", file=sys.stderr)


def settings(texts):
    """--what-if alone stands for a choice of them."""
    found = []
    for text in texts:
        found += [text] if text else what_if.DEFAULT
    for text in found:
        what_if.parse(text)
    return found


def run(args):
    inputs = Inputs()
    texts = settings(args.what_if or [])
    for path in args.files:
        inputs.add(path)
    if texts and not inputs.trace:
        raise Problem("--what-if takes a trace (slabmalloc-record)")
    rows = what_if.rows(inputs.trace, texts, progress) if texts else None
    text = page(collect(inputs.dumps, inputs.trace, inputs.profiles, rows, inputs.files))
    if args.output == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        Path(args.output).write_text(text, encoding="utf-8")


def main():
    try:
        run(arguments(sys.argv[1:]))
    except (Problem, OSError) as error:
        print(f"slabmalloc-report: {error}", file=sys.stderr)
        return 1
    return 0
