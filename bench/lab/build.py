# SPDX-License-Identifier: MIT
"""The build whose programs and library are measured."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = ROOT / "build" / "release"


def shout(command):
    """A step of the build: its output goes to stderr, since stdout is for the tables."""
    try:
        subprocess.run(command, check=True, stdout=sys.stderr)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"the build failed: {error}") from error


def prepare(build):
    """The build directory given, as it is; else build/release, made and brought up to date."""
    if build:
        return pathlib.Path(build).resolve()
    ninja = RELEASE / "build.ninja"
    # The tests use the same directory, and build no benches there.
    if not ninja.exists() or "bench/micro" not in ninja.read_text(encoding="utf-8"):
        again = ["--reconfigure"] if ninja.exists() else []
        shout(["meson", "setup", str(RELEASE), str(ROOT), *again,
               "--buildtype=release", "-Dbench=true"])
    shout(["ninja", "-C", str(RELEASE)])
    return RELEASE


def programs(build):
    found = build / "bench"
    if not (found / "micro").exists():
        raise SystemExit(f"{found} has no bench programs: build with -Dbench=true")
    return found
