#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What debugging says of each crime of debug_crimes.c: usage: PROGRAM BUILDTYPE, with SLABMALLOC_SO.

What is expected stands here as it is written, but for %x (an address or another hexadecimal
number), %d (a number), %s (anything, to the end of the line) and a line `...` (any lines, or
none). A crime whose report ends the program must end it by SIGABRT.
"""

import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

from tap import Tap, library, outcome, run  # noqa: E402  pylint: disable=wrong-import-position

HEAD = """\
=============================================================================
BUG %s
-----------------------------------------------------------------------------

"""

WHOLE_REPORT = """\
=============================================================================
BUG kmalloc-32: kmalloc Redzone overwritten
-----------------------------------------------------------------------------

%x-%x @offset=%d. First byte 0x1 instead of 0xcc
Allocated in allocate_here+%s age=%d cpu=%d pid=%d
 allocate_here+%s [kernel-debug_crimes]
 overflow%s [kernel-debug_crimes]
...
Slab %x objects=%d used=1 fp=%x flags=FZPU
Object %x @offset=%d orig_size=20

Redzone  %x: cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc  ................
Redzone  %x: cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc cc  ................
Object   %x: 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01 01  ................
Object   %x: 01 01 01 01 01 cc cc cc cc cc cc cc cc cc cc cc  ................
Redzone  %x: cc cc cc cc cc cc cc cc                          ........
Padding  %x: 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a 5a  ZZZZZZZZZZZZZZZZ
...
free(%x)
Call Trace:
 release_here+%s [kernel-debug_crimes]
 overflow%s [kernel-debug_crimes]
...
"""

ALLOCATED = "Allocated in allocate_here+%s age=%d cpu=%d pid=%d\n allocate_here+%s\n...\n"
FREED = "Freed in release_here+%s age=%d cpu=%d pid=%d\n release_here+%s\n...\n"


def bug(title):
    return HEAD.replace("%s", title)


def overwritten(what, first, instead):
    """The beginning of a report about bytes."""
    return bug(f"{what} overwritten") + f"%x-%x @offset=%d. First byte {first} instead of {instead}\n"


# (crime, options, what is on stderr), each ended by SIGABRT.
FATAL = [
    ("overflow_20_by_1", "FZPU", WHOLE_REPORT),
    ("overflow_20_by_1", "Z", overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + "...\n"),
    ("overflow_20_by_1", ",kmalloc-32", overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + ALLOCATED),
    ("overflow_20_by_1", "P,kmalloc-64;FZ,kmalloc-3*", overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + "...\n"),
    ("overflow_20_by_12", "FZPU", overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + ALLOCATED),
    ("overflow_64_by_1", "FZPU", overwritten("kmalloc-64: Right Redzone", "0x1", "0xcc") + ALLOCATED),
    ("overflow_20_by_64", "FZPU", overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + "Allocated in %s\n...\n"),
    ("overflow_all", "FZPU", overwritten("kmalloc-32: Right Redzone", "0x1", "0xcc") + "Allocated in <overwritten>\n...\n"),
    ("overflow_4096_by_1", "FZPU", overwritten("kmalloc-4096: Right Redzone", "0x1", "0xcc") + ALLOCATED),
    ("overflow_of_realloc", "FZPU", overwritten("kmalloc-48: kmalloc Redzone", "0x1", "0xcc") + "Allocated in overflow_of_realloc+%s\n...\n"),
    ("overflow_of_memalign", "FZPU", overwritten("kmalloc-1024: kmalloc Redzone", "0x1", "0xcc") + "...\n"),
    ("underflow", "FZPU", overwritten("kmalloc-32: Left Redzone", "0x1", "0xcc") + ALLOCATED),
    ("overwritten_padding", "FZPU", overwritten("kmalloc-32: Object padding", "0x1", "0x5a") + ALLOCATED),
    ("write_after_free", "FZPU", overwritten("kmalloc-32: Poison", "0x7", "0x6b") + ALLOCATED + FREED),
    ("write_after_free", "P", overwritten("kmalloc-32: Poison", "0x7", "0x6b") + "...\n"),
    ("write_after_free_last_byte", "FZPU", overwritten("kmalloc-32: End Poison", "0x7", "0xa5") + ALLOCATED + FREED),
    ("write_after_free_then_exit", "FZPU", overwritten("kmalloc-32: Poison", "0x7", "0x6b") + ALLOCATED + FREED),
    ("double_free", "FZPU", bug("kmalloc-32: Object already free") + ALLOCATED + FREED + "free(%x)\nCall Trace:\n release_here+%s\n...\n"),
    ("double_free", "F", bug("kmalloc-32: Object already free") + "Slab %s\n...\n"),
    ("double_free_by_thread", "FZPU", bug("kmalloc-32: Object already free") + ALLOCATED + FREED + "free(%x)\nCall Trace:\n release_here+%s\n free_it+%s\n...\n"),
    ("realloc_of_freed", "FZPU", bug("kmalloc-32: Object already free") + ALLOCATED + FREED + "realloc(%x)\nCall Trace:\n realloc_of_freed+%s\n...\n"),
    ("free_inside", "FZPU", bug("kmalloc-32: Invalid object pointer %x") + ALLOCATED + "free(%x)\nCall Trace:\n...\n"),
    ("free_before", "FZPU", bug("kmalloc-32: Invalid object pointer %x") + "...\n"),
    ("free_to_another_cache", "FZPU", bug("birds: Wrong slab cache. birds but object is from bees") + "Allocated in free_to_another_cache+%s\n...\nkmem_cache_free(%x)\nCall Trace:\n...\n"),
    ("free_outside", "FZPU", bug("birds: Attempt to free object(%x) outside of slab") + "kmem_cache_free(%x)\nCall Trace:\n...\n"),
    ("overflow_named", "FZPU,birds", overwritten("birds: Right Redzone", "0x1", "0xcc") + "Allocated in overflow_named+%s\n...\n"),
    ("overflow_named", "P,bees;FZPU,b*s", overwritten("birds: Right Redzone", "0x1", "0xcc") + "...\n"),
    ("overflow_flagged", "", overwritten("birds: Right Redzone", "0x1", "0xcc") + "Slab %s flags=Z\n...\n"),
    ("overflow_constructed", "FZPU", overwritten("made: Right Redzone", "0x1", "0xcc") + "...\n"),
]  # fmt: skip

# (crime, options, what is on stderr), each ended well.
HARMLESS = [
    ("overflow_20_by_1", "", ""),
    ("overflow_20_by_1", "FPU", ""),
    ("overflow_20_by_1", "FZPU,kmalloc-64", ""),
    ("overflow_20_by_1", "-,kmalloc-32;FZPU", ""),
    ("overflow_20_by_1", "FZPU,kmalloc-64;-", ""),
    ("overflow_4096_by_1", "FZPUO", ""),
    ("overflow_flagged", "-", ""),
    ("write_after_free", "FZU", ""),
    ("innocent", "FZPU", ""),
    ("innocent", "Z", ""),
    ("usable_size_is_what_was_asked_for", "Z", ""),
    ("innocent", "FZPUO", ""),
    ("innocent", "FZPUX", "slabmalloc: SLABMALLOC_DEBUG: unknown letter 'X' is ignored (known: F Z P U T A O -)\n"),
    ("no_failure_where_none_may_be", "A", ""),
    ("write_after_free_then_check", "FZPU",
     overwritten("kmalloc-32: Poison", "0x7", "0x6b") + ALLOCATED + FREED
     + "FIX kmalloc-32: Restoring Poison %x-%x=0x6b\n"),
    ("overflow_then_check", "FZPU",
     overwritten("kmalloc-32: kmalloc Redzone", "0x1", "0xcc") + ALLOCATED
     + "FIX kmalloc-32: Restoring kmalloc Redzone %x-%x=0xcc\n"),
    ("leak", "FZPU", """\
