# SPDX-License-Identifier: MIT
"""Whom is measured."""

import dataclasses
import glob
import os
import pathlib
import subprocess

# Debian's package, and where its library lies; the soname without the patch version.
PEERS = {
    "jemalloc": ("libjemalloc2", "/usr/lib/*/libjemalloc.so.2"),
    "mimalloc": ("libmimalloc2.0", "/usr/lib/*/libmimalloc.so.2*"),
    "tcmalloc": ("libtcmalloc-minimal4", "/usr/lib/*/libtcmalloc_minimal.so.4"),
}


@dataclasses.dataclass(frozen=True)
class Allocator:
    name: str
    path: str | None  # what is preloaded; None: nothing, glibc's own
    version: str = ""
    missing: str = ""  # why it cannot be measured

    def environment(self):
        """The environment of a process under this allocator; nobody else's library in it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("SLABMALLOC_")}
        env.pop("LD_PRELOAD", None)
        if self.path:
            env["LD_PRELOAD"] = self.path
        return env


GLIBC = Allocator("glibc", None)


def package_version(package):
    query = ["dpkg-query", "--show", "--showformat=${Version}", package]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def peer(name):
    package, pattern = PEERS[name]
    found = sorted(glob.glob(pattern))
    if not found:
        return Allocator(name, None, missing=f"not installed (package {package})")
    return Allocator(name, found[0], package_version(package))


def own(build):
    """slabmalloc out of a build directory."""
    found = sorted(pathlib.Path(build).glob("**/libslabmalloc.so"), key=lambda p: len(p.parts))
    if not found:
        return Allocator("slabmalloc", None, missing=f"no libslabmalloc.so in {build}")
    # Its name has the version; where it was built is nobody's concern who reads the tables.
    return Allocator("slabmalloc", str(found[0].resolve()), found[0].resolve().name)


def beside(path):
    """A library that the user named; it is called by its file name."""
    name = pathlib.Path(path).name.split(".so")[0].removeprefix("lib")
    if not pathlib.Path(path).is_file():
        return Allocator(name, None, missing=f"no file {path}")
    return Allocator(name, str(pathlib.Path(path).resolve()))


def choose(build, with_paths, only):
    """All allocators in the order of the tables, or those of them that `only` names."""
    everyone = [dataclasses.replace(GLIBC, version=package_version("libc6"))]
    everyone += [peer(name) for name in PEERS]
    everyone += [own(build)]
    for allocator in (beside(path) for path in with_paths):
        if allocator.name in [a.name for a in everyone]:
            allocator = dataclasses.replace(allocator, name=str(allocator.path))
        everyone.append(allocator)
    unknown = set(only or []) - {a.name for a in everyone}
    if unknown:
        raise SystemExit(f"no such allocator: {', '.join(sorted(unknown))}")
    return [a for a in everyone if not only or a.name in only]
