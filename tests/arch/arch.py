#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library on other machines: built by cross compilers, run under qemu-user and in a guest.

usage: arch.py [--all] [--table FILE] [--build DIRECTORY] [MACHINE…]

For each machine: it builds with -Werror; the unit tests and programs that use it from outside hold;
a program that is linked with it, also statically, has its malloc. Without --all: some of them,
compiled with -O0. --table writes the results as a table; if only some machines are named, the rows
of the others stay as they are. What an emulator or a C library cannot do is skipped, by name, with
the reason.
"""

import argparse
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
sys.path[:0] = [str(HERE.parent / "vm"), str(HERE.parent / "api")]

from tap import Tap, outcome, run  # noqa: E402
import vm  # noqa: E402

NO_KIND = "qemu-user does not say of a fault whether it was a read or a write"
RESIDENT = "resident memory is qemu-user's, with its translations"
QEMU = {
    "a_size_whose_frames_overflow_32_bits_is_not_taken_for_a_small_one":
        "qemu-user takes minutes to map 16 TiB",
    "a_move_that_the_kernel_refuses_changes_nothing": "qemu-user moves several mappings at once",
    "what_cannot_be_moved_stays": "qemu-user moves several mappings at once",
    "under_a_limit_of_address_space_most_of_it_is_served": "qemu-user ignores RLIMIT_AS",
    "under_a_limit_of_data_the_zone_fills_it_and_fills_it_again": "qemu-user ignores RLIMIT_DATA",
    "a_read_or_write_out_of_bounds_is_reported_and_aborts": NO_KIND,
    "with_abort_0_the_program_goes_on_where_it_failed": NO_KIND,
    "a_use_after_free_is_reported_with_both_stacks": NO_KIND,
    "the_same_is_said_of_larger_objects": NO_KIND,
    "a_page_that_an_error_opened_is_closed_again": NO_KIND,
    "a_page_that_an_error_opened_behind_one_is_closed_again": NO_KIND,
    "faults_elsewhere_go_to_the_handler_that_was_there": NO_KIND,
    "free_keeps_errno_when_munmap_fails_at_max_map_count": "the mappings are qemu-user's own",
    "objects_outlive_the_thread_that_made_them": RESIDENT,
    "what_a_thread_frees_and_leaves_is_used_again": RESIDENT,
    "malloc_trim_gives_large_blocks_back": RESIDENT,
}
# Whole programs: what they ask the system about is the emulator, or they take minutes.
QEMU_PROGRAMS = {
    "unit-os-task": "/proc/self/task is of qemu-user's threads",
    "unit-os-limit": "memory is charged to qemu-user",
    "api-oom": "qemu-user ignores RLIMIT_AS and cannot execute itself",
    "api-thread_local": RESIDENT,
    "api-threads": "minutes",
    "api-fork": "minutes",
    "api-fork_signal": "minutes",
}
# Units that count pages of 4 KiB.
SMALL_PAGES = {"unit-os-mem", "unit-page-large", "unit-page-purge", "unit-page-zone",
               "unit-reclaim-trim", "unit-reclaim-decay", "unit-slab-slub", "unit-slab-purge",
               "unit-stat-dump", "unit-stat-totals", "unit-debug-stack", "unit-page-vmalloc"}
MUSL = {
    "unit-debug-stack": "musl cannot tell which object an address lies in without a lock",
    "unit-debug-kfence_report": "no stacks, as above",
    "unit-os-thread": "musl does not say that a process has one thread",
    "api-fork": "the programs that it starts are glibc's, and get the preloaded library too",
    "api-info": "musl's malloc.h has no mallopt",
}
MUSL_TESTS = {"samples_are_in_use_until_they_are_freed": "no stacks, as above"}

# In a guest, where the processor is emulated and the kernel is not.
GUEST_PROGRAMS = {
    "api-threads": "minutes",
    "api-fork": "minutes",
    "api-fork_signal": "minutes",
}

Machine = collections.namedtuple("Machine", "name tools pages skipped programs emulator")
MACHINES = (
    Machine("x86-64", ("gcc",), (4096,), {}, {}, None),
    Machine("x86-64 by clang", ("clang",), (4096,), {}, {}, None),
    Machine("x86-64 with musl", ("musl-gcc",), (4096,), MUSL_TESTS, MUSL, None),
    Machine("aarch64", ("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-g++", "qemu-aarch64-static"),
            (4096, 16384, 65536), QEMU, QEMU_PROGRAMS, "aarch64"),
    Machine("riscv64", ("riscv64-linux-gnu-gcc", "riscv64-linux-gnu-g++", "qemu-riscv64-static"),
            (4096,), QEMU, QEMU_PROGRAMS, "riscv64"),
)
GUESTS = {"aarch64": (vm.ARM64_16K, 16384)}
CI = ("x86-64 with musl", "aarch64", "riscv64")
CI_PROGRAMS = ("api-innocents", "malloc-of-c-linked-with-archive-static")
CI_UNITS = ("unit-base-lock", "unit-sheaf-refill")
API = "innocents|conformance|oom|threads|remote|fork|fork_signal|info|holes|thread_local"
PROGRAMS = re.compile(
    rf"libslabmalloc\.so[\d.]*|unit-[\w-]+|api-({API})|malloc-of-c(\+\+)?-linked-[\w+-]+")
ENDED = re.compile(r"^guest: (\S+) (\d+)\n", re.M)
KERNEL = re.compile(r"^guest: Linux ([\d.]*\d)", re.M)
SUMMARY = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
PASSED = re.compile(r"\[  PASSED  \] (\d+) test")

HEAD = """\
# Machines that the library runs on