slabmalloc: kmem_cache_destroy(bees): 4 objects are still in use: the cache is kept
      3 spawn_here+%s age=%d/%d/%d pid=%d cpus=%s
 spawn_here+%s [kernel-debug_crimes]
 leak+%s [kernel-debug_crimes]
...

      1 hatch_here+%s age=%d/%d/%d pid=%d cpus=%s
 hatch_here+%s [kernel-debug_crimes]
 leak+%s [kernel-debug_crimes]
...
"""),
    ("trace", "T,ants", """\
TRACE ants alloc %x inuse=1 fp=%x
 spawn_here+%s [kernel-debug_crimes]
...
TRACE ants free %x inuse=1 fp=%x
Object   %x: 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61  aaaaaaaaaaaaaaaa
Object   %x: 61 61 61 61                                      aaaa
 trace+%s [kernel-debug_crimes]
...
"""),
]  # fmt: skip

# With abort:0: (crime, what is said of it at the end), and the program goes on.
REPAIRED = [
    ("overflow_20_by_1", "FIX kmalloc-32: Restoring kmalloc Redzone %x-%x=0xcc\nFIX kmalloc-32: Object at %x not freed\n"),
    ("overflow_all", "FIX kmalloc-32: Restoring object state %x-%x\nFIX kmalloc-32: Object at %x not freed\n"),
    ("underflow", "FIX kmalloc-32: Restoring Left Redzone %x-%x=0xcc\nFIX kmalloc-32: Object at %x not freed\n"),
    ("write_after_free", "FIX kmalloc-32: Restoring Poison %x-%x=0x6b\nFIX kmalloc-32: Marking object %x used\n"),
    ("double_free", "free(%x)\nCall Trace:\n release_here+%s\n...\n"),
    ("realloc_of_freed", "realloc(%x)\nCall Trace:\n realloc_of_freed+%s\n...\n"),
    ("free_inside", "free(%x)\nCall Trace:\n release_here+%s\n...\n"),
    ("free_outside", "kmem_cache_free(%x)\nCall Trace:\n free_outside+%s\n...\n"),
    ("free_to_another_cache", "kmem_cache_free(%x)\nCall Trace:\n free_to_another_cache+%s\n...\n"),
]  # fmt: skip

# SLABMALLOC_FAILSLAB, and which of twelve allocations fail; every third is made by fragile().
FAILURES = [
    ("probability:100", "xxxxxxxxxxxx"),
    ("probability:0", "............"),
    ("", "............"),
    ("probability:100,interval:2", ".x.x.x.x.x.x"),
    ("probability:100,interval:2,times:3", ".x.x.x......"),
    ("probability:100,space:500", ".....xxxxxxx"),
    ("probability:100,caller:fragile", "x..x..x..x.."),
    ("probability:100,caller:nobody", "............"),
]


# (promise, SLABMALLOC_HARDEN, what is on stderr): by SIGABRT where something is said.
HARDENED = [
    ("double_free_of_written", "slab_freelist_hardened", "slabmalloc: free(%x): double free: object of kmalloc-64\n"),
    ("double_free", "init_on_free", "slabmalloc: free(%x): double free: object of kmalloc-32\n"),
    ("free_inside", "all", "slabmalloc: free(%x): invalid pointer: 16 bytes inside an object of kmalloc-%s\n"),
    ("nothing_is_left_after_free", "init_on_free", ""),
    ("new_objects_are_zero", "init_on_alloc", ""),
    ("order_is_random", "slab_freelist_random", ""),
    ("call_sites_have_caches_of_their_own", "random_kmalloc_caches:8", ""),
    ("double_free_of_written", "0", ""),
]  # fmt: skip


def pattern(text):
    """A regular expression for a text as the head of this file describes it."""
    out = ""
    for line in text.splitlines():
        if line == "...":
            out += r"(?:.*\n)*?"
            continue
        line = re.escape(line)
        for mark, means in (("%x", "(?:0x)?[0-9a-f]+"), ("%d", "[0-9]+"), ("%s", ".*")):
            line = line.replace(mark, means)
        out += line + r"\n"
    return out


def said(result, text):
    return re.fullmatch(pattern(text), result.stderr) is not None


def main():
    program = sys.argv[1]
    tap = Tap()

    def commit(crime, debug, **variables):
        variables["SLABMALLOC_DEBUG"] = debug
        return run([program, crime], preload=[library()], **variables)

    for crime, debug, text in FATAL:
        result = commit(crime, debug)
        tap.ok(
            result.returncode == -signal.SIGABRT and said(result, text),
            f"{crime} under '{debug}': the report and SIGABRT",
            f"wanted:\n{text}",
            outcome(result),
        )
    for crime, debug, text in HARMLESS:
        result = commit(crime, debug)
        tap.ok(
            result.returncode == 0 and said(result, text),
            f"{crime} under '{debug}': {'told' if text else 'nothing is said'}, and it ends well",
            f"wanted:\n{text}",
            outcome(result),
        )
    for crime, text in REPAIRED:
        result = commit(crime, "FZPU", SLABMALLOC_ABORT="0")
        tap.ok(
            result.returncode == 0 and said(result, bug("%s") + "...\n" + text),
            f"{crime} with abort:0: repaired, and it ends well",
            f"wanted at the end:\n{text}",
            outcome(result),
        )
    for promise, settings, text in HARDENED:
        if promise.startswith("call_sites") and sys.argv[2] == "debug":
            tap.skip(promise, "without optimisation malloc's slow path sees malloc as its caller")
            continue
        result = commit(promise, "", SLABMALLOC_HARDEN=settings)
        tap.ok(
            result.returncode == (-signal.SIGABRT if text else 0) and said(result, text),
            f"{promise} with '{settings}'",
            f"wanted:\n{text}",
            outcome(result),
        )
    typo = commit("order_is_random", "", SLABMALLOC_HARDEN="slab_freelist_random,randmo")
    tap.ok(
        said(typo, "slabmalloc: SLABMALLOC_HARDEN: not understood: randmo\n"),
        "harden: what is not understood is said",
        outcome(typo),
    )
    for settings, which in FAILURES:
        result = commit("failures", "A,kmalloc-112", SLABMALLOC_FAILSLAB=settings)
        tap.ok(
            result.returncode == 0 and result.stdout == which and not result.stderr,
            f"failslab '{settings}': {which}",
            outcome(result),
        )
    verbose = commit("failures", "A,kmalloc-112", SLABMALLOC_FAILSLAB="probability:100,times:1,verbose:2")
    tap.ok(
        said(verbose, "FAULT_INJECTION: forcing a failure of kmalloc-112, 100 bytes\n fragile+%s\n...\n"),
        "failslab verbose:2: a line and the stack",
        outcome(verbose),
    )
    wrong = commit("failures", "A,kmalloc-112", SLABMALLOC_FAILSLAB="probability:x,times:1")
    tap.ok(
        said(wrong, "slabmalloc: SLABMALLOC_FAILSLAB: not understood: probability:x,times:1\n"),
        "failslab: what is not understood is said",
        outcome(wrong),
    )
    tap.done()


if __name__ == "__main__":
    main()
