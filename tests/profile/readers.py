#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Profiles in the hands of those who read them: usage: SITES, with SLABMALLOC_SO.

go tool pprof, google-pprof, jeprof, and scripts/flamegraph; each is left out where it is not installed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

from sites import Sites

from tap import Tap, run

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"


def read_with(argv, folder):
    env = dict(os.environ, HOME=folder, PPROF_TMPDIR=folder, GOFLAGS="-mod=mod")
    for name in ("LD_PRELOAD", "SLABMALLOC_PROFILE"):
        env.pop(name, None)
    r = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=100, check=False)
    return r.stdout + r.stderr


def pprof(tap, program, folder):
    if not shutil.which("go"):
        tap.skip("go tool pprof", "no go")
        return
    tool = ["go", "tool", "pprof"]
    half = Sites(program, folder, "every_way", "all").path
    text = read_with([*tool, "-top", "-sample_index=inuse_space", half], folder)
    tap.ok(re.search(r"^ +205MB .* keep_large$", text, re.M), "pprof: names, and bytes in use", text)
    text = read_with([*tool, "-top", "-sample_index=alloc_objects", half], folder)
    tap.ok(re.search(r"^ +20 .* keep_large$", text, re.M), "pprof: objects allocated", text)
    text = read_with([*tool, "-top", "-lines", half], folder)
    tap.ok(re.search(r" keep_large .*/sites\.c:\d+$", text, re.M), "pprof: lines of the source", text)
    whole = Sites(program, folder, "threads", "all").path
    text = read_with([*tool, "-top", "-nodefraction=0", "-unit=b", f"-base={half}", whole], folder)
    tap.ok(re.search(r"^ +199500B .* keep_some$", text, re.M) and
           re.search(r"^ *-214958080B .* keep_large$", text, re.M), "pprof: a difference", text)


def perl_readers(tap, program, folder):
    path = pathlib.Path(folder, "sites.heap")
    run([program, "threads"], SLABMALLOC_PROFILE=f"all,{path}")
    for tool in ("google-pprof", "jeprof"):
        if not shutil.which(tool):
            tap.skip(tool, f"no {tool}")
            continue
        text = read_with([tool, "--text", "--inuse_objects", program, path], folder)
        tap.ok(re.search(r"^ +2000 .* keep_some$", text, re.M), f"{tool}: objects in use", text)


def flames(tap, program, folder):
    paths = []
    for pattern in ("every_way", "threads"):
        paths.append(pathlib.Path(folder, pattern + ".collapsed"))
        run([program, pattern], SLABMALLOC_PROFILE=f"all,{paths[-1]}")
    text = read_with([SCRIPTS / "flamegraph", paths[0]], folder)
    root = xml.etree.ElementTree.fromstring(text)
    titles = [t.text for t in root.iter("{http://www.w3.org/2000/svg}title")]
    tap.ok(any(re.fullmatch(r"keep_large: 205 MiB, \d+\.\d %", t) for t in titles),
           "a flame graph has each function with its bytes", titles)
    text = read_with([SCRIPTS / "flamegraph", "--base", paths[0], paths[1]], folder)
    tap.ok("keep_some: 1" in text and "keep_large" not in text, "and one of the growth", text)


def main():
    program = os.path.realpath(sys.argv[1])
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        pprof(tap, program, folder)
        perl_readers(tap, program, folder)
        flames(tap, program, folder)
    tap.done()


if __name__ == "__main__":
    main()