Made by `tests/arch/arch.py --all --table`. Each row is one build, all of it with -Werror,
with gcc where no other compiler is named; other architectures run under qemu-user, with the
system's pages as large as the row says, or on a kernel of theirs in a virtual machine. All rows of
an architecture are the same binary.
Unit tests are the rooms from inside, programs of `tests/api/` use the library from outside,
and programs linked with it (shared, archive, static) tell whose malloc they have. Numbers are
promises that held.
"""

Result = collections.namedtuple("Result", "program good passed skipped run")


def file_name(machine):
    return machine.name.split()[-1] if " " in machine.name else machine.name


def configure(machine, build, everything):
    """The tree for that machine, configured anew: what meson said, if it could not."""
    tree = build / file_name(machine)
    shutil.rmtree(tree, ignore_errors=True)
    options = ["-Dtests=true", "-Dbench=false", "-Dwerror=true", "--buildtype=release"]
    if not everything:
        options.append("-Doptimization=0")
    env = dict(os.environ, CC=machine.tools[0])
    ini = HERE / "machines" / (file_name(machine) + ".ini")
    if ini.exists():
        env.pop("CC")
        tree.parent.mkdir(parents=True, exist_ok=True)
        copy = tree.parent / ini.name
        text = ini.read_text(encoding="utf-8").replace("@SOURCE@", str(SOURCE))
        copy.write_text(text, encoding="utf-8")
        options += ["--cross-file", str(copy)]
    result = subprocess.run(["meson", "setup", *options, str(tree), str(SOURCE)], env=env,
                            capture_output=True, text=True, errors="replace", check=False)
    return tree, result


def targets(machine, tree, everything):
    """The programs of a tree, by name. CI: the rooms on one machine."""
    listed = subprocess.run(["ninja", "-C", str(tree), "-t", "targets", "all"], capture_output=True,
                            text=True, errors="replace", check=True).stdout
    found = {}
    for line in listed.splitlines():
        path, _, rule = line.rpartition(": ")
        name = os.path.basename(path)
        if rule.endswith("_LINKER") and PROGRAMS.fullmatch(name):
            found[name] = path
    chosen = CI_PROGRAMS + CI_UNITS * (machine.name == "aarch64")
    if not everything:
        found = {n: p for n, p in found.items() if n in chosen or n.startswith("lib")}
    return found


def execute(machine, tree, path, page):
    """One program: a Result."""
    name = os.path.basename(path)
    env = {"CMOCKA_SHIM_SKIP": " ".join(machine.skipped), "LD_LIBRARY_PATH": str(tree)}
    preload = [str(tree / "libslabmalloc.so")] if name.startswith("api-") else []
    if "musl" in machine.name:
        preload = []  # linked
    argv = [str(tree / path)]
    if machine.emulator:
        given = [w for p in preload for w in ("-E", f"LD_PRELOAD={p}")]
        argv = [f"qemu-{machine.emulator}-static", "-p", str(page), "-L",
                f"/usr/{machine.emulator}-linux-gnu", *given, *argv]
        preload = []
    return judged(name, run(argv, preload=preload, timeout=600, **env))


def judged(name, result):
    text = result.stdout + result.stderr
    summary = SUMMARY.search(text)
    if summary:
        passed, skipped = int(summary[1]), int(summary[3])
    else:
        held = len(re.findall(r"^ok ", text, re.M)) or result.returncode == 0
        passed, skipped = int((PASSED.search(text) or [0, held])[1]), 0
    return Result(name, result.returncode == 0, passed, skipped, result)


def wanted(impossible, name, page):
    if name.startswith("lib") or name in impossible:
        return False
    return page == 4096 or name not in SMALL_PAGES


def in_guest(guest, tree, programs, timeout):
    """All of them, one after another, in a virtual machine: its kernel's version, and Results."""
    vm.kernel(guest)
    library = tree / "libslabmalloc.so"
    files = {name: tree / path for name, path in programs.items()}
    # Both names: the one that is preloaded, and the one that programs were linked with.
    files |= {library.name: library, library.name + ".0": library}
    lines = ["echo guest: $(uname -sr)", "export LD_LIBRARY_PATH=/payload"]
    for name in programs:
        preload = "/payload/libslabmalloc.so" if name.startswith("api-") else ""
        lines.append(f"timeout 900 env LD_PRELOAD={preload} ./{name}; printf '\\nguest: {name} %d\\n' $?")
    _, text = vm.run("\n".join(lines), files, ((2, 1024),), timeout=timeout, guest=guest)
    start, results = 0, []
    for ended in ENDED.finditer(text):
        name, status = ended[1], int(ended[2])
        results.append(judged(name, subprocess.CompletedProcess(
            [name], status, text[start:ended.start()], "")))
        start = ended.end()
    return KERNEL.search(text)[1], results


