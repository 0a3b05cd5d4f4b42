#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What KFENCE says of each crime of kfence.c: usage: PROGRAM SHADOW, with SLABMALLOC_SO.

By default a report ends in SIGABRT; with abort:0 it is the same and the program goes on. Without handler:1 a fault is
the system's SIGSEGV and nothing is said; what free() sees is reported all the same.
"""

import re
import signal
import sys

from tap import Tap, library, outcome, run

SETTINGS = "sample_interval:1,burst:100,num_objects:64"

STACK = r"( \S.*\n)+"
TRACK = r"by thread \d+ on cpu \d+ at \d+\.\d{6}s \(\d+\.\d{6}s ago\):\n"
FRAME = r"\+0x[0-9a-f]+/0x[0-9a-f]+"
ALLOCATED = rf"\nallocated {TRACK} get_some{FRAME} \[api-kfence\]\n{STACK}"
FREED = rf"\nfreed {TRACK} give{FRAME} \[api-kfence\]\n{STACK}"

# name: kind, function, what is said with the address that lies so far from the object, freed before?
FAULTS = {
    "read_right": ("out-of-bounds read", "read_byte", 64, "15B right of", False),
    "write_right": ("out-of-bounds write", "write_byte", 67, "18B right of", False),
    "read_left": ("out-of-bounds read", "read_byte", -1, "1B left of", False),
    "read_freed": ("use-after-free read", "read_byte", 7, "in", True),
    "write_freed": ("use-after-free write", "write_byte", 7, "in", True),
    "thread_object": ("use-after-free read", "read_byte", 0, "in", True),
    "in_child": ("use-after-free read", "read_byte", 0, "in", True),
    "own_handler_that_passes_on": ("out-of-bounds read", "read_byte", 64, "15B right of", False),
}
FREES = {
    "free_twice": ("invalid free", "give", 0, "Invalid free of", "", True),
    "free_inside": ("invalid free", "give", 16, "Invalid free of", "", False),
    "free_misaligned": ("invalid free", "give", 1, "Invalid free of", "", False),
    "realloc_freed": ("invalid realloc", "grow", 0, "Invalid realloc of", "", True),
    "write_canary": (
        "memory corruption",
        "give",
        50,
        "Corrupted memory at",
        r" \[ 0x78( \.){13} \]",
        True,
    ),
}


def report_pattern(kind, function, where, freed, obj):
    return (
        rf"={{66}}\nBUG: KFENCE: {kind} in {function}{FRAME}\n\n"
        rf"{where}:\n {function}{FRAME} \[api-kfence\]\n{STACK}"
        rf"\nkfence-#\d+: {obj:#x}-{obj + 49:#x}, size=50, cache=kmalloc-64\n"
        rf"{ALLOCATED}{FREED if freed else ''}"
        rf"\nCPU: \d+ PID: \d+ Comm: api-kfence\n={{66}}\n"
    )


def object_of(result):
    """The last object that the program named."""
    said = re.findall(r"^object (0x[0-9a-f]+)$", result.stdout, re.M)
    return int(said[-1], 16) if said else 0


def fault_pattern(crime, result):
    kind, function, offset, relation, freed = FAULTS[crime]
    obj = object_of(result)
    address = obj + offset
    where = rf"{kind.capitalize()} at {address:#x} \({relation} kfence-#\d+\)"
    return report_pattern(kind, function, where, freed, obj)


def free_pattern(crime, result):
    kind, function, offset, words, more, freed = FREES[crime]
    obj = object_of(result)
    where = rf"{words} {obj + offset:#x}{more} \(in kfence-#\d+\)"
    return report_pattern(kind, function, where, freed, obj)


def start(program, crime, handler, **variables):
    return run(
        [program, crime],
        preload=[library()],
        SLABMALLOC_KFENCE=f"{SETTINGS},handler:{handler}",
        **variables,
    )


def check_reports(tap, program, crime, pattern, handler):
    dies = start(program, crime, handler)
    tap.ok(
        dies.returncode == -signal.SIGABRT and re.fullmatch(pattern(crime, dies), dies.stderr),
        f"{crime}: the report and SIGABRT (handler:{handler})",
        f"wanted: {pattern(crime, dies)}",
        outcome(dies),
    )
    lives = start(program, crime, handler, SLABMALLOC_ABORT="0")
    tap.ok(
        lives.returncode == 0
        and re.fullmatch(pattern(crime, lives), lives.stderr)
        and "survived" in lives.stdout,
        f"{crime}: with abort:0 the report, and the program goes on (handler:{handler})",
        f"wanted: {pattern(crime, lives)}",
        outcome(lives),
    )


def check_handlers(tap, program):
    r = start(program, "own_handler", 1)
    tap.ok(
        r.returncode == 0 and f"handler {object_of(r) + 64:#x}\n" in r.stdout and not r.stderr,
        "a handler that the program installs later is called instead",
        outcome(r),
    )
    r = start(program, "read_null", 1)
    tap.ok(
        r.returncode == -signal.SIGSEGV and not r.stderr,
        "a fault elsewhere ends the program as ever",
        outcome(r),
    )


def check_innocents(tap, program, shadow):
    r = start(program, "innocent", 0)
    tap.ok(
        r.returncode == 0 and not r.stderr,
        "every name of malloc takes and gives sampled objects",
        outcome(r),
    )
    for threads, ops in (("1", "1000000"), ("8", "150000")):
        r = run(
            [shadow, "--threads", threads, "--ops", ops, "--seed", threads],
            preload=[library()],
            timeout=110,
            SLABMALLOC_KFENCE="sample_interval:1,burst:1000,num_objects:200,handler:1",
        )
        tap.ok(
            r.returncode == 0,
            f"random calls by {threads} threads meet no report",
            outcome(r),
        )


def check_settings(tap, program):
    r = run([program, "read_null"], preload=[library()], SLABMALLOC_KFENCE="1,fast:2")
    tap.ok(
        r.stderr.count("slabmalloc: kfence: unknown key: ") == 2 and "sample_interval" in r.stderr,
        "an unknown key is named, and the keys that there are",
        outcome(r),
    )


def main():
    program, shadow = sys.argv[1:]
    tap = Tap()
    for crime in FAULTS:
        check_reports(tap, program, crime, fault_pattern, 1)
        if crime != "own_handler_that_passes_on":
            r = start(program, crime, 0)
            tap.ok(
                r.returncode == -signal.SIGSEGV and not r.stderr,
                f"{crime}: without the handler SIGSEGV, where it happens",
                outcome(r),
            )
    for crime in FREES:
        check_reports(tap, program, crime, free_pattern, 0)
    check_handlers(tap, program)
    check_innocents(tap, program, shadow)
    check_settings(tap, program)
    tap.done()


if __name__ == "__main__":
    main()