def compilable(machine, name):
    return "musl" not in machine.name or not ("c++" in name or name == "api-thread_local" or
                                              name in machine.programs)


def try_machine(machine, build, everything, tap):
    """All of a machine: rows of the table."""
    tree, result = configure(machine, build, everything)
    if not tap.ok(result.returncode == 0, f"{machine.name}: configured", outcome(result)):
        return [(machine.name, "does not configure", "", "", "")]
    programs = {n: p for n, p in targets(machine, tree, everything).items()
                if compilable(machine, n)}
    result = subprocess.run(["ninja", "-C", str(tree), "libslabmalloc.a", *programs.values()],
                            capture_output=True, text=True, errors="replace", check=False)
    if not tap.ok(result.returncode == 0, f"{machine.name}: built with -Werror", outcome(result)):
        return [(machine.name, "does not build", "", "", "")]
    rows = []

    def report(where, page, results):
        where, done = f"{where}, {page // 1024} KiB", []
        for r in results:
            tap.ok(r.good, f"{where}: {r.program}", outcome(r.run))
            done.append(r)
        rows.append(row(where, done))

    pages = machine.pages if everything else machine.pages[:1] + machine.pages[2:]
    for page in pages:
        report(machine.name, page, (
            execute(machine, tree, path, page) for name, path in sorted(programs.items())
            if wanted(machine.programs, name, page)))
    if machine.name in GUESTS:
        guest, page = GUESTS[machine.name]
        chosen = {n: p for n, p in sorted(programs.items()) if wanted(GUEST_PROGRAMS, n, page)}
        try:
            version, results = in_guest(guest, tree, chosen, 3600 if everything else 240)
        except vm.Missing as why:
            tap.skip(f"{machine.name} in a virtual machine", str(why))
            rows.append((f"{machine.name}, in a virtual machine", str(why), "", "", ""))
        except vm.Hung as why:
            tap.ok(False, f"{machine.name} in a virtual machine: the guest ends", str(why))
        else:
            tap.ok(len(results) == len(chosen), f"{machine.name}: all programs end")
            report(f"{machine.name}, Linux {version} in a virtual machine", page, results)
    return rows


def row(where, results):
    cells = [where, "yes"]
    for kind in ("unit", "api", "malloc-of"):
        mine = [r for r in results if r.program.startswith(kind)]
        cell = f"{sum(r.passed for r in mine)} of {len(mine)} programs"
        if sum(r.skipped for r in mine):
            cell += f" ({sum(r.skipped for r in mine)} skipped)"
        broken = [r.program for r in mine if not r.good]
        cells.append(cell + (": BROKEN " + ", ".join(broken) if broken else ""))
    return cells


def refused(build, tap):
    """32 bits: said plainly when it is configured."""
    if not shutil.which("i686-linux-gnu-gcc"):
        return tap.skip("i686 is refused when it is configured", "no i686-linux-gnu-gcc")
    machine = Machine("i686", ("i686-linux-gnu-gcc",), (), {}, {}, None)
    _, result = configure(machine, build, False)
    return tap.ok("for 64-bit machines" in result.stdout and result.returncode,
                  "i686 is refused when it is configured", outcome(result))


def old_rows(path):
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("| ")]


def of_machine(rows, machine):
    return [row for row in rows if row[0].partition(",")[0] == machine.name]


def table(rows):
    missing = [m.name for m in MACHINES if not of_machine(rows, m)]
    lines = [
        *HEAD.splitlines(),
        "",
        "| machine, pages | built | unit tests | from outside | linked |",
        "|----------------|-------|------------|--------------|--------|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["| i686 and other 32-bit machines | refused by `meson setup` | | | |", "",
              "x86-64 with five levels of page tables (57 bits) is a row of [FAULTS.md](FAULTS.md).", "",
              "Skipped under qemu-user, each for a reason of the emulator's:", ""]
    reasons = collections.defaultdict(list)
    for test, why in {**QEMU, **QEMU_PROGRAMS}.items():
        reasons[why].append(f"`{test}`")
    lines += [f"- {why}: {', '.join(tests)}" for why, tests in reasons.items()]
    if GUEST_PROGRAMS:
        lines += ["", "Not in the virtual machine:", ""]
        lines += [f"- `{program}`: {why}" for program, why in GUEST_PROGRAMS.items()]
    lines += ["", "Units that count pages of 4 KiB run with those only: "
              + ", ".join(f"`{u}`" for u in sorted(SMALL_PAGES)) + ".", "", "Not with musl:", ""]
    lines += [f"- `{test}`: {why}" for test, why in MUSL.items()]
    if missing:
        lines += ["", "Without a row here: " + ", ".join(missing) + "."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--table")
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("machine", nargs="*")
    args = parser.parse_args()
    known = {m.name: m for m in MACHINES}
    unknown = [name for name in args.machine if name not in known]
    if unknown:
        sys.exit(f"arch.py: no such machine: {', '.join(unknown)}; there are {', '.join(known)}")
    tap, rows = Tap(), {}
    with tempfile.TemporaryDirectory() as scratch:
        build = args.build or pathlib.Path(scratch)
        for name in args.machine or (known if args.all else CI):
            machine, rows[name] = known[name], []
            lacking = [t for t in machine.tools if not shutil.which(t)]
            if lacking:
                tap.skip(name, f"no {', '.join(lacking)}")
                continue
            rows[name] = try_machine(machine, build, args.all, tap)
        refused(build, tap)
    if args.table:
        path = pathlib.Path(args.table)
        old = old_rows(path) if args.machine else []
        merged = [r for m in MACHINES for r in rows.get(m.name, of_machine(old, m))]
        path.write_text(table(merged), encoding="utf-8")
    tap.done()


main()
